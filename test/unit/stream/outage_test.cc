// Every order in which circuits can come, go and be doubted, up to a depth, against what the events themselves say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

#include "stream/outage.h"

namespace relay::stream::outage {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using State = Outage::State;

const std::vector<Outage::Event> kEvents{
    Outage::Taken{.reached = 0, .outstanding = true},
    Outage::Taken{.reached = 7, .outstanding = true},
    Outage::Dropped{},
    Outage::Lost{.sentence = "it hung up", .sys_errno = ECONNRESET},
    Outage::Lost{.sentence = "it fell silent", .sys_errno = ETIMEDOUT},
    Outage::Warned{.sentence = "link A-B is down"},
    Outage::NoOther{.sentence = "no way leads there"},
    Outage::Replacing{.replacing = true},
    Outage::Replacing{.replacing = false},
    Outage::Judged{.doubt = false, .soon = false},
    Outage::Judged{.doubt = true, .soon = false},
    Outage::Judged{.doubt = false, .soon = true},
};

using History = std::vector<size_t>;  // positions in kEvents

// The last event of this kind; null: there was none.
template <class E>
const E* Last(const History& history, size_t* behind = nullptr) {
  for (size_t i = history.size(); i != 0; --i) {
    const E* event = std::get_if<E>(&kEvents[history[i - 1]]);
    if (event == nullptr) continue;
    if (behind != nullptr) *behind = i;
    return event;
  }
  return nullptr;
}

void Check(const History& history, const Outage& outage) {
  size_t taken_at = 0, dropped_at = 0, lost_at = 0, judged_at = 0, warned_at = 0, none_at = 0;
  const auto* taken = Last<Outage::Taken>(history, &taken_at);
  const auto* lost = Last<Outage::Lost>(history, &lost_at);
  const auto* judged = Last<Outage::Judged>(history, &judged_at);
  const auto* warned = Last<Outage::Warned>(history, &warned_at);
  const auto* none = Last<Outage::NoOther>(history, &none_at);
  const auto* replacing = Last<Outage::Replacing>(history);
  Last<Outage::Dropped>(history, &dropped_at);

  const bool on_circuit = taken != nullptr && taken_at > dropped_at && taken_at > lost_at;
  EXPECT_EQ(outage.state() != State::kWithout, on_circuit);
  // A doubt is over with the circuit that it was about.
  EXPECT_EQ(outage.in_doubt(), on_circuit && judged_at > taken_at && judged->doubt);
  EXPECT_EQ(outage.replacing(), replacing != nullptr && replacing->replacing);
  EXPECT_EQ(outage.hung_up(), lost != nullptr && lost->sys_errno == ECONNRESET);
  EXPECT_EQ(outage.explained(), none != nullptr && none_at > taken_at && none_at > lost_at);
  EXPECT_FALSE(outage.exhausted());
  if (!history.empty()) {
    const size_t now = history.size();
    EXPECT_TRUE(judged_at != now || outage.soon() == judged->soon);
    EXPECT_TRUE(taken_at != now || !outage.soon());
    EXPECT_TRUE(warned_at != now || !on_circuit || outage.soon()) << "it has a moment to prove that it lives";
  }

  const std::string why = outage.WhyOver("A ab--ba B", std::chrono::seconds(30));
  EXPECT_EQ(why.starts_with("no sign of life for 30 s"), on_circuit);
  EXPECT_EQ(why.starts_with("no other way within 30 s"), !on_circuit);
  EXPECT_EQ(why.find("no way leads there") != std::string::npos, outage.explained());
  EXPECT_EQ(why.find("link A-B is down") != std::string::npos, warned != nullptr);
  EXPECT_TRUE(on_circuit || lost == nullptr || why.find("lost because " + lost->sentence) != std::string::npos);
}

// Stops at the first history that fails, and leaves it.
bool Enumerate(History& history, const Outage& outage, size_t depth) {
  Check(history, outage);
  if (testing::Test::HasFailure()) return false;
  for (size_t i = 0; depth != 0 && i != kEvents.size(); ++i) {
    Outage next = outage;
    const State state = next.On(kEvents[i]);
    EXPECT_EQ(state, next.state());
    const bool warned = std::holds_alternative<Outage::Warned>(kEvents[i]);
    EXPECT_TRUE(!warned || state != State::kWithout || next.soon() == outage.soon()) << "nothing is there to prove it";
    history.push_back(i);
    if (!Enumerate(history, next, depth - 1)) return false;
    history.pop_back();
  }
  return true;
}

TEST(Outage, EveryOrderOfEventsEndsWhereTheEventsSay) {
  History history;
  if (Enumerate(history, Outage{}, 4)) return;
  std::string text;
  for (size_t event : history) text += " " + std::to_string(event);
  FAIL() << "after the events" << text;
}

// What lives through one circuit after the other without a byte getting through is no trouble of the path.
TEST(Outage, ManyCircuitsThatBringNothingAreEnough) {
  Outage outage;
  uint64_t reached = 1;
  for (int i = 0; i <= 64; ++i) outage.On(Outage::Taken{.reached = reached, .outstanding = true});
  EXPECT_FALSE(outage.exhausted()) << "the first brought something";
  outage.On(Outage::Taken{.reached = reached, .outstanding = true});
  EXPECT_TRUE(outage.exhausted());
  outage.On(Outage::Taken{.reached = ++reached, .outstanding = true});
  EXPECT_FALSE(outage.exhausted());
  for (int i = 0; i < 100; ++i) outage.On(Outage::Taken{.reached = reached, .outstanding = false});
  EXPECT_FALSE(outage.exhausted()) << "nobody waits for anything";
}

TEST(Outage, WhyItIsOverNamesTheCircuitThatIsThereOrTheLossOfTheLast) {
  Outage outage;
  outage.On(Outage::Taken{});
  EXPECT_THAT(outage.WhyOver("A ab--ba B", std::chrono::seconds(30)),
              AllOf(HasSubstr("cable on A ab--ba B is stopped or cut"), Not(HasSubstr("lost because"))));
  outage.On(Outage::Lost{.sentence = "it hung up"});
  EXPECT_THAT(outage.WhyOver("A ab--ba B", std::chrono::seconds(30)),
              AllOf(HasSubstr("no circuit came in its place"), HasSubstr("lost because it hung up")));
}

}  // namespace
}  // namespace relay::stream::outage
