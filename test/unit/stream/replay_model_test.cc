// Every interleaving of a short connection whose circuits are cut and replaced: what the two ends decide is the
// product's own (SendLedger, Receipts), the wires between them are a model. In every state that can be reached no
// message is placed twice, none is skipped, none is done before it is whole over there; and from every state all
// messages get through once the faults are over.
//
// A step is one thing that one party does: post, send a segment, take a frame, see that a circuit is cut, open the
// next.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "stream/receipts.h"
#include "stream/send_ledger.h"

namespace relay::stream::replay_model {
namespace {

constexpr uint64_t kSegment = 2, kEagerBytes = 2;
const std::vector<uint64_t> kSizes{3, 0, 2};  // two segments; none; one that may be sent before its receive is posted
constexpr uint64_t kMessages = 3;
constexpr int kCuts = 2, kDoubts = 1;

// What a test takes away from the protocol, to see that it is missed.
struct Without {
  bool fence = false;   // the receiving end goes on taking what the old circuit brings
  bool drain = false;   // and does not look what an old lane has brought by the time of its fence
  bool resume = false;  // the sending end replays from what it knows itself
};

struct Rules {
  bool lane = false;
  Without without{};
};

// One circuit, by epoch. A lane's write is a frame that lands in the buffer before the receiving end has taken it.
struct Wire {
  std::deque<FrameHeader> forward{}, backward{};
  size_t landed = 0;  // of forward, on a lane
  bool cut = false;
};

struct State {
  SendLedger ledger;
  Receipts receipts;
  std::map<uint32_t, Wire> wires{};
  int sender_on = -1, receiver_on = -1;  // epochs; -1: none
  int opening = -1;                      // OPEN is on its way, or OPENED back
  bool opened = false;
  uint32_t next_epoch = 0;
  uint64_t posted_out = 0, posted_in = 0, done_out = 0, done_in = 0, announced = 0, acknowledged = 0;
  uint64_t allowed = 0;                                                // on a lane: messages below have their CTS
  std::vector<uint64_t> placed = std::vector<uint64_t>(kMessages, 0);  // bytes, from the start
  int cuts = 0, doubts = 0;
  std::string wrong{};
};

std::string FramesText(const std::deque<FrameHeader>& frames) {
  std::string out;
  for (const FrameHeader& f : frames) {
    for (uint64_t v : {uint64_t(f.type), f.message, f.offset, f.length, f.extra, f.total}) out += char('0' + v);
  }
  return out;
}

std::string KeyOf(const State& s) {
  std::string out;
  auto add = [&](int64_t v) { out += char('0' + v); };
  const SendLedger& l = s.ledger;
  for (int64_t v : {int64_t(l.done()), int64_t(l.sending()), int64_t(l.ready()), int64_t(l.window().placed())}) add(v);
  const auto next = l.sending() < kMessages ? l.Next(kSizes[l.sending()], kSegment) : std::nullopt;
  add(next ? int64_t(next->offset) : -1);
  for (uint64_t m = 0; m < kMessages; ++m) {
    add(l.window().HasCts(m));
    add(s.receipts.IsEager(m));
    add(int64_t(s.placed[m]));
  }
  for (int64_t v : {int64_t(s.receipts.held()), int64_t(s.receipts.placed()), int64_t(s.receipts.received())}) add(v);
  for (int64_t v : {s.sender_on, s.receiver_on, s.opening, int(s.opened), int(s.next_epoch), s.cuts, s.doubts}) add(v);
  for (uint64_t v : {s.posted_out, s.posted_in, s.done_out, s.done_in, s.announced, s.acknowledged, s.allowed})
    add(int64_t(v));
  for (const auto& [epoch, wire] : s.wires) {
    add(epoch);
    add(wire.cut);
    add(int64_t(wire.landed));
    out += "f" + FramesText(wire.forward) + "b" + FramesText(wire.backward);
  }
  return out;
}

class Model {
 public:
  explicit Model(Rules rules) : rules_(rules) {}

  struct Step {
    State state;
    bool fault;  // of the world, not of the two ends: it may never happen
  };

  State First() const {
    State s;
    return s;
  }

