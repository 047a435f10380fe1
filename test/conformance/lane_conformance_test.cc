// Every kind of lane keeps the promises of include/relay/lane.h, over devices made of code; and, where
// RELAY_LANE_DEVICES names two verbs devices of this machine ("rxe_ba,rxe_bc"), over these: each is cabled to itself.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "fake/lane_chain.h"
#include "fake/verbs/fake_verbs.h"

namespace relay::transport {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience(10);
constexpr size_t kAhead = 32;   // messages that NCCL may have in flight on one connection
constexpr size_t kAround = 64;  // bytes on either side of a buffer that are nobody's

struct Kind {
  std::string name;
  std::vector<std::string> devices;
  bool fake = true;
};

std::vector<Kind> LaneKinds() {
  std::vector<Kind> kinds;
  for (size_t relays = 0; relays <= 2; ++relays) {
    Kind kind{relays == 0 ? "Direct" : "Relayed" + std::to_string(relays), {}};
    for (size_t hop = 0; hop <= relays; ++hop) {
      for (const char* end : {"n", "f"}) kind.devices.push_back(end + std::to_string(hop));
    }
    kinds.push_back(std::move(kind));
  }
  const char* named = std::getenv("RELAY_LANE_DEVICES");
  if (named == nullptr) return kinds;
  const std::string text = named, one = text.substr(0, text.find(',')), other = text.substr(text.find(',') + 1);
  kinds.push_back({"VerbsDirect", {one, one}, false});
  kinds.push_back({"VerbsRelayed1", {one, one, other, other}, false});
  kinds.push_back({"VerbsRelayed2", {one, one, other, other, one, one}, false});
  return kinds;
}

// A caller's buffer on one device, between bytes that must stay as they are.
class Buffer {
 public:
  Buffer(rdma::Device& device, size_t size) : bytes_(size + 2 * kAround, std::byte{0xee}), size_(size) {
    auto memory = device.Register(bytes_.data(), bytes_.size());
    EXPECT_TRUE(memory) << memory.error().what;
    if (memory) memory_ = std::move(*memory);
  }
  std::byte* data() { return bytes_.data() + kAround; }
  LaneBuffer Of(size_t size) { return {data(), size, {{{memory_->local_key(), memory_->remote_key()}}}}; }
  void Fill(uint64_t seed) {
    for (size_t i = 0; i < size_; ++i) data()[i] = static_cast<std::byte>((seed * 131 + i) * 2654435761U >> 24);
  }
  bool BordersAreWhole() const {
    auto untouched = [](std::byte b) { return b == std::byte{0xee}; };
    return std::all_of(bytes_.begin(), bytes_.begin() + kAround, untouched) &&
           std::all_of(bytes_.end() - kAround, bytes_.end(), untouched);
  }

 private:
  std::vector<std::byte> bytes_;
  size_t size_;
  std::shared_ptr<rdma::Memory> memory_;
};

class LaneConformance : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    const Kind& kind = GetParam();
    if (kind.fake) {
      for (size_t i = 0; i < kind.devices.size(); i += 2) verbs_.AddLink(kind.devices[i], kind.devices[i + 1]);
    }
    chain_ = std::make_unique<fake::LaneChain>(kind.fake ? &verbs_.table() : nullptr, clock_, kind.devices);
    if (auto made = chain_->Make(); !made) FAIL() << made.error().what;
    auto connected = chain_->Connect([this](const std::string& why) { failures_.push_back(why); });
    if (!connected) FAIL() << connected.error().what;
  }

  SendLane& sender() { return *chain_->sender; }
  RecvLane& receiver() { return *chain_->receiver; }
  std::unique_ptr<Buffer> From(size_t size, uint64_t seed) {
    auto buffer = std::make_unique<Buffer>(*chain_->first, size);
    buffer->Fill(seed);
    return buffer;
  }
  std::unique_ptr<Buffer> To(size_t size) { return std::make_unique<Buffer>(*chain_->last, size); }

  // Relays work on meanwhile. False: it has not come true in time.
  bool Until(const std::function<bool()>& condition) {
    const auto deadline = steady_clock::now() + kPatience;
    while (!condition()) {
      chain_->RunRelays();
      if (steady_clock::now() > deadline || HasFailure() || !failures_.empty()) return false;
    }
    return true;
  }
  void Announce(Buffer& to, size_t capacity) {
    ASSERT_TRUE(Until([&] { return receiver().Announce(to.Of(capacity)).value(); }));
    ASSERT_TRUE(receiver().Ring());
  }
  void Start(uint64_t message, Buffer& from, size_t size) {
    ASSERT_TRUE(Until([&] { return Looked() && sender().CapacityOf(message).value().has_value(); }));
    ASSERT_TRUE(Until([&] { return Looked() && sender().Start(from.Of(size)).value(); }));
    ASSERT_TRUE(sender().Ring());
  }
  // The size of the next one that is whole.
  uint64_t Await() {
    std::optional<uint64_t> size;
    EXPECT_TRUE(Until([&] {
      EXPECT_TRUE(Looked());
      size = receiver().NextWhole().value();
      EXPECT_TRUE(receiver().Ring());
      return size.has_value();
    })) << (failures_.empty() ? "nothing came" : failures_.front());
    return size.value_or(~uint64_t{0});
  }
  bool Looked() { return sender().Whole() && sender().Ring(); }
  bool AwaitWhole(uint64_t messages) {
    return Until([&] {
      EXPECT_TRUE(!receiver().NextWhole().value() && receiver().Ring());
      return sender().Whole().value() == messages && sender().Ring();
    });
  }

  SystemClock clock_;
  fake::FakeVerbs verbs_;
  std::vector<std::string> failures_;
  std::unique_ptr<fake::LaneChain> chain_;  // goes first
};

