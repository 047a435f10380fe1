// The collectives, over a range of sizes: timed repetitions, then verified ones with fresh data, out of place and in
// place.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <vector>

#include "perf/collective.h"
#include "perf/programs.h"
#include "perf/table.h"

namespace perf {
namespace {

using std::chrono::duration;
using std::chrono::steady_clock;

constexpr size_t kTail = 64;        // elements behind a result that nobody may write
constexpr int kUntouched = 0xff;    // as floats these bytes are not-a-numbers, which equal no expected value
constexpr size_t kPiece = 1 << 20;  // elements brought to the host at a time

class DeviceBuffer {
 public:
  // With a communicator the buffer is registered, so that NCCL may hand it to the net as it is. The communicator
  // outlives it.
  DeviceBuffer(size_t elements, ncclComm_t comm) : comm_(comm) {
    CheckCuda(cudaMalloc(&data_, elements * sizeof(float)), "cudaMalloc");
    if (comm_) CheckNccl(ncclCommRegister(comm_, data_, elements * sizeof(float), &registration_), "ncclCommRegister");
  }
  ~DeviceBuffer() {
    if (registration_) CheckNccl(ncclCommDeregister(comm_, registration_), "ncclCommDeregister");
    cudaFree(data_);
  }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  float* data() const { return static_cast<float*>(data_); }

 private:
  ncclComm_t comm_;
  void* data_ = nullptr;
  void* registration_ = nullptr;
};

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
        place_{session.environment().rank, session.environment().ranks, options.root},
        table_(options),
        send_(Largest(collective_.send_count), options.register_buffers ? session.comm() : nullptr),
        recv_(std::max(Largest(collective_.send_count), Largest(collective_.recv_count)),
              options.register_buffers ? session.comm() : nullptr) {}

  int Run();

 private:
  struct Mode {
    bool in_place;
    const float* send;
    float* recv;
  };

  size_t CountFor(size_t bytes) const;
  size_t Largest(size_t (*size)(size_t, int)) const { return size(CountFor(options_.max_bytes), place_.ranks) + kTail; }
  Mode ModeFor(size_t count, bool in_place) const;
  void Warm(size_t bytes);
  void Launch(size_t count, const Mode& mode);
  double Time(size_t count, const Mode& mode);
  void Fill(const Repetition& repetition, const Mode& mode);
  size_t CountWrong(const Repetition& repetition, const Mode& mode);
  double Verify(size_t count, const Mode& mode);
  Measurement Measure(size_t bytes, size_t count, bool in_place);
  void Introduce();

