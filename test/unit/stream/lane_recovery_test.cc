// Connections whose circuits are carried by devices, by the socket, by other devices: one after the other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <deque>

#include "fake/lane_pair.h"
#include "fake/stream_pair.h"

namespace relay::stream::lane_recovery {
namespace {

const TimePoint kNow{std::chrono::hours(1)};

// Memory of a caller, on a device of the present circuit, if one carries it.
struct Region {
  std::vector<std::byte> bytes;
  std::shared_ptr<transport::rdma::Memory> memory, next;
};

class Pair {
 public:
  explicit Pair(uint64_t eager = 0) : eager_(eager) {
    sender = std::make_shared<SendStream>(fake::Options(), counters);
    receiver = std::make_shared<RecvStream>(fake::Options(), counters, eager);
    for (Stream* stream : {static_cast<Stream*>(sender.get()), static_cast<Stream*>(receiver.get())}) {
      stream->set_recovers(true);
      stream->set_keys([](const void* region) -> transport::StripeKeys {
        const auto& memory = static_cast<const Region*>(region)->memory;
        return memory ? transport::StripeKeys{{{memory->local_key(), memory->remote_key()}}} : transport::StripeKeys{};
      });
    }
  }

  // The next circuit, in place of the last; by new devices, or by its socket.
  void Connect(bool by_device) {
    receiver->Fence();
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    const auto circuit = [&](int fd) {
      return std::make_unique<circuit::Circuit>(transport::AdoptSocket(fd), CircuitName{7, epoch_}, "A ab--ba B",
                                                counters);
    };
    RecvCircuit arrived{.circuit = circuit(fds[1])};
    SendCircuit opened{.circuit = circuit(fds[0]), .eager_bytes = eager_};
    if (by_device) {
      fake::DirectLanes& lanes = lanes_.emplace_back();
      arrived.lane = std::move(lanes.receiver);
      opened.lane = std::move(lanes.sender);
      for (Region& region : out_) region.next = *lanes.a->Register(region.bytes.data(), region.bytes.size());
      for (Region& region : in_) region.next = *lanes.b->Register(region.bytes.data(), region.bytes.size());
    }
    arrived.on_taken = [this] { Move(in_); };
    opened.on_taken = [this] { Move(out_); };
    receiver->Adopt(std::move(arrived));
    sender->Adopt(std::move(opened));
    ++epoch_;
  }
  Request* Send(std::vector<std::byte> bytes) {
    Region& region = out_.emplace_back(Region{std::move(bytes), nullptr, nullptr});
    return Post(*sender, region, lanes_.empty() ? nullptr : lanes_.back().a.get());
  }
  Request* Receive(size_t size) {
    Region& region = in_.emplace_back(Region{std::vector<std::byte>(size), nullptr, nullptr});
    return Post(*receiver, region, lanes_.empty() ? nullptr : lanes_.back().b.get());
  }
  const std::vector<std::byte>& received(size_t i) const { return in_[i].bytes; }
  fake::FakeVerbs& verbs() { return lanes_.back().verbs; }
  void Attend() {
    auto nothing = [](const Attention&) {};
    sender->Attend(kNow, false, nothing);
    receiver->Attend(kNow, false, nothing);
  }
  bool Finish(Request* request) {
    for (int i = 0; i < 2000; ++i) {
      uint64_t bytes = 0;
      auto progress = request->stream->Test(*request, bytes);
      EXPECT_TRUE(progress) << (progress ? "" : progress.error().what);
      if (!progress) return false;
      if (*progress == Progress::kDone) return true;
      Attend();
    }
    return false;
  }

  Counters counters;

 private:
  static void Move(std::deque<Region>& regions) {
    for (Region& region : regions) region.memory = std::move(region.next);
  }
  Request* Post(Stream& stream, Region& region, transport::rdma::Device* device) {
    if (device != nullptr) region.memory = *device->Register(region.bytes.data(), region.bytes.size());
    auto request = stream.Post({region.bytes.data(), region.bytes.size(), &region}, false);
    EXPECT_TRUE(request);
    return request ? *request : nullptr;
  }

  const uint64_t eager_;
  uint32_t epoch_ = 0;
  std::deque<fake::DirectLanes> lanes_;  // every one: its devices outlive what was registered on them
  std::deque<Region> out_, in_;

