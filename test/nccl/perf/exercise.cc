#include "perf/exercise.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace perf {
namespace {

constexpr size_t kTail = 64;        // elements behind a result that nobody may write
constexpr int kUntouched = 0xff;    // as floats these bytes are not-a-numbers, which equal no expected value
constexpr size_t kPiece = 1 << 20;  // elements brought to the host at a time

}  // namespace

DeviceBuffer::DeviceBuffer(Session& session, size_t elements, bool registered)
    : comm_(registered ? session.comm() : nullptr) {
  session.UseDevice();
  CheckCuda(cudaMalloc(&data_, elements * sizeof(float)), "cudaMalloc");
  if (comm_) CheckNccl(ncclCommRegister(comm_, data_, elements * sizeof(float), &registration_), "ncclCommRegister");
}

DeviceBuffer::~DeviceBuffer() {
  if (registration_) CheckNccl(ncclCommDeregister(comm_, registration_), "ncclCommDeregister");
  cudaFree(data_);
}

Exercise::Exercise(Session& session, const Collective& collective, int root, size_t max_count, bool registered)
    : session_(session),
      collective_(collective),
      place_{session.rank(), session.ranks(), root},
      send_(session, ElementsFor(max_count, collective.send_count), registered),
      recv_(session,
            std::max(ElementsFor(max_count, collective.send_count), ElementsFor(max_count, collective.recv_count)),
            registered) {}

size_t Exercise::ElementsFor(size_t count, size_t (*size)(size_t, int)) const {
  return size(count, place_.ranks) + kTail;
}

Exercise::Mode Exercise::ModeFor(size_t count, bool in_place) const {
  if (!in_place) return {false, send_.data(), recv_.data()};
  InPlace offsets = collective_.in_place(count, place_);
  return {true, recv_.data() + offsets.send, recv_.data() + offsets.recv};
}

ncclResult_t Exercise::Launch(size_t count, const Mode& mode) {
  return collective_.launch(
      {mode.send, mode.recv, count, place_.root, place_.ranks, place_.rank, session_.comm(), session_.stream()});
}

void Exercise::Fill(const Repetition& repetition, const Mode& mode) {
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

size_t Exercise::CountWrong(const Repetition& repetition, const Mode& mode) {
  const size_t count = collective_.recv_count(repetition.count, place_.ranks);
  const int name_length = static_cast<int>(collective_.name.size());
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
        Complain("%.*s of %zu elements: element %zu is %g, expected %g", name_length, collective_.name.data(),
                 repetition.count, start + i, static_cast<double>(piece[i]), static_cast<double>(expected));
    }
  }
  // Behind the end of the buffer, whichever part of it an in-place call wrote.
  const size_t end = mode.in_place ? std::max(collective_.send_count(repetition.count, place_.ranks), count) : count;
  float tail[kTail], untouched[kTail];
  memset(untouched, kUntouched, sizeof untouched);
  CheckCuda(cudaMemcpy(tail, recv_.data() + end, sizeof tail, cudaMemcpyDeviceToHost), "cudaMemcpy");
  if (memcmp(tail, untouched, sizeof tail) != 0) {
    Complain("%.*s of %zu elements: memory behind the result was written", name_length, collective_.name.data(),
             repetition.count);
    wrong++;
  }
  return wrong;
}

}  // namespace perf
