// Relayed lanes over devices made of code: sender, one or two relays, receiver.
#include "agent/relay/rdma_relay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "fake/cuda.h"
#include "fake/lane_pair.h"
#include "transport/rdma/relayed_recv_lane.h"
#include "transport/rdma/relayed_send_lane.h"

namespace relay::agent::rdma_relay {
namespace {

namespace rdma = transport::rdma;
using fake::Registered;
using testing::HasSubstr;

constexpr Duration kHopTimeout = std::chrono::seconds(10);

// Nodes in a row, each hop with a device at either end: "s0" at the sender, "a1" and "b1" at the first relay, ...
class Chain {
 public:
  explicit Chain(size_t relays, size_t budget_bytes = size_t{1} << 30, std::shared_ptr<CudaDevice> gpu = nullptr,
                 const std::string& failing_call = "")
      : budget_(budget_bytes, std::move(gpu)) {
    verbs_.HoldWritesToGpu();
    for (size_t hop = 0; hop <= relays; ++hop) verbs_.AddLink(Near(hop), Far(hop));
    // The agents open their devices by name, and find those that are open.
    for (size_t hop = 0; hop <= relays; ++hop) {
      devices_.push_back(fake::OpenDevice(verbs_, Near(hop)));
      devices_.push_back(fake::OpenDevice(verbs_, Far(hop)));
    }
    if (!failing_call.empty()) verbs_.FailCall(failing_call, EINVAL, 1, UINT32_MAX);
    sender_ = rdma::RelayedSendLane::Make(devices_.front(), kHopTimeout).value();
    Open(relays);
  }
  ~Chain() { relays_.clear(); }

  bool open() const { return why_not_.empty(); }
  const std::string& why_not() const { return why_not_; }
  rdma::RelayedSendLane& sender() { return *sender_; }
  rdma::RelayedRecvLane& receiver() { return *receiver_; }
  rdma::Device& first() { return *devices_.front(); }
  rdma::Device& last() { return *devices_.back(); }
  fake::FakeVerbs& verbs() { return verbs_; }
  Counters& counters() { return counters_; }
  SlotBudget& budget() { return budget_; }
  std::vector<std::string>& failures() { return failures_; }
  void DropReceiver() { receiver_.reset(); }
  void RunOnce() { loop_.RunOnce(Duration::zero()); }

  // Until the sender may send its first message, into this.
  void AwaitCts(Registered& to) {
    ASSERT_TRUE(*receiver_->Announce(to.buffer(to.bytes.size())) && receiver_->Ring());
    for (int i = 0; i < 100 && !*sender_->CapacityOf(0); ++i) {
      RunOnce();
      ASSERT_TRUE(sender_->Whole());
      ASSERT_TRUE(sender_->Ring());
    }
  }
  void RunUntilItFails() {
    for (int i = 0; i < 100 && failures_.empty(); ++i) RunOnce();
  }

  // Sends all at once as far as the lanes let it, and waits for them.
  void Carry(std::vector<std::pair<Registered*, Registered*>> messages) {
    size_t announced = 0, started = 0, received = 0;
    for (int turn = 0; turn < 200000; ++turn) {
      if (announced < messages.size()) {
        auto& to = *messages[announced].second;
        auto ok = receiver_->Announce(to.buffer(to.bytes.size()));
        ASSERT_TRUE(ok) << ok.error().what;
        announced += *ok ? 1 : 0;
      }
      ASSERT_TRUE(receiver_->Ring());
      if (started < messages.size()) {
        auto capacity = sender_->CapacityOf(carried_ + started);
        ASSERT_TRUE(capacity);
        auto& from = *messages[started].first;
        if (*capacity && *sender_->Start(from.buffer(from.bytes.size()))) ++started;
      }
      ASSERT_TRUE(sender_->Ring());
      loop_.RunOnce(Duration::zero());
      while (true) {
        auto size = receiver_->NextWhole();
        ASSERT_TRUE(size) << size.error().what;
        if (!*size) break;
        ASSERT_EQ(**size, messages[received].first->bytes.size());
        ASSERT_EQ(messages[received].second->bytes, messages[received].first->bytes);
        ++received;
      }
      auto whole = sender_->Whole();
      ASSERT_TRUE(whole) << whole.error().what;
      if (*whole == carried_ + messages.size()) {
        carried_ += messages.size();
        return;
      }
    }
    FAIL() << "not carried: " << announced << " announced, " << started << " started, " << received << " received";
  }

 private:
  static std::string Near(size_t hop) { return "n" + std::to_string(hop); }
  static std::string Far(size_t hop) { return "f" + std::to_string(hop); }