  std::vector<Step> StepsFrom(const State& from) const {
    std::vector<Step> out;
    auto step = [&](bool allowed, bool fault, auto change) {
      if (!allowed) return;
      State to = from;
      change(to);
      Forget(to);
      out.push_back({std::move(to), fault});
    };
    const State& s = from;
    step(s.posted_out < kMessages, false, [](State& t) { ++t.posted_out; });
    step(s.posted_in < kMessages, false, [&](State& t) { PostReceive(t); });
    step(s.sender_on < 0 && s.opening < 0, false, [](State& t) { t.opening = int(t.next_epoch++); });
    step(s.sender_on >= 0 && s.opening < 0 && s.doubts < kDoubts, true, [](State& t) {
      ++t.doubts;
      t.opening = int(t.next_epoch++);
    });
    step(s.opening >= 0 && !s.opened, false, [&](State& t) { TakeOpen(t); });
    step(s.opening >= 0 && s.opened, false, [&](State& t) { TakeOpened(t); });
    step(s.opening >= 0 && s.cuts < kCuts, true, [](State& t) {  // the circuit dies while it is set up
      ++t.cuts;
      if (t.opened) t.wires[uint32_t(t.opening)].cut = true;
      t.opening = -1;
      t.opened = false;
    });
    for (const auto& [epoch, wire] : s.wires) {
      const int e = int(epoch);
      step(!wire.cut && s.cuts < kCuts, true, [e](State& t) {
        ++t.cuts;
        t.wires[uint32_t(e)].cut = true;
      });
      step(s.receiver_on == e && !wire.forward.empty(), false, [&](State& t) { TakeForward(t, e); });
      step(rules_.without.fence && s.receiver_on > e && !wire.forward.empty(), false,
           [&](State& t) { TakeForward(t, e); });
      step(
          rules_.lane && !wire.cut && wire.landed < wire.forward.size() && (s.receiver_on == e || rules_.without.fence),
          false, [&](State& t) { Land(t, e); });
      step(s.sender_on == e && !wire.backward.empty(), false, [&](State& t) { TakeBackward(t, e); });
    }
    step(NextOf(s).has_value(), false, [&](State& t) { Send(t); });
    step(s.receiver_on >= 0 && CanSay(s), false, [&](State& t) { Say(t); });
    // An end sees that its circuit is gone: it was cut, or the other end has left it.
    step(s.sender_on >= 0 && Gone(s, s.sender_on), false, [](State& t) { t.sender_on = -1; });
    step(s.receiver_on >= 0 && s.wires.at(uint32_t(s.receiver_on)).cut, false, [&](State& t) { LeaveReceiver(t); });
    return out;
  }

  static bool Finished(const State& s) { return s.done_out == kMessages && s.done_in == kMessages; }

 private:
  static bool Gone(const State& s, int epoch) {
    return s.wires.at(uint32_t(epoch)).cut || s.receiver_on > epoch || s.receiver_on < 0;
  }
  // Wires that neither end will look at again.
  void Forget(State& s) const {
    if (rules_.without.fence) return;
    std::erase_if(s.wires, [&](const auto& w) {
      const int e = int(w.first);
      return e != s.sender_on && e != s.receiver_on && e != s.opening;
    });
  }
  static void Judge(State& s, const Status& status, const char* what) {
    if (!status && s.wrong.empty()) s.wrong = std::string(what) + ": " + status.error().what;
  }

  void LeaveReceiver(State& s) const {
    if (rules_.lane && !rules_.without.drain) {
      Wire& wire = s.wires[uint32_t(s.receiver_on)];
      while (wire.landed > 0) TakeForward(s, s.receiver_on);
    }
    s.receiver_on = -1;
  }
  void TakeOpen(State& s) const {
    if (s.receiver_on >= 0) LeaveReceiver(s);
    s.receiver_on = s.opening;
    s.opened = true;
    Wire& wire = s.wires[uint32_t(s.opening)];
    if (s.opening != 0) {
      FrameHeader resume = s.receipts.Resume(uint32_t(s.opening), rules_.lane);
      resume.total = 0;
      wire.backward.push_back(resume);
    }
    s.announced = rules_.lane ? s.receipts.held() : s.receipts.placed();
    s.acknowledged = s.receipts.placed();
  }
  void TakeOpened(State& s) const {
    s.sender_on = s.opening;
    s.opening = -1;
    s.opened = false;
    s.allowed = 0;
    s.ledger.Begin(rules_.lane ? 0 : kEagerBytes, s.sender_on != 0 && !rules_.without.resume);
  }