INSTANTIATE_TEST_SUITE_P(All, LaneConformance, testing::ValuesIn(LaneKinds()),
                         [](const auto& instance) { return instance.param.name; });

TEST_P(LaneConformance, NothingThereIsNoError) {
  for (int i = 0; i < 3; ++i) {
    chain_->RunRelays();
    EXPECT_EQ(sender().CapacityOf(0).value(), std::nullopt);
    EXPECT_EQ(receiver().NextWhole().value(), std::nullopt);
    EXPECT_EQ(sender().Whole().value(), 0U);
  }
}

TEST_P(LaneConformance, EachSizeArrivesRightAndTouchesNothingElse) {
  uint64_t message = 0;
  for (const size_t size : {size_t{8}, size_t{0}, size_t{1}, size_t{4095}, size_t{65536}, (size_t{128} << 10) + 1,
                            (size_t{3} << 20) + 77}) {
    const size_t capacity = size + 5;
    auto from = From(size, message);
    auto to = To(capacity);
    Announce(*to, capacity);
    Start(message, *from, size);
    ASSERT_FALSE(HasFailure());
    EXPECT_EQ(Await(), size);
    EXPECT_EQ(std::memcmp(to->data(), from->data(), size), 0) << size;
    EXPECT_TRUE(
        std::all_of(to->data() + size, to->data() + capacity, [](std::byte b) { return b == std::byte{0xee}; }));
    EXPECT_TRUE(to->BordersAreWhole() && from->BordersAreWhole()) << size;
    EXPECT_TRUE(AwaitWhole(++message)) << size;
  }
}

TEST_P(LaneConformance, TheSenderLearnsHowMuchEachReceiveTakesInTheirOrder) {
  auto to = To(4096);
  const size_t capacities[] = {4096, 0, 17};
  for (const size_t capacity : capacities) Announce(*to, capacity);
  auto from = From(4096, 1);
  for (uint64_t message = 0; message < 3; ++message) {
    std::optional<uint64_t> capacity;
    ASSERT_TRUE(Until([&] { return Looked() && (capacity = sender().CapacityOf(message).value()).has_value(); }));
    EXPECT_EQ(*capacity, capacities[message]);
    EXPECT_EQ(sender().CapacityOf(message).value(), capacity) << "as often as one likes";
    Start(message, *from, 0);
    EXPECT_EQ(Await(), 0U);
  }
}

TEST_P(LaneConformance, AsManyAsNcclHasInFlightGoAtOnceAndArriveInOrder) {
  constexpr size_t kRounds = 3, kSize = 9000;
  std::vector<std::unique_ptr<Buffer>> from, to;
  for (size_t i = 0; i < kAhead; ++i) {
    from.push_back(From(kSize, i));
    to.push_back(To(kSize));
  }
  for (uint64_t round = 0; round < kRounds; ++round) {
    for (auto& buffer : to) Announce(*buffer, kSize);
    for (size_t i = 0; i < kAhead; ++i) Start(round * kAhead + i, *from[i], kSize - i);
    for (size_t i = 0; i < kAhead; ++i) {
      ASSERT_EQ(Await(), kSize - i);
      ASSERT_EQ(std::memcmp(to[i]->data(), from[i]->data(), kSize - i), 0);
      std::memset(to[i]->data(), 0xee, kSize);
    }
    ASSERT_TRUE(AwaitWhole((round + 1) * kAhead));
  }
}