 public:
  std::shared_ptr<SendStream> sender;  // go first
  std::shared_ptr<RecvStream> receiver;
};

void ExpectAllArrive(Pair& pair, const std::vector<bool>& by_device, size_t steps_between) {
  std::vector<Request*> sent, received;
  std::vector<std::vector<std::byte>> patterns;
  pair.Connect(by_device[0]);
  for (size_t i = 0; i < 12; ++i) {
    const size_t size = i % 5 == 4 ? 0 : 1 + i * 7001 % 30000;
    patterns.push_back(fake::Pattern(size, static_cast<unsigned>(i)));
    received.push_back(pair.Receive(size));
    sent.push_back(pair.Send(patterns.back()));
  }
  for (size_t next = 1; next < by_device.size(); ++next) {
    for (size_t i = 0; i < steps_between; ++i) pair.Attend();
    pair.Connect(by_device[next]);
  }
  for (size_t i = 0; i < sent.size(); ++i) {
    ASSERT_TRUE(pair.Finish(sent[i])) << i;
    ASSERT_TRUE(pair.Finish(received[i])) << i;
    EXPECT_TRUE(std::equal(patterns[i].begin(), patterns[i].end(), pair.received(i).begin())) << i;
  }
  EXPECT_EQ(pair.counters.messages_received, sent.size());
}

TEST(LaneRecovery, DevicesAndSocketsTakeTurns) {
  const std::vector<std::vector<bool>> orders{{true, true}, {true, false}, {false, true}, {true, false, true, true}};
  for (const auto& order : orders) {
    for (size_t steps = 0; steps < 12; ++steps) {
      Pair pair;
      ExpectAllArrive(pair, order, steps);
    }
  }
}

// The sender's device has said that it is whole; the receiver's has not been asked.
TEST(LaneRecovery, WhatTheOldLaneHasBroughtCountsAtItsFence) {
  Pair pair;
  pair.Connect(true);
  Request* receive = pair.Receive(1000);
  for (int i = 0; i < 3; ++i) pair.Attend();
  Request* send = pair.Send(fake::Pattern(1000, 1));
  bool done = false;
  for (int i = 0; i < 10 && !done; ++i) done = fake::StreamPair::Done(send);
  ASSERT_TRUE(done);
  pair.Connect(true);
  Request* next = pair.Receive(1000);
  Request* later = pair.Send(fake::Pattern(1000, 2));
  EXPECT_TRUE(pair.Finish(receive));
  EXPECT_EQ(pair.received(0), fake::Pattern(1000, 1));
  EXPECT_TRUE(pair.Finish(later));
  EXPECT_TRUE(pair.Finish(next));
  EXPECT_EQ(pair.received(1), fake::Pattern(1000, 2));
}

// Nothing may be placed twice, and by two: where the old device cannot be stopped there is no other circuit.
TEST(LaneRecovery, WhereADeviceMayStillWriteTheConnectionEnds) {
  Pair pair;
  pair.Connect(true);
  Request* receive = pair.Receive(1000);
  pair.verbs().FailCall("destroy_qp", EBUSY);
  pair.receiver->Fence();
  uint64_t bytes = 0;
  const auto progress = pair.receiver->Test(*receive, bytes);
  ASSERT_FALSE(progress);
  EXPECT_THAT(progress.error().what, testing::HasSubstr("may still write"));
}

// What waits in private memory for its receive belongs to no circuit.
TEST(LaneRecovery, WhatCameEarlyOverASocketIsThereWhenDevicesCarryTheRest) {
  Pair pair(fake::kEager);
  pair.Connect(false);
  std::vector<Request*> sent, received;
  for (unsigned i = 0; i < 3; ++i) sent.push_back(pair.Send(fake::Pattern(100, i)));
  for (int i = 0; i < 5; ++i) pair.Attend();
  pair.Connect(true);
  sent.push_back(pair.Send(fake::Pattern(100, 3)));
  for (Request* request : {sent[0], sent[1], sent[2]}) EXPECT_TRUE(pair.Finish(request)) << "held whole over there";
  for (unsigned i = 0; i < 4; ++i) received.push_back(pair.Receive(100));
  for (unsigned i = 0; i < 4; ++i) {
    ASSERT_TRUE(pair.Finish(received[i])) << i;
    EXPECT_EQ(pair.received(i), fake::Pattern(100, i));
  }
  EXPECT_TRUE(pair.Finish(sent[3]));
}

}  // namespace
}  // namespace relay::stream::lane_recovery