  std::optional<SendLedger::Segment> NextOf(const State& s) const {
    const uint64_t message = s.ledger.sending();
    if (s.sender_on < 0 || message == s.posted_out) return std::nullopt;
    if (!rules_.lane) return s.ledger.Next(kSizes[message], kSegment);
    if (!s.ledger.ready() || message >= s.allowed) return std::nullopt;
    return SendLedger::Segment{message, 0, kSizes[message], true};
  }
  void Send(State& s) const {
    const auto segment = *NextOf(s);
    s.wires[uint32_t(s.sender_on)].forward.push_back({.type = FrameType::kData,
                                                      .message = segment.message,
                                                      .offset = segment.offset,
                                                      .length = segment.length,
                                                      .total = kSizes[segment.message]});
    if (rules_.lane) {
      s.ledger.OnLane(segment.message + 1, s.ledger.done());
    } else {
      s.ledger.Started(segment);
    }
  }

  // A device writes, and acknowledges by itself: the receiving end has not heard of it yet.
  void Land(State& s, int epoch) const {
    Wire& wire = s.wires[uint32_t(epoch)];
    const FrameHeader& f = wire.forward[wire.landed++];
    Place(s, f);
    wire.backward.push_back({.type = FrameType::kAck, .message = f.message + 1});
  }
  void Place(State& s, const FrameHeader& f) const {
    if (f.message < s.done_in && f.length != 0 && s.wrong.empty()) {
      s.wrong = "bytes of message " + std::to_string(f.message) + " are written into a buffer that was given back";
    }
    s.placed[f.message] = std::max(s.placed[f.message], f.offset + f.length);
  }

  void TakeForward(State& s, int epoch) const {
    Wire& wire = s.wires[uint32_t(epoch)];
    if (rules_.lane && wire.landed == 0) return;
    const FrameHeader f = wire.forward.front();
    wire.forward.pop_front();
    if (rules_.lane) {
      --wire.landed;
      return TakeLane(s, f);
    }
    auto verdict = s.receipts.OnFrame(f, s.posted_in, kEagerBytes);
    if (!verdict) return Judge(s, tl::unexpected<Error>(verdict.error()), "the receiver");
    if (*verdict == Receipts::Verdict::kDuplicate) {
      if (s.wrong.empty()) s.wrong = "message " + std::to_string(f.message) + " is sent to who holds it";
      return;
    }
    Place(s, f);
    const bool whole = s.receipts.OnFrameEnd(f);
    if (whole && f.message < s.posted_in) Complete(s);
  }
  void TakeLane(State& s, const FrameHeader& f) const {
    if (f.message != s.receipts.held()) {
      if (s.wrong.empty()) s.wrong = "a lane brought message " + std::to_string(f.message) + " out of order";
      return;
    }
    s.receipts.OnLane();
    Deliver(s);
  }
  void PostReceive(State& s) const {
    if (s.posted_in++ < s.receipts.held()) Complete(s);
  }
  void Complete(State& s) const {
    s.receipts.OnPlaced();
    Deliver(s);
  }
  void Deliver(State& s) const {
    if (s.placed[s.done_in] != kSizes[s.done_in] && s.wrong.empty()) {
      s.wrong =
          "message " + std::to_string(s.done_in) + " is done with " + std::to_string(s.placed[s.done_in]) + " bytes";
    }
    ++s.done_in;
  }

  bool CanSay(const State& s) const {
    const uint64_t placed = s.receipts.placed();
    const uint64_t next = std::max(s.announced, rules_.lane ? s.receipts.held() : placed);
    return (next < s.posted_in && !s.receipts.IsEager(next)) || (!rules_.lane && s.acknowledged != placed);
  }
  void Say(State& s) const {
    Wire& wire = s.wires[uint32_t(s.receiver_on)];
    const uint64_t placed = s.receipts.placed();
    s.announced = std::max(s.announced, rules_.lane ? s.receipts.held() : placed);
    if (s.announced < s.posted_in && !s.receipts.IsEager(s.announced)) {
      wire.backward.push_back({.type = FrameType::kCts, .message = s.announced, .extra = placed});
      ++s.announced;
    } else {
      wire.backward.push_back({.type = FrameType::kAck, .message = placed});
    }
    s.acknowledged = placed;
  }

