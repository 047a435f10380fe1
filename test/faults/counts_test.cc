// What one message costs, at each device on its path: work requests, doorbells, completions and copies by the CPU. The
// figures are those of docs/rdma.md.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake/lane_pair.h"
#include "faults/connection.h"

namespace relay::faults::counts {
namespace {

using fake::FakeVerbs;
using fake::RdmaChain;
using fake::Registered;

// Both ends of a lane and the relays between them, driven until nothing moves.
class Lane {
 public:
  explicit Lane(size_t relays) : chain({.relays = relays}) {
    Status made = chain.Make();
    if (made) made = chain.Connect([](const std::string& sentence) { ADD_FAILURE() << sentence; });
    EXPECT_TRUE(made) << (made ? "" : made.error().what);
    Drive();
  }

  void Announce(Registered& to) {
    EXPECT_TRUE(*chain.receiver->Announce(to.buffer(to.bytes.size())));
    EXPECT_TRUE(chain.receiver->Ring());
    Drive();
  }
  void Start(Registered& from, size_t size) {
    const auto capacity = chain.sender->CapacityOf(started_);
    ASSERT_TRUE(capacity && *capacity);
    EXPECT_TRUE(*chain.sender->Start(from.buffer(size)));
    ++started_;
    EXPECT_TRUE(chain.sender->Ring());
    Drive();
  }
  // As NCCL would by testing its requests, and the relays by their devices' events.
  void Drive() {
    for (int quiet = 0; quiet < 3;) {
      const uint64_t before = chain.verbs.traffic().completions;
      chain.clock.Advance(std::chrono::milliseconds(1));
      chain.RunRelays();
      for (;;) {
        const auto size = chain.receiver->NextWhole();
        ASSERT_TRUE(size) << size.error().what;
        if (!*size) break;
        received.push_back(**size);
      }
      EXPECT_TRUE(chain.receiver->Ring());
      const auto whole = chain.sender->Whole();
      ASSERT_TRUE(whole) << whole.error().what;
      EXPECT_TRUE(chain.sender->Ring());
      sent = *whole;
      quiet = chain.verbs.traffic().completions == before ? quiet + 1 : 0;
    }
  }

  RdmaChain chain;
  std::vector<uint64_t> received;
  uint64_t sent = 0;

 private:
  uint64_t started_ = 0;
};

// What one device does: work requests that send or write, their doorbells, receives posted, theirs, completions.
struct Costs {
  uint64_t sends = 0, send_doorbells = 0, receives = 0, receive_doorbells = 0, completions = 0;
  bool operator==(const Costs&) const = default;
  friend void PrintTo(const Costs& c, std::ostream* out) {
    *out << "{" << c.sends << ", " << c.send_doorbells << ", " << c.receives << ", " << c.receive_doorbells << ", "
         << c.completions << "}";
  }
};

std::vector<Costs> CostsSince(const std::vector<Costs>& before, const RdmaChain& chain) {
  std::vector<Costs> out;
  for (const std::string& name : chain.names) {
    const FakeVerbs::Work w = chain.verbs.work(name);
    const Costs b = before.empty() ? Costs{} : before[out.size()];
    out.push_back({w.sends - b.sends, w.send_doorbells - b.send_doorbells, w.receives - b.receives,
                   w.receive_doorbells - b.receive_doorbells, w.completions - b.completions});
  }
  return out;
}

// Payload bytes that left a device from where they had not arrived, or arrived elsewhere than where they belong.
uint64_t CopiedBytes(const RdmaChain& chain, const Registered& from, const Registered& to, size_t size) {
  struct Place {
    const std::byte* at;
    uint64_t bytes;
  };
  std::vector<Place> expected;
  uint64_t missing = 0;
  for (size_t hop = 0; hop <= chain.relays.size(); ++hop) {
    std::vector<Place> arrived;
    uint64_t moved = 0;
    for (const FakeVerbs::Move& move : chain.verbs.moves()) {
      if (move.from_device != RdmaChain::Near(hop)) continue;
      const bool whole = hop == 0 ? move.from == from.bytes.data() + moved && moved < size
                                  : arrived.size() < expected.size() && move.from == expected[arrived.size()].at &&
                                        move.bytes == expected[arrived.size()].bytes;
      if (!whole) continue;
      if (hop == chain.relays.size() && move.to != to.bytes.data() + moved) missing += move.bytes;
      arrived.push_back({move.to, move.bytes});
      moved += move.bytes;
    }
    missing += size - moved;
    expected = std::move(arrived);
  }
  for (const auto& at : chain.relays) missing += at->counters.relay_copied_bytes;
  return missing;
}

// Device by device, in the order of the path.
struct Row {
  size_t relays, size;
  std::vector<Costs> costs;
};

// A relay has two devices; the last one's second writes into the receiver's memory and gets no credit back.
const Costs kSmallSender{1, 1, 2, 2, 3}, kSmallIn{2, 2, 1, 1, 3}, kSmallOut{1, 1, 2, 2, 3},
    kSmallReceiver{2, 2, 1, 1, 3};
const Costs kDirectSender{1, 1, 0, 0, 1}, kDirectReceiver{1, 1, 1, 1, 1};
const Costs kLargeIn{10, 10, 128, 8, 131}, kLargeOut{128, 8, 10, 10, 138}, kLargeLastOut{128, 8, 2, 2, 130};

const Row kRows[] = {
    {0, 0, {kDirectSender, kDirectReceiver}},
    {0, 8, {kDirectSender, kDirectReceiver}},
    {0, 65536, {kDirectSender, kDirectReceiver}},
    {0, 16 << 20, {kDirectSender, kDirectReceiver}},
    {1, 0, {kSmallSender, kSmallIn, kSmallOut, kSmallReceiver}},
    {1, 8, {kSmallSender, kSmallIn, kSmallOut, kSmallReceiver}},
    {1, 65536, {kSmallSender, kSmallIn, kSmallOut, kSmallReceiver}},
    {1, 16 << 20, {{128, 8, 10, 10, 138}, kLargeIn, kLargeLastOut, kSmallReceiver}},
    {2, 0, {kSmallSender, kSmallIn, kSmallOut, kSmallIn, kSmallOut, kSmallReceiver}},
    {2, 8, {kSmallSender, kSmallIn, kSmallOut, kSmallIn, kSmallOut, kSmallReceiver}},
    {2, 65536, {kSmallSender, kSmallIn, kSmallOut, kSmallIn, kSmallOut, kSmallReceiver}},
    {2, 16 << 20, {{128, 8, 10, 10, 138}, kLargeIn, kLargeOut, kLargeIn, kLargeLastOut, kSmallReceiver}},
};

// Among many receives, those of two credits that come together may share a doorbell.
MATCHER(CostAsMuch, "") {
  const Costs &is = std::get<0>(arg), &stated = std::get<1>(arg);
  Costs alike = is;
  if (stated.receives > 2 && is.receive_doorbells + 1 == stated.receive_doorbells) ++alike.receive_doorbells;
  return alike == stated;
}

TEST(Counts, AMessageCostsWhatTheDesignSays) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(std::to_string(row.size) + " bytes through " + std::to_string(row.relays) + " relays");
    Lane lane(row.relays);
    Registered from(*lane.chain.first, row.size), to(*lane.chain.last, row.size);
    for (size_t i = 0; i < row.size; ++i) from.bytes[i] = static_cast<std::byte>(i * 131 + i / 251);
    lane.chain.verbs.RecordMoves();
    const auto before = CostsSince({}, lane.chain);
    lane.Announce(to);
    lane.Start(from, row.size);
    EXPECT_THAT(CostsSince(before, lane.chain), testing::Pointwise(CostAsMuch(), row.costs));
    EXPECT_EQ(CopiedBytes(lane.chain, from, to, row.size), 0U);
    EXPECT_EQ(CopiedBytes(lane.chain, from, from, row.size), row.size) << "of bytes that arrived elsewhere";
    EXPECT_EQ(lane.sent, 1U);
    EXPECT_THAT(lane.received, testing::ElementsAre(row.size));
    EXPECT_TRUE(to.bytes == from.bytes);
    EXPECT_EQ(lane.chain.verbs.traffic().receiver_not_ready, 0U);
  }
}