  // OPEN goes forward with offers, OPENED back with answers.
  void Open(size_t relays) {
    rdma::HopOffer offer = sender_->offer();
    for (size_t i = 0; i < relays; ++i) {
      auto relay = RdmaRelay::Make({loop_, counters_, budget_, &verbs_.table()},
                                   {{Far(i), 1}, {Near(i + 1), 1}, i + 1 == relays, kHopTimeout}, offer, {});
      if (!relay) {
        why_not_ = relay.error().what;
        return;
      }
      offer = (*relay)->offer_onward();
      relays_.push_back(std::move(*relay));
    }
    auto receiver = rdma::RelayedRecvLane::Make(devices_.back(), offer, {}, kHopTimeout);
    ASSERT_TRUE(receiver) << receiver.error().what;
    receiver_ = std::move(*receiver);
    offer = receiver_->offer();
    for (size_t i = relays; i-- > 0;) {
      ASSERT_TRUE(relays_[i]->ConnectFar(offer));
      offer = relays_[i]->offer_back();
      ASSERT_TRUE(relays_[i]->Start([this](const Error& error) { failures_.push_back(error.what); }));
    }
    ASSERT_TRUE(sender_->Connect(offer));
  }

  SystemClock clock_;
  EventLoop loop_{clock_};
  Counters counters_;
  SlotBudget budget_;
  fake::FakeVerbs verbs_;
  std::vector<std::shared_ptr<rdma::Device>> devices_;
  std::unique_ptr<rdma::RelayedSendLane> sender_;
  std::unique_ptr<rdma::RelayedRecvLane> receiver_;
  std::vector<std::unique_ptr<RdmaRelay>> relays_;
  std::vector<std::string> failures_;
  std::string why_not_;
  size_t carried_ = 0;  // messages so far
};

void Fill(std::vector<std::byte>& bytes, size_t seed) {
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 31 + seed * 7 + i / 255);
}

void CarrySizes(Chain& chain, const std::vector<size_t>& sizes) {
  std::vector<std::unique_ptr<Registered>> keep;
  std::vector<std::pair<Registered*, Registered*>> messages;
  for (size_t size : sizes) {
    keep.push_back(std::make_unique<Registered>(chain.first(), size));
    Fill(keep.back()->bytes, keep.size());
    keep.push_back(std::make_unique<Registered>(chain.last(), size));
    messages.emplace_back(keep[keep.size() - 2].get(), keep.back().get());
  }
  chain.Carry(messages);
}

TEST(RdmaRelay, MessagesOfEverySizeArriveThroughOneAndTwoRelays) {
  for (size_t relays : {1, 2}) {
    Chain chain(relays);
    ASSERT_TRUE(chain.open()) << chain.why_not();
    CarrySizes(chain, {1, 8, 4096, 131071, 131072, 131073, 5000000, 3, 700000});
    EXPECT_EQ(chain.verbs().traffic().receiver_not_ready, 0U);
    EXPECT_THAT(chain.failures(), testing::IsEmpty());
    EXPECT_EQ(chain.counters().relay_copied_bytes, 0U);
    EXPECT_EQ(chain.counters().relayed_bytes,
              relays * (1 + 8 + 4096 + 131071 + 131072 + 131073 + 5000000 + 3 + 700000));
  }
}

RC_GTEST_PROP(RdmaRelay, AnyMessagesArriveWholeAndInOrder, ()) {
  Chain chain(*rc::gen::inRange<size_t>(1, 4));
  const auto sizes = *rc::gen::container<std::vector<size_t>>(
      rc::gen::oneOf(rc::gen::inRange<size_t>(1, 300), rc::gen::inRange<size_t>(1, 400000)));
  CarrySizes(chain, sizes);
  RC_ASSERT(chain.verbs().traffic().receiver_not_ready == 0U);
  RC_ASSERT(chain.failures().empty());
}

TEST(RdmaRelay, ManyMessagesGoThroughMoreThanTheSlotsAndTheWindow) {
  Chain chain(2);
  CarrySizes(chain, std::vector<size_t>(500, 1000));
  CarrySizes(chain, std::vector<size_t>(3, 8 << 20));
  EXPECT_EQ(chain.verbs().traffic().receiver_not_ready, 0U);
}

TEST(RdmaRelay, NoSlotsAreTakenBeyondTheBudget) {
  Chain chain(1, 1 << 20);
  ASSERT_FALSE(chain.open());
  EXPECT_THAT(chain.why_not(), HasSubstr("1 MiB"));
  EXPECT_EQ(chain.budget().used(), 0U);
}

// The fake holds back what a device writes there until that device reads: the far device would send what was before.
TEST(RdmaRelay, MessagesPassThroughSlotsInGpuMemory) {
  fake::FakeCuda cuda;
  for (size_t relays : {1, 2}) {
    auto gpu = CudaDevice::Open(0, &cuda.table());
    ASSERT_TRUE(gpu) << gpu.error().what;
    Chain chain(relays, size_t{1} << 30, std::move(*gpu));
    ASSERT_TRUE(chain.open()) << chain.why_not();
    EXPECT_GT(chain.budget().used(SlotKind::kGpu), 0u);
    EXPECT_EQ(chain.budget().used(), chain.budget().used(SlotKind::kGpu));
    CarrySizes(chain, {1, 8, 4096, 131071, 131072, 131073, 5000000, 3, 700000});
    CarrySizes(chain, std::vector<size_t>(200, 1000));
    EXPECT_EQ(chain.verbs().traffic().receiver_not_ready, 0U);
    EXPECT_GT(chain.verbs().traffic().reads, 0U);
    EXPECT_THAT(chain.failures(), testing::IsEmpty());
  }
  EXPECT_EQ(cuda.Leaks(), "");
}

TEST(RdmaRelay, WithoutRoomOnTheGpuSlotsAreInHostMemory) {
  fake::FakeCuda cuda;
  cuda.room = 0;
  Chain chain(1, size_t{1} << 30, *CudaDevice::Open(0, &cuda.table()));
  ASSERT_TRUE(chain.open()) << chain.why_not();
  EXPECT_EQ(chain.budget().used(SlotKind::kGpu), 0u);
  EXPECT_GT(chain.budget().used(), 0u);
  EXPECT_THAT(chain.budget().why_host(), HasSubstr("out of memory"));
  CarrySizes(chain, {1, 300000});
  EXPECT_EQ(chain.verbs().traffic().reads, 0U) << "nothing to flush";
}

TEST(RdmaRelay, WhereADeviceTakesNoDmaBufSlotsAreInHostMemory) {
  fake::FakeCuda cuda;
  Chain chain(1, size_t{1} << 30, *CudaDevice::Open(0, &cuda.table()), "reg_dmabuf_mr");
  ASSERT_TRUE(chain.open()) << chain.why_not();
  EXPECT_EQ(chain.budget().used(SlotKind::kGpu), 0u);
  EXPECT_THAT(chain.budget().why_host(), HasSubstr("by DMA-BUF"));
  CarrySizes(chain, {1, 300000});
  EXPECT_EQ(cuda.Leaks(), "") << "the GPU is let go";
}

TEST(RdmaRelay, AReceiverThatIsGoneEndsTheCircuitWithASentence) {
  Chain chain(1);
  Registered from(chain.first(), 1000), to(chain.last(), 1000);
  chain.AwaitCts(to);
  chain.DropReceiver();
  ASSERT_TRUE(*chain.sender().Start(from.buffer(1000)) && chain.sender().Ring());
  chain.RunUntilItFails();
  ASSERT_EQ(chain.failures().size(), 1U);
  EXPECT_THAT(chain.failures().front(), HasSubstr("n1"));
}

// What comes is one byte more or less than `bytes` was, wherever that many arrive.
fake::FakeVerbs::OnPoll Resized(uint32_t bytes, int by) {
  return [bytes, by](std::span<ibv_wc> room, int count) {
    for (ibv_wc& wc : room.first(static_cast<size_t>(count))) {
      if (wc.opcode == IBV_WC_RECV && wc.byte_len == bytes) wc.byte_len += static_cast<uint32_t>(by);
    }
    return count;
  };
}

TEST(RdmaRelay, AHeaderThatTellsOfAnotherPayloadEndsTheCircuit) {
  Chain chain(1);
  Registered from(chain.first(), 1000), to(chain.last(), 1000);
  chain.AwaitCts(to);
  chain.verbs().SetOnPoll(Resized(rdma::kPacketBytes + 1000, -1));
  ASSERT_TRUE(*chain.sender().Start(from.buffer(1000)) && chain.sender().Ring());
  chain.RunUntilItFails();
  EXPECT_THAT(chain.failures(), testing::ElementsAre("a packet whose payload is not what its header says"));
}

TEST(RdmaRelay, PayloadTowardsTheSenderEndsTheCircuit) {
  Chain chain(1);
  Registered to(chain.last(), 1000);
  chain.verbs().SetOnPoll(Resized(rdma::kPacketBytes, 1));
  ASSERT_TRUE(*chain.receiver().Announce(to.buffer(1000)) && chain.receiver().Ring());
  chain.RunUntilItFails();
  EXPECT_THAT(chain.failures(), testing::ElementsAre("a packet to the sender with payload"));
}

}  // namespace
}  // namespace relay::agent::rdma_relay