  void TakeBackward(State& s, int epoch) const {
    Wire& wire = s.wires[uint32_t(epoch)];
    const FrameHeader f = wire.backward.front();
    wire.backward.pop_front();
    if (f.type == FrameType::kResume) {
      if (rules_.without.resume) return;
      Judge(s, s.ledger.OnResume(f, f.message < s.posted_out ? kSizes[f.message] : 0), "the sender");
    } else if (rules_.lane && f.type == FrameType::kCts) {
      s.allowed = f.message + 1;
    } else if (rules_.lane) {
      s.ledger.OnLane(s.ledger.sending(), f.message);
    } else if (f.type == FrameType::kCts) {
      Judge(s, s.ledger.OnAck(f.extra, false), "the sender");
      Judge(s, s.ledger.window().OnCts(f.message, 100), "the sender");
    } else {
      Judge(s, s.ledger.OnAck(f.message, false), "the sender");
    }
    for (; s.done_out < s.ledger.done(); ++s.done_out) {
      if (s.placed[s.done_out] != kSizes[s.done_out] && s.wrong.empty())
        s.wrong = "a message is done that is not whole over there";
    }
  }

  const Rules rules_;
};

struct Explored {
  size_t states = 0;
  std::string wrong{};  // what went wrong first, or empty
};

// Breadth first over all states; then, without faults, back from those in which everything is done.
Explored Explore(Rules rules) {
  const Model model(rules);
  std::map<std::string, size_t> known;
  std::vector<State> states;
  std::vector<std::vector<size_t>> before;  // by steps that are no faults
  std::vector<bool> ends;
  auto enter = [&](const State& s) {
    const auto [it, fresh] = known.emplace(KeyOf(s), states.size());
    if (fresh) {
      states.push_back(s);
      before.emplace_back();
      ends.push_back(false);
    }
    return it->second;
  };
  enter(model.First());
  for (size_t i = 0; i < states.size(); ++i) {
    if (!states[i].wrong.empty()) return {states.size(), states[i].wrong};
    ends[i] = Model::Finished(states[i]);
    if (ends[i]) continue;
    for (const Model::Step& step : model.StepsFrom(State(states[i]))) {
      const size_t to = enter(step.state);
      if (!step.fault) before[to].push_back(i);
    }
  }
  std::vector<size_t> reached;
  for (size_t i = 0; i < states.size(); ++i) {
    if (ends[i]) reached.push_back(i);
  }
  for (size_t at = 0; at < reached.size(); ++at) {
    for (size_t i : before[reached[at]]) {
      if (!ends[i]) reached.push_back(i);
      ends[i] = true;
    }
  }
  if (std::count(ends.begin(), ends.end(), false) != 0) return {states.size(), "a state from which nothing gets done"};
  return {states.size(), ""};
}

TEST(ReplayModel, FramesGetThroughOnceWhateverIsCut) {
  const Explored explored = Explore({});
  EXPECT_EQ(explored.wrong, "");
  EXPECT_GT(explored.states, 50000U);
  RecordProperty("states", static_cast<int>(explored.states));
}

TEST(ReplayModel, LanesGetThroughOnceWhateverIsCut) {
  const Explored explored = Explore({.lane = true});
  EXPECT_EQ(explored.wrong, "");
  EXPECT_GT(explored.states, 10000U);
  RecordProperty("states", static_cast<int>(explored.states));
}

TEST(ReplayModel, ItNoticesThatTheFenceIsMissing) {
  EXPECT_NE(Explore({.lane = true, .without = {.fence = true}}).wrong, "");
}

TEST(ReplayModel, ItNoticesThatAnOldLaneIsNotDrained) {
  EXPECT_NE(Explore({.lane = true, .without = {.drain = true}}).wrong, "");
}

TEST(ReplayModel, ItNoticesThatResumeIsMissing) {
  EXPECT_NE(Explore({.without = {.resume = true}}).wrong, "");
  EXPECT_NE(Explore({.lane = true, .without = {.resume = true}}).wrong, "");
}

}  // namespace
}  // namespace relay::stream::replay_model