  Session& session_;
  const Options& options_;
  const Collective& collective_;
  const Place place_;
  Table table_;
  DeviceBuffer send_, recv_;
  uint32_t seed_ = 0;
  double own_wrong_ = 0;
};

// The count that NCCL is given for a printed size; at least one element, so that the smallest rows move something too.
size_t Benchmark::CountFor(size_t bytes) const {
  size_t elements = bytes / sizeof(float);
  if (collective_.splits) elements /= static_cast<size_t>(place_.ranks);
  return std::max<size_t>(elements, 1);
}

Benchmark::Mode Benchmark::ModeFor(size_t count, bool in_place) const {
  if (!in_place) return {false, send_.data(), recv_.data()};
  InPlace offsets = collective_.in_place(count, place_);
  return {true, recv_.data() + offsets.send, recv_.data() + offsets.recv};
}

void Benchmark::Launch(size_t count, const Mode& mode) {
  struct Launch launch = {mode.send,    mode.recv,   count,           place_.root,
                          place_.ranks, place_.rank, session_.comm(), session_.stream()};
  CheckNccl(session_.Call("launching a collective", [&] { return collective_.launch(launch); }),
            "launching a collective");
}

void Benchmark::Warm(size_t bytes) {
  const size_t count = CountFor(bytes);
  for (int i = 0; i < options_.warmups; i++) Launch(count, ModeFor(count, false));
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

void Benchmark::Fill(const Repetition& repetition, const Mode& mode) {
  const size_t count = collective_.send_count(repetition.count, place_.ranks);
  const size_t result = collective_.recv_count(repetition.count, place_.ranks);
  const size_t touched = std::max(count, result) + kTail;
  CheckCuda(cudaMemset(recv_.data(), kUntouched, touched * sizeof(float)), "cudaMemset");
  std::vector<float> piece;
  for (size_t start = 0; start < count; start += kPiece) {
    piece.resize(std::min(kPiece, count - start));
    for (size_t i = 0; i < piece.size(); i++) piece[i] = Contribution(place_.rank, start + i, repetition.seed);
    CheckCuda(cudaMemcpy(const_cast<float*>(mode.send) + start, piece.data(), piece.size() * sizeof(float),
                         cudaMemcpyHostToDevice),
              "cudaMemcpy");
  }
}

size_t Benchmark::CountWrong(const Repetition& repetition, const Mode& mode) {
  const size_t count = collective_.recv_count(repetition.count, place_.ranks);
  size_t wrong = 0;
  std::vector<float> piece;
  for (size_t start = 0; start < count && collective_.receives(place_); start += kPiece) {
    piece.resize(std::min(kPiece, count - start));
    CheckCuda(cudaMemcpy(piece.data(), mode.recv + start, piece.size() * sizeof(float), cudaMemcpyDeviceToHost),
              "cudaMemcpy");
    for (size_t i = 0; i < piece.size(); i++) {
      float expected = collective_.expected(start + i, repetition, place_);
      if (piece[i] == expected) continue;
      if (wrong++ == 0)
        Complain("%s of %zu elements: element %zu is %g, expected %g", options_.collective.c_str(), repetition.count,
                 start + i, static_cast<double>(piece[i]), static_cast<double>(expected));
    }
  }
  // Behind the end of the buffer, whichever part of it an in-place call wrote.
  const size_t end = mode.in_place ? std::max(collective_.send_count(repetition.count, place_.ranks), count) : count;
  float tail[kTail], untouched[kTail];
  memset(untouched, kUntouched, sizeof untouched);
  CheckCuda(cudaMemcpy(tail, recv_.data() + end, sizeof tail, cudaMemcpyDeviceToHost), "cudaMemcpy");
  if (memcmp(tail, untouched, sizeof tail) != 0) {
    Complain("%s of %zu elements: memory behind the result was written", options_.collective.c_str(), repetition.count);
    wrong++;
  }
  return wrong;
}

// Wrong elements on this rank.
double Benchmark::Verify(size_t count, const Mode& mode) {
  double wrong = 0;
  for (int i = 0; i < options_.checks; i++) {
    const Repetition repetition{count, ++seed_};
    Fill(repetition, mode);
    session_.rendezvous().Barrier();
    session_.Idle(duration<double>(options_.hold));
    Launch(count, mode);
    session_.Finish("a verified repetition");
    wrong += static_cast<double>(CountWrong(repetition, mode));
  }
  return wrong;
}

Measurement Benchmark::Measure(size_t bytes, size_t count, bool in_place) {
  const Mode mode = ModeFor(count, in_place);
  const bool verified = options_.checks > 0 && (!in_place || collective_.in_place_defined);
  Figures own;
  if (verified && !in_place) {
    // Out of place the timed repetitions all give the same result, so the last one can be verified.
    const Repetition repetition{count, ++seed_};
    Fill(repetition, mode);
    session_.rendezvous().Barrier();
    own.seconds = Time(count, mode);
    own.wrong = static_cast<double>(CountWrong(repetition, mode));
  } else {
    session_.rendezvous().Barrier();
    own.seconds = Time(count, mode);
  }
  if (verified) own.wrong += Verify(count, mode);
  own_wrong_ += own.wrong;
  Figures sum;
  for (const Figures& figures : session_.rendezvous().Gather(own)) {
    sum.seconds += figures.seconds;
    sum.wrong += figures.wrong;
  }
  const double seconds = sum.seconds / place_.ranks;
  const double bandwidth = seconds > 0 ? static_cast<double>(bytes) / 1e9 / seconds : 0;
  Measurement measurement{seconds * 1e6, bandwidth, bandwidth * collective_.bus_factor(place_.ranks), std::nullopt};
  if (verified) measurement.wrong = sum.wrong;
  return measurement;
}

void Benchmark::Introduce() {
  Device own{};
  own.rank = place_.rank;
  own.pid = getpid();
  gethostname(own.host, sizeof own.host - 1);
  CheckCuda(cudaGetDevice(&own.device), "cudaGetDevice");
  cudaDeviceProp properties;
  CheckCuda(cudaGetDeviceProperties(&properties, own.device), "cudaGetDeviceProperties");
  char bus[32];
  CheckCuda(cudaDeviceGetPCIBusId(bus, sizeof bus, own.device), "cudaDeviceGetPCIBusId");
  sscanf(bus, "%*x:%x", &own.bus);
  memcpy(own.name, properties.name, std::min(sizeof own.name - 1, sizeof properties.name));
  auto devices = session_.rendezvous().Gather(own);
  if (place_.rank == 0) table_.Begin(devices);
}

int Benchmark::Run() {
  Introduce();
  Warm(options_.max_bytes);
  Warm(options_.min_bytes);
  for (size_t size = options_.min_bytes; size <= options_.max_bytes; size *= options_.factor) {
    const size_t count = CountFor(size);
    const size_t parts = collective_.splits ? static_cast<size_t>(place_.ranks) : 1;
    Row row{.bytes = count * parts * sizeof(float),
            .count = count,
            .op = collective_.reduces ? "sum" : "none",
            .root = collective_.rooted ? place_.root : -1,
            .out_of_place = {},
            .in_place = {}};
    row.out_of_place = Measure(row.bytes, count, false);
    row.in_place = Measure(row.bytes, count, true);
    if (place_.rank == 0) table_.Add(row);
  }
  if (place_.rank == 0) table_.End();
  return own_wrong_ > 0 || table_.failures() > 0;
}

}  // namespace

int RunBenchmark(Session& session, const Options& options) {
  if (options.root >= session.environment().ranks)
    Fail("-r %d: there are %d ranks", options.root, session.environment().ranks);
  return Benchmark(session, options).Run();
}

}  // namespace perf
