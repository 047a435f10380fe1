// Every completion status and asynchronous event, once in every state of a connection, at every device on its path:
// each ends in recovery or in an error with a sentence, never in a hang, a leak, or a byte written after close.
#include <dirent.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "faults/states.h"

namespace relay::faults {
namespace {

constexpr size_t kCallerBytes = 1 << 20;
// What a fault ends has ended by then: the far side's silence first, then nothing that moves.
constexpr Duration kLongest = fake::RdmaChain::kHopTimeout + kRecoverTimeout;

size_t OpenDescriptors() {
  DIR* all = opendir("/proc/self/fd");
  size_t count = 0;
  while (readdir(all) != nullptr) ++count;
  closedir(all);
  return count;
}

struct Verdict {
  // e: every request ended, with an error somewhere; g: traffic went on; c: closed, nothing to tell; -: not there.
  char mark = '!';
  std::string wrong = {};
};

std::string Told(const Connection& c) {
  std::string all;
  for (const std::string& sentence : c.told()) all += "\n      " + sentence;
  return all;
}

// Both ends close, and nothing reaches for memory that is gone.
std::string CloseBoth(Connection& c) {
  for (End* end : {&c.sender, &c.receiver}) {
    if (!end->closed) c.Close(*end);
    c.Turn();
  }
  if (!c.TurnUntil([&] { return c.finished(); }, kLongest)) return "a remnant never finishes";
  for (int turn = 0; turn < 4; ++turn) c.Turn();
  return "";
}

// Whatever happened: bytes that are right, sentences that advise, and nothing left. `wrong`: what is known already.
std::string TearDown(Connection& c, std::string wrong) {
  const std::string left = c.TearDown();
  const auto traffic = c.chain.verbs.traffic();
  if (!wrong.empty()) return wrong;
  if (!c.wrong_bytes().empty()) return c.wrong_bytes();
  if (!c.WrongSentence().empty()) return "a sentence without advice: " + c.WrongSentence();
  if (!left.empty()) return "left behind: " + left;
  if (traffic.after_deregistration != 0) return "a device reached for memory that was deregistered";
  return traffic.receiver_not_ready != 0 ? "a device found no receive" : "";
}

class Cell {
 public:
  Cell(size_t relays, size_t device, State state, const Fault& fault, std::array<fake::CallerMemory*, 2> memory)
      : c_(relays, memory), device_(device), state_(state), fault_(fault) {}

  Verdict Run() {
    Verdict verdict;
    verdict.wrong = TearDown(c_, Play(verdict.mark));
    if (!verdict.wrong.empty()) verdict.mark = '!';
    return verdict;
  }

 private:
  // Where requests end in errors by themselves, or none is left.
  bool ends_anyway() const { return state_ >= State::kCancelled; }
  bool must_end() const { return fault_.outcome == Fault::Outcome::kEnds; }

  std::string Play(char& mark) {
    if (!c_.Make() || (state_ != State::kSetUp && !c_.Open())) return "no connection: " + Told(c_);
    if (!Reach(c_, state_)) return "the state was not reached";
    if (!Inject(c_, c_.chain.names[device_], fault_)) {
      mark = '-';
      c_.stalled = nullptr;
      return ends_anyway() ? CloseBoth(c_) : "there is no queue pair";
    }
    c_.Turn();
    c_.stalled = nullptr;
    if (state_ == State::kSetUp && !c_.Open()) {
      mark = 'e';
      return must_end() ? JudgeTold() : "no connection: " + Told(c_);
    }
    c_.Settle();
    if (!ends_anyway()) Complete(c_, state_);
    if (!c_.TurnUntil([&] { return c_.AllEnded(); }, kLongest)) return "a request never ends";
    // What went well so far did so before the fault was met.
    if (!ends_anyway() && c_.told().empty()) {
      c_.Receive(5000);
      c_.Send(5000);
      if (!c_.TurnUntil([&] { return c_.AllEnded(); }, kLongest)) return "a later request never ends";
    }
    const bool told = !c_.told().empty();
    mark = told ? 'e' : ends_anyway() ? 'c' : 'g';
    if (!ends_anyway() && told != must_end()) return must_end() ? "nothing ended" : "it ended: " + Told(c_);
    const std::string wrong = CloseBoth(c_);
    return wrong.empty() && told && !ends_anyway() ? JudgeTold() : wrong;
  }