TEST_P(LaneConformance, WhoSleepsIsWoken) {
  auto from = From(64, 3);
  auto to = To(64);
  auto sleeps = [](Lane& lane) {
    pollfd p{lane.fd(), POLLIN, 0};
    return poll(&p, 1, 0) == 0;
  };
  ASSERT_TRUE(sender().Arm() && receiver().Arm());
  EXPECT_EQ(sender().CapacityOf(0).value(), std::nullopt);
  ASSERT_TRUE(sleeps(receiver()));
  Announce(*to, 64);
  Start(0, *from, 64);
  EXPECT_TRUE(Until([&] { return !sleeps(receiver()); })) << "a message has come";
  receiver().TakeEvents();
  EXPECT_EQ(Await(), 64U);
  EXPECT_TRUE(AwaitWhole(1));
}

// Each end acts only when it was woken: what one look after Arm leaves lying would never be announced again.
TEST_P(LaneConformance, NothingIsForgottenByThoseWhoSleepBetweenBatches) {
  constexpr size_t kSize = 300;
  std::vector<std::unique_ptr<Buffer>> from, to;
  for (size_t i = 0; i < kAhead; ++i) {
    from.push_back(From(kSize, i));
    to.push_back(To(kSize));
  }
  for (uint64_t round = 0; round < 3; ++round) {
    uint64_t announced = 0, started = 0, whole = 0, done = 0;
    auto receive = [&] {
      while (receiver().NextWhole().value()) ++whole;
      while (announced < kAhead && receiver().Announce(to[announced]->Of(kSize)).value()) ++announced;
      ASSERT_TRUE(receiver().Ring());
    };
    auto send = [&] {
      done = sender().Whole().value() - round * kAhead;
      while (started < kAhead && sender().CapacityOf(round * kAhead + started).value() &&
             sender().Start(from[started]->Of(kSize)).value()) {
        ++started;
      }
      ASSERT_TRUE(sender().Ring());
    };
    auto woken = [](Lane& lane, const auto& act) {
      pollfd p{lane.fd(), POLLIN, 0};
      if (poll(&p, 1, 0) != 1) return;
      lane.TakeEvents();
      ASSERT_TRUE(lane.Arm());
      act();
    };
    ASSERT_TRUE(sender().Arm() && receiver().Arm());
    receive();
    send();
    uint64_t turn = 0;
    EXPECT_TRUE(Until([&] {
      if (++turn % 128 == 0) woken(receiver(), receive);
      if (turn % 128 == 64 && started < kAhead) send();  // capacities wake nobody
      if (turn % 128 == 64) woken(sender(), send);
      return whole == kAhead && done == kAhead;
    })) << announced
        << " announced, " << started << " started, " << whole << " whole, " << done << " done";
    ASSERT_FALSE(HasFailure());
  }
}

TEST_P(LaneConformance, SignsOfLifeGrowWithWhatComesAndGoes) {
  const uint64_t at_sender = sender().moved(), at_receiver = receiver().moved();
  auto from = From(64, 3);
  auto to = To(64);
  Announce(*to, 64);
  Start(0, *from, 64);
  EXPECT_EQ(Await(), 64U);
  EXPECT_TRUE(AwaitWhole(1));
  EXPECT_GT(sender().moved(), at_sender);
  EXPECT_GT(receiver().moved(), at_receiver);
}

TEST_P(LaneConformance, AfterItsEndNothingIsTouched) {
  constexpr size_t kSize = size_t{4} << 20;
  auto from = From(kSize, 9);
  auto to = To(kSize);
  Announce(*to, kSize);
  Start(0, *from, kSize);
  chain_->RunRelays();
  chain_->receiver.reset();
  std::memset(to->data(), 0xee, kSize);
  for (int i = 0; i < 1000; ++i) chain_->RunRelays();
  chain_->sender.reset();
  EXPECT_TRUE(std::all_of(to->data(), to->data() + kSize, [](std::byte b) { return b == std::byte{0xee}; }));
  EXPECT_TRUE(to->BordersAreWhole());
}

}  // namespace
}  // namespace relay::transport
