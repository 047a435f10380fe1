#include "perf/benchmark.h"

#include <algorithm>
#include <cstdio>

#include "perf/table.h"
#include "perf/trial.h"

namespace relay::perf {
namespace {

using std::chrono::steady_clock;

struct Figures {
  double microseconds, minimum, percentile, gap;
  uint64_t wrong;
};

double Microseconds(steady_clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

class Benchmark {
 public:
  Benchmark(const CommunicatorFacts& facts, Trial& trial, Communicator& communicator)
      : facts_(facts),
        trial_(trial),
        communicator_(communicator),
        until_corrupt_(static_cast<int64_t>(facts.options.corrupt)) {}

  Result<Row> Measure(uint64_t bytes) {
    RELAY_TRY(trial_.SetSize(bytes));
    Figures own{};
    RELAY_TRY(Time(own));
    for (int check = 0; check < facts_.options.checks; ++check) {
      trial_.Fill(++seed_);
      auto launches = trial_.Launches(1);
      for (Launch& launch : launches) launch.until_corrupt = &until_corrupt_;
      RELAY_TRY(Run(launches));
      own.wrong += trial_.Wrong(seed_);
    }
    RELAY_TRY(communicator_.Drain());
    own.gap = Microseconds(communicator_.longest_gap()) / 1e6;
    auto all = facts_.rendezvous.Gather(own);
    RELAY_TRY(all);
    return RowOf(*all);
  }

 private:
  Status Run(const std::vector<Launch>& launches) {
    communicator_.Start(launches);
    return communicator_.Wait();
  }

  Status Time(Figures& own) {
    const Options& options = facts_.options;
    trial_.Fill(++seed_);
    if (options.warmups > 0) RELAY_TRY(Run(trial_.Launches(options.warmups)));
    auto launches = trial_.Launches(options.iterations);
    std::vector<steady_clock::time_point> ends;
    const bool latencies = options.pattern == "pingpong";
    if (latencies) launches[0].ends = &ends;
    RELAY_TRY(facts_.rendezvous.Barrier());
    const auto start = steady_clock::now();
    RELAY_TRY(Run(launches));
    own.microseconds = Microseconds(steady_clock::now() - start) / options.iterations;
    if (options.checks > 0) own.wrong += trial_.Wrong(seed_);
    if (latencies) Summarize(start, ends, own);
    return {};
  }

  // One way is half of there and back.
  static void Summarize(steady_clock::time_point start, const std::vector<steady_clock::time_point>& ends,
                        Figures& own) {
    std::vector<double> halves;
    for (auto end : ends) halves.push_back(Microseconds(end - std::exchange(start, end)) / 2);
    std::sort(halves.begin(), halves.end());
    own.minimum = halves.front();
    own.microseconds = halves[halves.size() / 2];
    own.percentile = halves[(halves.size() - 1) * 99 / 100];
  }

  // The time is the mean over the ranks, as nccl-tests has it; that of a ping-pong is rank 0's.
  Row RowOf(const std::vector<Figures>& all) const {
    const Collective& collective = trial_.collective();
    Row row;
    row.bytes = trial_.bytes();
    row.count = trial_.count();
    row.operation = collective.reduces ? "sum" : "none";
    row.root = collective.rooted ? facts_.options.root : -1;
    row.bus_factor = collective.bus_factor(facts_.world.ranks);
    uint64_t wrong = 0;
    double sum = 0;
    for (const Figures& figures : all) {
      wrong += figures.wrong;
      sum += figures.microseconds;
      row.gap = std::max(row.gap, figures.gap);
    }
    if (facts_.options.checks > 0) row.wrong = wrong;
    const bool latencies = facts_.options.pattern == "pingpong";
    row.microseconds = latencies ? all[0].microseconds : sum / static_cast<double>(all.size());
    row.minimum = all[0].minimum;
    row.percentile = all[0].percentile;
    return row;
  }

  const CommunicatorFacts& facts_;
  Trial& trial_;
  Communicator& communicator_;
  std::atomic<int64_t> until_corrupt_;
  uint32_t seed_ = 0;
};

// Rank 0's output: the table line by line, a JSON document whole or not at all.
class Report {
 public:
  explicit Report(const CommunicatorFacts& facts) : prints_(facts.world.rank == 0), keeps_(facts.options.json) {}
  void Add(const std::string& text) {
    text_ += text;
    if (!keeps_) Flush();
  }
  void Flush() {
    if (prints_) std::fputs(text_.c_str(), stdout);
    std::fflush(stdout);
    text_.clear();
  }

 private:
  const bool prints_, keeps_;
  std::string text_;
};

}  // namespace

Result<bool> RunBenchmark(const CommunicatorFacts& facts, const std::string& plugin_file) {
  const Options& options = facts.options;
  auto trial = Trial::Make(options, facts.world, facts.net.abi());
  RELAY_TRY(trial);
  auto communicator = Communicator::Init(facts);
  RELAY_TRY(communicator);
  RELAY_TRY((*communicator)->Connect(trial->AllSteps(), trial->algorithm().layouts));
  RELAY_TRY((*communicator)->Rest(options.hold));

  const Properties& device = (*communicator)->properties();
  Table table({options, facts.world.ranks, facts.net.abi(), plugin_file, device.name, device.speed});
  Report output(facts);
  output.Add(table.Begin());
  Benchmark benchmark(facts, *trial, **communicator);
  for (uint64_t bytes = options.min_bytes;; bytes *= options.factor) {
    auto row = benchmark.Measure(bytes);
    RELAY_TRY(row);
    output.Add(table.Add(*row));
    if (bytes > options.max_bytes / options.factor) break;
  }
  output.Add(table.End());
  output.Flush();
  RELAY_TRY((*communicator)->Rest(options.hold_close));
  RELAY_TRY((*communicator)->Close());
  return table.right();
}

}  // namespace relay::perf
