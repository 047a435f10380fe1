// Every order in which a connection can be closed, up to a depth, against what the events themselves say.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "stream/closing.h"

namespace relay::stream::closing {
namespace {

using Event = Closing::Event;
using State = Closing::State;
using std::chrono::seconds;

constexpr Duration kLinger = seconds(5), kUnreached = seconds(3);
constexpr Duration kStep = seconds(2);  // between two events
constexpr TimePoint kStart{std::chrono::hours(1)};
constexpr Event kEvents[] = {Event::kCallerCloses, Event::kCallerTold, Event::kPeerCloses, Event::kPeerGone,
                             Event::kSent,         Event::kCircuit,    Event::kReached,    Event::kUnreached};

using History = std::vector<Event>;

TimePoint TimeOf(size_t position) { return kStart + static_cast<int64_t>(position) * kStep; }

Closing After(const History& history) {
  Closing out(kLinger);
  out.On(Event::kReached, kStart - kStep);
  for (size_t i = 0; i != history.size(); ++i) out.On(history[i], TimeOf(i));
  return out;
}

// The position behind the last such event; 0: there was none.
size_t Last(const History& history, Event event) {
  return static_cast<size_t>(history.rend() - std::find(history.rbegin(), history.rend(), event));
}
size_t First(const History& history, Event event) {
  const auto it = std::find(history.begin(), history.end(), event);
  return it == history.end() ? 0 : static_cast<size_t>(it - history.begin()) + 1;
}

// The position behind the last event by which a remnant is nobody's any more; 0: there was none.
size_t LastAbandoned(const History& history) {
  const size_t closed = First(history, Event::kCallerCloses);
  if (closed == 0) return 0;
  size_t last = 0, first_look = history.size();
  TimePoint reached = kStart - kStep;
  for (size_t i = 0; i != history.size(); ++i) {
    const bool look = history[i] == Event::kReached || history[i] == Event::kUnreached;
    if (history[i] == Event::kReached) reached = TimeOf(i);
    if (i < closed) continue;
    if (look) first_look = std::min(first_look, i);
    const bool over = look && (TimeOf(i) - TimeOf(first_look) > kLinger || TimeOf(i) - reached > kUnreached);
    if (over || history[i] == Event::kPeerGone) last = i + 1;
  }
  return last;
}

void Check(const History& history) {
  const Closing closing = After(history);
  const bool closed = First(history, Event::kCallerCloses) != 0;
  const size_t peer_closed = Last(history, Event::kPeerCloses), abandoned = LastAbandoned(history);
  EXPECT_EQ(closing.closed(), closed);
  EXPECT_EQ(closing.abandoned(), abandoned > peer_closed);
  EXPECT_EQ(closing.peer_closed(), peer_closed > abandoned);
  EXPECT_EQ(closing.told(), Last(history, Event::kCallerTold) != 0);

  // CLOSE: once on each circuit, when somebody has closed.
  const size_t circuit = Last(history, Event::kCircuit);
  const bool sent = Last(history, Event::kSent) > circuit;
  EXPECT_EQ(closing.due(), !sent && (closed || peer_closed > circuit));
  EXPECT_EQ(closing.settled(), sent && closing.peer_closed());

  for (bool owes : {false, true}) {
    const bool needs = !closing.peer_closed() && !closing.abandoned() && (!closed || owes);
    EXPECT_EQ(closing.NeedsPeer(owes), needs);
    EXPECT_EQ(closing.SaidAll(owes), closing.peer_closed() || (closed && sent && !owes));
  }
}

// Whatever has happened, a remnant ends by itself, and what nobody has closed does not.
void CheckEnd(const History& history) {
  for (Event look : {Event::kReached, Event::kUnreached}) {
    Closing closing = After(history);
    const TimePoint now = TimeOf(history.size());
    const bool closed = closing.closed();
    closing.On(look, now);
    EXPECT_EQ(closing.On(look, now + kLinger + seconds(1)) == State::kAbandoned, closed);
  }
}

// Stops at the first history that fails, and leaves it.
bool Enumerate(History& history, size_t depth) {
  Check(history);
  CheckEnd(history);
  if (testing::Test::HasFailure()) return false;
  for (Event event : kEvents) {
    if (depth == 0) break;
    history.push_back(event);
    if (!Enumerate(history, depth - 1)) return false;
    history.pop_back();
  }
  return true;
}

TEST(Closing, EveryOrderOfEventsEndsWhereTheEventsSay) {
  History history;
  if (Enumerate(history, 6)) return;
  std::string text;
  for (Event event : history) text += " " + std::to_string(static_cast<int>(event));
  FAIL() << "after the events" << text;
}

TEST(Closing, ARemnantIsAbandonedAfterAMomentWithoutAWayAndAtItsDeadlineWithOne) {
  Closing closing(seconds(30));
  closing.On(Event::kReached, kStart);
  closing.On(Event::kCallerCloses);
  EXPECT_EQ(closing.On(Event::kUnreached, kStart + seconds(3)), State::kRemnant);
  EXPECT_EQ(closing.On(Event::kReached, kStart + seconds(4)), State::kRemnant);
  EXPECT_EQ(closing.On(Event::kUnreached, kStart + seconds(7)), State::kRemnant);
  EXPECT_EQ(closing.On(Event::kReached, kStart + seconds(33)), State::kRemnant);
  EXPECT_EQ(closing.On(Event::kReached, kStart + seconds(34)), State::kAbandoned);
}

}  // namespace
}  // namespace relay::stream::closing
