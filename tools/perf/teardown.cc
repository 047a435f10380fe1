// The end of a communicator at any moment, as ncclCommAbort makes it, and the life after it.
#include <fmt/format.h>

#include <cstdio>
#include <thread>

#include "perf/benchmark.h"
#include "perf/table.h"
#include "perf/trial.h"

namespace relay::perf {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kAfterBytes = 64 << 10;
constexpr milliseconds kPoll(1);

struct Round {
  uint64_t in_flight, wrong;
};

// All-reduces without end until `messages` have come, or another rank's end is noticed, or nothing moves any more.
void RunForAWhile(Communicator& communicator, const std::vector<Launch>& launches, uint64_t messages) {
  communicator.Start(launches);
  constexpr milliseconds kSilence(500);
  auto last = std::chrono::steady_clock::now();
  for (uint64_t seen = 0; communicator.moved() < messages && !communicator.failed();) {
    const auto now = std::chrono::steady_clock::now();
    if (communicator.moved() != seen) last = now;
    seen = communicator.moved();
    if (now - last > kSilence) return;
    std::this_thread::sleep_for(kPoll);
  }
}

class Teardown {
 public:
  Teardown(const CommunicatorFacts& facts, Trial& trial) : facts_(facts), trial_(trial) {}

  Result<Round> Play(int round) {
    auto in_flight = Abort(round);
    RELAY_TRY(in_flight);
    auto wrong = UseAgain(static_cast<uint32_t>(round) + 1);
    RELAY_TRY(wrong);
    auto all = facts_.rendezvous.Gather(Round{*in_flight, *wrong});
    RELAY_TRY(all);
    Round sum{};
    for (const Round& one : *all) {
      sum.in_flight += one.in_flight;
      sum.wrong += one.wrong;
    }
    return sum;
  }

 private:
  Result<std::unique_ptr<Communicator>> Make() {
    auto communicator = Communicator::Init(facts_);
    if (!communicator) return communicator;
    RELAY_TRY((*communicator)->Connect(trial_.AllSteps(), trial_.algorithm().layouts));
    return communicator;
  }

  // Each round another rank is the first to go, and at another point of the work.
  Result<uint64_t> Abort(int round) {
    RELAY_TRY(trial_.SetSize(facts_.options.max_bytes));
    auto communicator = Make();
    RELAY_TRY(communicator);
    const auto launches = trial_.Launches(1 << 20);
    const int turn = (facts_.world.rank + round) % facts_.world.ranks;
    RunForAWhile(**communicator, launches, static_cast<uint64_t>(round * 3 + turn * 8 + 1));
    const size_t in_flight = (*communicator)->Stop();
    RELAY_TRY((*communicator)->LeakListenComm());
    RELAY_TRY((*communicator)->Close());
    return in_flight;
  }

  Result<uint64_t> UseAgain(uint32_t seed) {
    RELAY_TRY(trial_.SetSize(std::min(kAfterBytes, facts_.options.max_bytes)));
    auto communicator = Make();
    RELAY_TRY(communicator);
    trial_.Fill(seed);
    const auto launches = trial_.Launches(1);
    (*communicator)->Start(launches);
    RELAY_TRY((*communicator)->Wait());
    RELAY_TRY((*communicator)->Drain());
    const uint64_t wrong = trial_.Wrong(seed);
    RELAY_TRY((*communicator)->Close());
    return wrong;
  }

  const CommunicatorFacts& facts_;
  Trial& trial_;
};

}  // namespace

Result<bool> RunTeardown(const CommunicatorFacts& facts) {
  Options options = facts.options;
  options.pattern = "all_reduce";
  auto trial = Trial::Make(options, facts.world, facts.net.abi());
  RELAY_TRY(trial);
  Teardown teardown(facts, *trial);
  Round sum{};
  int failures = 0;
  for (int i = 0; i < options.iterations; ++i) {
    auto round = teardown.Play(i);
    RELAY_TRY(round);
    sum.in_flight += round->in_flight;
    sum.wrong += round->wrong;
    failures += round->wrong > 0;
  }
  if (facts.world.rank == 0 && options.json) {
    std::printf(
        "{\"collective\":\"teardown\",\"ranks\":%d,\"abi\":\"v%d\",\"rounds\":%d,\"in_flight\":%llu,\"wrong\":%llu}\n",
        facts.world.ranks, facts.net.abi(), options.iterations, static_cast<unsigned long long>(sum.in_flight),
        static_cast<unsigned long long>(sum.wrong));
  } else if (facts.world.rank == 0) {
    std::printf("# Requests in flight when a communicator ended : %llu in %d rounds\n# Out of bounds values : %d %s\n",
                static_cast<unsigned long long>(sum.in_flight), options.iterations, failures,
                failures > 0 ? "FAILED" : "OK");
  }
  if (sum.in_flight == 0 && facts.world.ranks > 1) {
    return Fail(ErrorCode::kInternal,
                "no request was in flight in any round: nothing was tried; give more or larger ones");
  }
  return failures == 0;
}

}  // namespace relay::perf
