// Whatever the order in which ends, relays and devices get their turns: no device ever finds that the receive it needs
// is not posted, and every message arrives whole and in order.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <random>

#include "fake/lane_pair.h"
#include "fake/rdma_chain.h"

namespace relay::faults::receiver_ready {
namespace {

using fake::RdmaChain;
using fake::Registered;

struct Message {
  Message(RdmaChain& chain, size_t bytes, size_t number)
      : size(bytes), from(*chain.first, bytes), to(*chain.last, bytes) {
    for (size_t i = 0; i < bytes; ++i) from.bytes[i] = static_cast<std::byte>(i * 31 + number * 7 + i / 255 + 1);
  }
  size_t size;
  Registered from, to;
};

class Schedule {
 public:
  Schedule(size_t relays, const std::vector<size_t>& sizes, uint32_t seed)
      : chain_({.relays = relays, .pump = fake::FakeVerbs::Pump::kManual}), random_(seed) {
    Status open = chain_.Make();
    if (open) open = chain_.Connect([this](const std::string& sentence) { failures_ += sentence + "\n"; });
    if (!open) failures_ = open.error().what;
    for (size_t size : sizes) messages_.push_back(std::make_unique<Message>(chain_, size, messages_.size()));
  }

  // What went wrong; empty: all has arrived.
  std::string Run() {
    constexpr int kMostTurns = 500000;
    for (int turn = 0; turn < kMostTurns && failures_.empty(); ++turn) {
      if (received_ == messages_.size() && whole_ == messages_.size()) return "";
      if (turn % 64 == 0) ChooseStalled();
      Act(static_cast<Actor>(random_() % kActors));
    }
    return failures_.empty() ? "it never ends" : failures_;
  }
  uint64_t receiver_not_ready() const { return chain_.verbs.traffic().receiver_not_ready; }

 private:
  enum class Actor : uint8_t { kReceiver, kSender, kRelay, kDevice, kDevices, kPoller };
  static constexpr unsigned kActors = 6;

  // One of them is forgotten for a while: an end, a relay or a device.
  void ChooseStalled() {
    stalled_end_ = random_() % 4;
    stalled_relay_ = random_() % 4;
    stalled_device_ = random_() % (2 * chain_.names.size());
  }

  void Act(Actor actor) {
    switch (actor) {
      case Actor::kReceiver:
        if (stalled_end_ != 0) Announce();
        return;
      case Actor::kSender:
        if (stalled_end_ != 1) Start();
        return;
      case Actor::kPoller:
        if (stalled_end_ != (random_() % 2)) Poll();
        return;
      case Actor::kRelay:
        if (chain_.relays.empty()) return;
        chain_.clock.Advance(std::chrono::microseconds(random_() % 300));
        if (const size_t i = random_() % chain_.relays.size(); i != stalled_relay_) {
          chain_.relays[i]->loop.RunOnce(Duration::zero());
        }
        return;
      case Actor::kDevice:
      case Actor::kDevices:
        StepDevice();
        return;
    }
  }

  void StepDevice() {
    const size_t device = random_() % chain_.names.size();
    if (device == stalled_device_) return;
    for (const uint32_t pair : chain_.verbs.queue_pairs(chain_.names[device])) {
      for (uint32_t steps = random_() % 4; steps > 0; --steps) chain_.verbs.StepPair(pair);
    }
  }

  void Announce() {
    for (uint32_t most = random_() % 4; announced_ < messages_.size() && most > 0; --most) {
      Message& message = *messages_[announced_];
      const auto room = chain_.receiver->Announce(message.to.buffer(message.size));
      if (!room || !*room) return Note(room);
      ++announced_;
    }
    Note(chain_.receiver->Ring());
  }

  void Start() {
    for (uint32_t most = random_() % 4; started_ < messages_.size() && most > 0; --most) {
      const auto capacity = chain_.sender->CapacityOf(started_);
      if (!capacity || !*capacity) return Note(capacity);
      Message& message = *messages_[started_];
      const auto room = chain_.sender->Start(message.from.buffer(message.size));
      if (!room || !*room) return Note(room);
      ++started_;
    }
    Note(chain_.sender->Ring());
  }

  void Poll() {
    const auto size = chain_.receiver->NextWhole();
    if (size && *size) {
      const Message& message = *messages_[received_++];
      if (**size != message.size) failures_ += "a wrong size\n";
      if (message.to.bytes != message.from.bytes) failures_ += "wrong bytes\n";
    }
    Note(size);
    Note(chain_.receiver->Ring());
    const auto whole = chain_.sender->Whole();
    if (whole) whole_ = *whole;
    Note(whole);
    Note(chain_.sender->Ring());
  }

  template <class Outcome>
  void Note(const Outcome& outcome) {
    if (!outcome) failures_ += outcome.error().what + "\n";
  }

  RdmaChain chain_;
  std::vector<std::unique_ptr<Message>> messages_;
  std::minstd_rand random_;
  std::string failures_;
  size_t announced_ = 0, started_ = 0, received_ = 0;
  uint64_t whole_ = 0;
  size_t stalled_end_ = 0, stalled_relay_ = 0, stalled_device_ = 0;
};

RC_GTEST_PROP(ReceiverReady, NoScheduleFindsAReceiveMissing, ()) {
  const auto relays = *rc::gen::inRange<size_t>(0, 4);
  const auto sizes = *rc::gen::container<std::vector<size_t>>(
      rc::gen::oneOf(rc::gen::inRange<size_t>(0, 300), rc::gen::inRange<size_t>(0, 400000)));
  Schedule schedule(relays, sizes, *rc::gen::arbitrary<uint32_t>());
  RC_ASSERT(schedule.Run() == "");
  RC_ASSERT(schedule.receiver_not_ready() == 0U);
}

// More messages than a lane has room for, and packets than the relays have slots.
TEST(ReceiverReady, ManyMessagesFindNoReceiveMissing) {
  for (size_t relays = 0; relays <= 2; ++relays) {
    std::vector<size_t> sizes(300, 8);
    for (size_t i = 0; i < sizes.size(); i += 100) sizes[i] = 3000000;
    for (uint32_t seed = 1; seed <= 3; ++seed) {
      Schedule schedule(relays, sizes, seed);
      EXPECT_EQ(schedule.Run(), "") << relays << " relays, seed " << seed;
      EXPECT_EQ(schedule.receiver_not_ready(), 0U) << relays << " relays, seed " << seed;
    }
  }
}

}  // namespace
}  // namespace relay::faults::receiver_ready
