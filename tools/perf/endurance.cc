// So long instead of so often: what a fault in the middle does to results, to time, and to what a process holds.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "perf/benchmark.h"
#include "perf/table.h"
#include "perf/trial.h"

namespace relay::perf {
namespace {

using std::chrono::steady_clock;

// So long a batch of repetitions is meant to be: ranks that agree after each do little else when it is short.
constexpr double kBatchSeconds = 0.25;
constexpr double kLargestBatch = 256;

// What each rank tells the others after a batch.
struct Told {
  uint64_t wrong;  // in this batch
  double gap;      // seconds, the longest until now
  uint64_t next;   // repetitions of the next batch, 0: none. Rank 0's counts
};

struct Summary {
  uint64_t repetitions = 0, wrong = 0;
  double gap = 0;
  size_t gap_rank = 0;
};

class Endurance {
 public:
  Endurance(const CommunicatorFacts& facts, Trial& trial)
      : facts_(facts), trial_(trial), until_corrupt_(static_cast<int64_t>(facts.options.corrupt)) {}

  Result<Summary> Run() {
    end_ = steady_clock::now() + std::chrono::seconds(facts_.options.seconds);
    for (uint64_t batch = 1; batch > 0;) {
      const auto start = steady_clock::now();
      for (uint64_t i = 0; i < batch; ++i) RELAY_TRY(Repeat());
      auto next = Agree(batch, steady_clock::now() - start);
      RELAY_TRY(next);
      batch = *next;
    }
    if (communicator_) RELAY_TRY(End());
    return summary_;
  }

 private:
  uint64_t Next(uint64_t bytes) const {
    const Options& options = facts_.options;
    return bytes > options.max_bytes / options.factor ? options.min_bytes : bytes * options.factor;
  }

  Status Repeat() {
    RELAY_TRY(trial_.SetSize(std::exchange(bytes_, Next(bytes_))));
    if (!communicator_) RELAY_TRY(Begin());
    trial_.Fill(++seed_);
    auto launches = trial_.Launches(1);
    for (Launch& launch : launches) launch.until_corrupt = &until_corrupt_;
    communicator_->Start(launches);
    RELAY_TRY(communicator_->Wait());
    RELAY_TRY(communicator_->Drain());
    const std::chrono::duration<double> gap = communicator_->longest_gap();
    own_.gap = std::max(own_.gap, gap.count());
    own_.wrong += trial_.Wrong(seed_);
    return facts_.options.fresh ? End() : Status{};
  }

  // Repetitions of the next batch.
  Result<uint64_t> Agree(uint64_t batch, std::chrono::duration<double> lasted) {
    const auto now = steady_clock::now();
    const std::chrono::duration<double> left = end_ - now;
    const double each = std::max(lasted.count() / static_cast<double>(batch), 1e-6);
    const double fitting = std::min(kBatchSeconds, left.count()) / each;
    own_.next = now >= end_ ? 0 : static_cast<uint64_t>(std::clamp(fitting, 1.0, kLargestBatch));
    const auto all = facts_.rendezvous.Gather(own_);
    if (!all) return tl::unexpected(all.error());
    summary_.repetitions += batch;
    Add(*all);
    own_.wrong = 0;
    return all->front().next;
  }

  Status Begin() {
    auto communicator = Communicator::Init(facts_);
    RELAY_TRY(communicator);
    communicator_ = std::move(*communicator);
    RELAY_TRY(communicator_->Connect(trial_.AllSteps(), trial_.algorithm().layouts));
    return communicator_->Rest(facts_.options.hold);
  }

  Status End() {
    RELAY_TRY(communicator_->Rest(facts_.options.hold_close));
    RELAY_TRY(communicator_->Close());
    communicator_.reset();
    return {};
  }

  void Add(const std::vector<Told>& all) {
    for (size_t rank = 0; rank < all.size(); ++rank) {
      summary_.wrong += all[rank].wrong;
      if (all[rank].gap <= summary_.gap) continue;
      summary_.gap = all[rank].gap;
      summary_.gap_rank = rank;
    }
  }

  const CommunicatorFacts& facts_;
  Trial& trial_;
  std::unique_ptr<Communicator> communicator_;
  std::atomic<int64_t> until_corrupt_;
  uint64_t bytes_ = facts_.options.min_bytes;  // of the next repetition
  steady_clock::time_point end_{};
  Told own_{};
  uint32_t seed_ = 0;
  Summary summary_;
};

void Print(const CommunicatorFacts& facts, const std::string& plugin, const Summary& summary) {
  const Options& o = facts.options;
  if (o.json) {
    const std::string gap =
        o.gap ? fmt::format(",\"longest_gap_s\":{:.6f},\"gap_rank\":{}", summary.gap, summary.gap_rank) : "";
    fmt::print(
        "{{\"collective\":{},\"ranks\":{},\"abi\":\"v{}\",\"plugin\":{},\"seconds\":{},\"repetitions\":{},\"wrong\":{}{"
        "}}}\n",
        Quoted(o.pattern), facts.world.ranks, facts.net.abi(), Quoted(plugin), o.seconds, summary.repetitions,
        summary.wrong, gap);
    return;
  }
  fmt::print("# {} of {} to {} bytes for {} s, ranks {}, ncclNetPlugin_v{} of {}\n# Repetitions          : {}\n",
             o.pattern, o.min_bytes, o.max_bytes, o.seconds, facts.world.ranks, facts.net.abi(), plugin,
             summary.repetitions);
  fmt::print("# Out of bounds values : {} {}\n", summary.wrong, summary.wrong > 0 ? "FAILED" : "OK");
  if (o.gap) fmt::print("# Longest gap          : {:.6f} s on rank {}\n", summary.gap, summary.gap_rank);
}

}  // namespace

Result<bool> RunForSeconds(const CommunicatorFacts& facts, const std::string& plugin_file) {
  auto trial = Trial::Make(facts.options, facts.world, facts.net.abi());
  RELAY_TRY(trial);
  const auto summary = Endurance(facts, *trial).Run();
  if (!summary) return tl::unexpected(summary.error());
  if (facts.world.rank == 0) Print(facts, plugin_file, *summary);
  std::fflush(stdout);
  return summary->wrong == 0;
}

}  // namespace relay::perf
