// The collectives, over a range of sizes: timed repetitions, then verified ones with fresh data, out of place and in
// place.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "perf/exercise.h"
#include "perf/programs.h"
#include "perf/table.h"

namespace perf {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

// Sums over the ranks.
struct Figures {
  double seconds = 0;
  double wrong = 0;
};

class Benchmark {
 public:
  Benchmark(Session& session, const Options& options)
      : session_(session),
        options_(options),
        collective_(*FindCollective(options.collective)),
        table_(options),
        exercise_(session, collective_, options.root, CountFor(options.max_bytes), options.register_buffers) {}

  int Run();

 private:
  using Mode = Exercise::Mode;

  size_t CountFor(size_t bytes) const;
  void Warm(size_t bytes);
  void Launch(size_t count, const Mode& mode);
  double Time(size_t count, const Mode& mode);
  double Verify(size_t count, const Mode& mode);
  Measurement Measure(size_t bytes, size_t count, bool in_place);
  void Introduce();

  Session& session_;
  const Options& options_;
  const Collective& collective_;
  Table table_;
  Exercise exercise_;
  uint32_t seed_ = 0;
  double own_wrong_ = 0;
};

// The count that NCCL is given for a printed size; at least one element, so that the smallest rows move something too.
size_t Benchmark::CountFor(size_t bytes) const {
  size_t elements = bytes / sizeof(float);
  if (collective_.splits) elements /= static_cast<size_t>(session_.ranks());
  return std::max<size_t>(elements, 1);
}

void Benchmark::Launch(size_t count, const Mode& mode) {
  CheckNccl(session_.Call("launching a collective", [&] { return exercise_.Launch(count, mode); }),
            "launching a collective");
}

void Benchmark::Warm(size_t bytes) {
  const size_t count = CountFor(bytes);
  for (int i = 0; i < options_.warmups; i++) Launch(count, exercise_.ModeFor(count, false));
  session_.Finish("warming up");
}

// Seconds per repetition.
double Benchmark::Time(size_t count, const Mode& mode) {
  duration<double> busy{0};
  for (int done = 0; done < options_.iterations;) {
    // With holds every repetition stands alone; else all are in flight at once.
    const int batch = options_.hold > 0 ? 1 : options_.iterations;
    session_.Idle(duration<double>(options_.hold));
    const auto start = steady_clock::now();
    for (int i = 0; i < batch; i++) Launch(count, mode);
    session_.Finish("a timed repetition");
    busy += steady_clock::now() - start;
    done += batch;
  }
  return busy.count() / options_.iterations;
}

// Wrong elements on this rank.
double Benchmark::Verify(size_t count, const Mode& mode) {
  double wrong = 0;
  for (int i = 0; i < options_.checks; i++) {
    const Repetition repetition{count, ++seed_};
    exercise_.Fill(repetition, mode);
    session_.job().rendezvous().Barrier();
    session_.Idle(duration<double>(options_.hold));
    Launch(count, mode);
    session_.Finish("a verified repetition");
    wrong += static_cast<double>(exercise_.CountWrong(repetition, mode));
  }
  return wrong;
}

Measurement Benchmark::Measure(size_t bytes, size_t count, bool in_place) {
  const Mode mode = exercise_.ModeFor(count, in_place);
  const bool verified = options_.checks > 0 && (!in_place || collective_.in_place_defined);
  Figures own;
  if (verified && !in_place) {
    // Out of place the timed repetitions all give the same result, so the last one can be verified.
    const Repetition repetition{count, ++seed_};
    exercise_.Fill(repetition, mode);
    session_.job().rendezvous().Barrier();
    own.seconds = Time(count, mode);
    own.wrong = static_cast<double>(exercise_.CountWrong(repetition, mode));
  } else {
    session_.job().rendezvous().Barrier();
    own.seconds = Time(count, mode);
  }
  if (verified) own.wrong += Verify(count, mode);
  own_wrong_ += own.wrong;
  Figures sum;
  for (const Figures& figures : session_.job().rendezvous().Gather(own)) {
    sum.seconds += figures.seconds;
    sum.wrong += figures.wrong;
  }
  const double seconds = sum.seconds / session_.ranks();
  const double bandwidth = seconds > 0 ? static_cast<double>(bytes) / 1e9 / seconds : 0;
  Measurement measurement{seconds * 1e6, bandwidth, bandwidth * collective_.bus_factor(session_.ranks()), std::nullopt};
  if (verified) measurement.wrong = sum.wrong;
  return measurement;
}

void Benchmark::Introduce() {
  Device own{};
  own.rank = session_.rank();
  own.pid = getpid();
  gethostname(own.host, sizeof own.host - 1);
  CheckCuda(cudaGetDevice(&own.device), "cudaGetDevice");
  cudaDeviceProp properties;
  CheckCuda(cudaGetDeviceProperties(&properties, own.device), "cudaGetDeviceProperties");
  char bus[32];
  CheckCuda(cudaDeviceGetPCIBusId(bus, sizeof bus, own.device), "cudaDeviceGetPCIBusId");
  sscanf(bus, "%*x:%x", &own.bus);
  memcpy(own.name, properties.name, std::min(sizeof own.name - 1, sizeof properties.name));
  auto devices = session_.job().rendezvous().Gather(own);
  if (session_.rank() == 0) table_.Begin(devices);
}

int Benchmark::Run() {
  Introduce();
  Warm(options_.max_bytes);
  Warm(options_.min_bytes);
  for (size_t size = options_.min_bytes; size <= options_.max_bytes; size *= options_.factor) {
    const size_t count = CountFor(size);
    const size_t parts = collective_.splits ? static_cast<size_t>(session_.ranks()) : 1;
    Row row{.bytes = count * parts * sizeof(float),
            .count = count,
            .op = collective_.reduces ? "sum" : "none",
            .root = collective_.rooted ? options_.root : -1,
            .out_of_place = {},
            .in_place = {}};
    row.out_of_place = Measure(row.bytes, count, false);
    row.in_place = Measure(row.bytes, count, true);
    if (session_.rank() == 0) table_.Add(row);
  }
  if (session_.rank() == 0) table_.End();
  return own_wrong_ > 0 || table_.failures() > 0;
}

}  // namespace

int RunBenchmark(Session& session, const Options& options) { return Benchmark(session, options).Run(); }

}  // namespace perf
