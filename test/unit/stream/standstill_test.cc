// Every order of what an end sees, second by second: it gives up when nothing has arrived for so long, and never else.
#include "stream/standstill.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace relay::stream::standstill {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr Duration kPatience = seconds(4);
const TimePoint kStart{std::chrono::hours(1)};

enum class Event : uint8_t { kNothing, kArrives, kAnswered, kNewCircuit, kLost, kLives, kDone };
constexpr std::array kEvents = {Event::kNothing, Event::kArrives, Event::kAnswered, Event::kNewCircuit,
                                Event::kLost,    Event::kLives,   Event::kDone};

// What the promise says, from the whole history and nothing else.
struct Promise {
  bool waiting = true;
  int quiet = 0;     // seconds since something arrived or was begun to be waited for, or the other side was heard of
  int circuits = 0;  // since something arrived

  void On(Event event) {
    const bool begins = !waiting && event != Event::kDone;
    waiting = event != Event::kDone;
    ++quiet;
    if (event == Event::kNewCircuit) ++circuits;
    if (event == Event::kArrives || event == Event::kAnswered || begins) quiet = circuits = 0;
    if (event == Event::kLives && circuits < 2) quiet = 0;
  }
  bool over() const { return waiting && quiet > 4; }
};

struct Subject {
  Standstill standstill{kPatience};
  Standstill::Facts facts{.circuit = 0, .waiting = true};
  TimePoint now = kStart;
  Promise promise;

  Subject() { standstill.Judge(now, facts); }
  Standstill::Verdict On(Event event) {
    promise.On(event);
    facts.waiting = event != Event::kDone;
    if (event == Event::kArrives) ++facts.reached;
    if (event == Event::kAnswered) ++facts.answers;
    if (event == Event::kNewCircuit) facts.circuit = ++epochs;
    if (event == Event::kLost) facts.circuit = Standstill::kNone;
    if (event == Event::kLives) standstill.PeerLives();
    now += seconds(1);
    return standstill.Judge(now, facts);
  }
  int64_t epochs = 0;
};

// Stops at the first history that fails, and leaves it.
bool Enumerate(std::vector<Event>& history, const Subject& before, size_t depth) {
  for (size_t i = 0; depth != 0 && i != kEvents.size(); ++i) {
    Subject after = before;
    history.push_back(kEvents[i]);
    const auto verdict = after.On(kEvents[i]);
    EXPECT_EQ(verdict.over, after.promise.over());
    EXPECT_EQ(after.standstill.enough(), after.promise.circuits >= 2);
    if (testing::Test::HasFailure()) return false;
    if (verdict.over) {
      history.pop_back();
      continue;
    }
    if (!Enumerate(history, after, depth - 1)) return false;
    history.pop_back();
  }
  return true;
}

TEST(Standstill, IsOverWhenNothingHasArrivedForSoLongInEveryOrderOfEvents) {
  std::vector<Event> history;
  if (Enumerate(history, Subject{}, 7)) return;
  std::string text;
  for (Event event : history) text += " " + std::to_string(static_cast<int>(event));
  FAIL() << "after the events" << text;
}

// What a path that passes small packets only looks like: each circuit opens, the other process lives, nothing comes.
TEST(Standstill, CircuitsThatOpenAndAPeerThatLivesAreNoArrival) {
  Standstill standstill(seconds(30));
  Standstill::Facts facts{.circuit = 1, .waiting = true};
  TimePoint now = kStart;
  int lasted = 0;
  for (; lasted < 150 && !standstill.Judge(now, facts).over; ++lasted) {
    now += seconds(1);
    if (lasted % 3 == 2) ++facts.circuit;
    standstill.PeerLives();
  }
  EXPECT_GE(lasted, 30);
  EXPECT_LE(lasted, 38) << "two circuits are waited for";
  EXPECT_THAT(standstill.WhyOver("A ab--ba B"), HasSubstr("circuits were opened over A ab--ba B"));
  EXPECT_THAT(standstill.WhyOver("A ab--ba B"), HasSubstr("MTU"));
}

// PING travels on the socket; a device that brings nothing is not excused by it once two circuits have failed.
TEST(Standstill, AnswersThatComeBesideADeviceAreNoArrivalOfWhatItHasUnderWay) {
  for (bool beside : {false, true}) {
    Standstill standstill(seconds(30));
    Standstill::Facts facts{.circuit = 1, .waiting = true, .beside = beside};
    TimePoint now = kStart;
    standstill.Judge(now, facts);
    bool over = false;
    for (int i = 0; i < 100 && !over; ++i) {
      if (i == 1 || i == 2) ++facts.circuit;
      if (i > 2) ++facts.answers;
      over = standstill.Judge(now += seconds(1), facts).over;
    }
    EXPECT_EQ(over, beside);
  }
}

TEST(Standstill, AsksOnceASecondWhileNothingArrives) {
  Standstill standstill(seconds(30));
  Standstill::Facts facts{.circuit = 1, .waiting = true};
  int asked = 0;
  for (int i = 0; i <= 100; ++i) asked += standstill.Judge(kStart + i * std::chrono::milliseconds(100), facts).ask;
  EXPECT_GE(asked, 8);
  EXPECT_LE(asked, 10);
  for (int i = 101; i < 200; ++i) {
    ++facts.reached;
    EXPECT_FALSE(standstill.Judge(kStart + i * std::chrono::milliseconds(100), facts).ask);
  }
}

TEST(Standstill, OnesOwnSleepIsNone) {
  Standstill standstill(seconds(30));
  const Standstill::Facts facts{.circuit = 1, .waiting = true};
  standstill.Judge(kStart, facts);
  TimePoint now = kStart + std::chrono::minutes(10);
  EXPECT_FALSE(standstill.Judge(now, facts).over);
  int lasted = 0;
  while (lasted < 100 && !standstill.Judge(now += seconds(1), facts).over) ++lasted;
  EXPECT_LE(lasted, 31);
}

}  // namespace
}  // namespace relay::stream::standstill