  // Somebody names the device, or the one at the other end of its link, which hears it fall silent.
  std::string JudgeTold() const {
    const std::string &device = c_.chain.names[device_], &other = c_.chain.names[device_ ^ 1];
    for (const std::string& sentence : c_.told()) {
      if (sentence.find(device) != std::string::npos || sentence.find(other) != std::string::npos) return "";
    }
    return "nobody names " + device + ": " + Told(c_);
  }

  Connection c_;
  const size_t device_;
  const State state_;
  const Fault& fault_;
};

// Messages go one after the other, and at some moment something happens at some device.
RC_GTEST_PROP(FaultsAtAnyMoment, EndInRecoveryOrInASentence, ()) {
  static fake::CallerMemory from(kCallerBytes), to(kCallerBytes);
  static const std::vector<Fault> faults = AllFaults();
  const auto relays = *rc::gen::inRange<size_t>(0, 3);
  const auto device = *rc::gen::inRange<size_t>(0, 2 * (relays + 1));
  const Fault& fault = faults[*rc::gen::inRange<size_t>(0, faults.size())];
  const auto sizes = *rc::gen::nonEmpty(
      rc::gen::resize(12, rc::gen::container<std::vector<size_t>>(
                              rc::gen::oneOf(rc::gen::inRange<size_t>(0, 300), rc::gen::inRange<size_t>(0, 60000)))));
  const auto moment = *rc::gen::inRange(0, 60);
  Connection c(relays, {&from, &to});
  RC_ASSERT(c.Make());
  RC_ASSERT(c.Open());
  for (size_t size : sizes) c.Receive(size);
  for (size_t size : sizes) c.Send(size);
  for (int turn = 0; turn < moment; ++turn) c.Turn();
  Inject(c, c.chain.names[device], fault);
  std::string wrong = c.TurnUntil([&] { return c.AllEnded(); }, kLongest) ? "" : "a request never ends";
  if (wrong.empty() && fault.outcome == Fault::Outcome::kGoesOn && !c.told().empty()) wrong = "it ended:" + Told(c);
  if (wrong.empty()) wrong = CloseBoth(c);
  wrong = TearDown(c, wrong);
  if (!wrong.empty()) RC_FAIL(fault.name + " at " + c.chain.names[device] + ": " + wrong);
}

// Relays on the path, and which of its devices fails.
class Faults : public testing::TestWithParam<std::pair<size_t, size_t>> {};

TEST_P(Faults, EndInRecoveryOrInASentence) {
  fake::CallerMemory from(kCallerBytes), to(kCallerBytes);
  const auto [relays, device] = GetParam();
  const size_t descriptors = OpenDescriptors();
  std::string matrix = "fault                          ", wrong;
  for (const char* name : kStateNames) matrix += " " + std::string(name);
  for (const Fault& fault : AllFaults()) {
    matrix += "\n" + fault.name + std::string(fault.name.size() < 31 ? 31 - fault.name.size() : 0, ' ');
    for (const State state : kStates) {
      const std::string name = kStateNames[static_cast<size_t>(state)];
      const Verdict verdict = Cell(relays, device, state, fault, {&from, &to}).Run();
      matrix += " " + std::string(name.size() - 1, ' ') + verdict.mark;
      if (!verdict.wrong.empty()) wrong += "\n  " + fault.name + ", " + name + ": " + verdict.wrong;
    }
  }
  EXPECT_TRUE(wrong.empty()) << matrix << wrong;
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

std::vector<std::pair<size_t, size_t>> EveryDevice() {
  std::vector<std::pair<size_t, size_t>> all;
  for (size_t relays = 0; relays <= 2; ++relays) {
    for (size_t device = 0; device < 2 * (relays + 1); ++device) all.emplace_back(relays, device);
  }
  return all;
}

std::string DeviceText(const testing::TestParamInfo<std::pair<size_t, size_t>>& info) {
  const auto [relays, device] = info.param;
  const std::string path = relays == 0 ? "Direct" : relays == 1 ? "OneRelay" : "TwoRelays";
  if (device == 0) return path + "Sender";
  if (device == 2 * relays + 1) return path + "Receiver";
  return path + (device % 2 == 1 ? "In" : "Out") + std::to_string((device + 1) / 2);
}

INSTANTIATE_TEST_SUITE_P(AtEveryDevice, Faults, testing::ValuesIn(EveryDevice()), DeviceText);

}  // namespace
}  // namespace relay::faults