// A credit for four packets at the least; a doorbell for up to sixteen segments.
TEST(Counts, CreditsAndAcknowledgementsOfManySmallMessagesAreFew) {
  constexpr uint64_t kMessages = 64;
  Lane lane(1);
  Registered from(*lane.chain.first, 8), to(*lane.chain.last, 8);
  const auto before = CostsSince({}, lane.chain);
  for (uint64_t m = 0; m < kMessages; ++m) {
    lane.Announce(to);
    lane.Start(from, 8);
  }
  const auto costs = CostsSince(before, lane.chain);
  // Each message: DATA, and at the sender CTS and ACK; each four packets: one credit.
  EXPECT_EQ(costs[0].sends, kMessages + 2 * kMessages / 16);
  EXPECT_EQ(costs[1].sends, 2 * kMessages + kMessages / 4);
  EXPECT_EQ(costs[2].sends, kMessages + 2 * kMessages / 16);
  EXPECT_EQ(costs[3].sends, 2 * kMessages);
  EXPECT_EQ(lane.sent, kMessages);
}

TEST(Counts, AnIdleLaneWakesNobody) {
  for (size_t relays : {0, 1, 2}) {
    Lane lane(relays);
    Registered from(*lane.chain.first, 1000), to(*lane.chain.last, 1000);
    lane.Announce(to);
    lane.Start(from, 1000);
    for (int turn = 0; turn < 10; ++turn) {  // until everyone sleeps
      lane.chain.clock.Advance(std::chrono::seconds(1));
      lane.chain.RunRelays();
    }
    uint64_t wakings = 0;
    for (const std::string& name : lane.chain.names) wakings += lane.chain.verbs.work(name).wakings;
    const uint64_t looks = lane.chain.verbs.calls("poll_cq");
    for (int turn = 0; turn < 1000; ++turn) {
      lane.chain.clock.Advance(std::chrono::seconds(1));
      lane.chain.RunRelays();
    }
    for (const std::string& name : lane.chain.names) wakings -= lane.chain.verbs.work(name).wakings;
    EXPECT_EQ(wakings, 0U) << relays;
    EXPECT_EQ(lane.chain.verbs.calls("poll_cq"), looks) << relays;
  }
}

TEST(Counts, AnIdleConnectionWakesNobody) {
  for (size_t relays : {0, 1, 2}) {
    fake::CallerMemory from(1 << 16), to(1 << 16);
    Connection connection(relays, {&from, &to});
    ASSERT_TRUE(connection.Make() && connection.Open());
    connection.Receive(1000);
    connection.Send(1000);
    ASSERT_TRUE(connection.TurnUntil([&] { return connection.AllEnded(); }, std::chrono::seconds(5)));
    connection.Settle();
    const uint64_t looks = connection.chain.verbs.calls("poll_cq");
    for (int turn = 0; turn < 1000; ++turn) connection.Turn();
    EXPECT_EQ(connection.chain.verbs.calls("poll_cq"), looks) << relays;
    EXPECT_EQ(connection.TearDown(), "");
  }
}

}  // namespace
}  // namespace relay::faults::counts
