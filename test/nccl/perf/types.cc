// All-reduce of every element type with every operator, on values for which each result is exact or nearly so.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>

#include "emulation/float16.h"
#include "perf/programs.h"

namespace perf {
namespace {

using fakecuda::Bfloat16;
using fakecuda::Half;

constexpr size_t kCount = 5001;
constexpr int kVaryingRanks = 3;  // the others contribute ones, so that products stay exact in the smallest type

template <class T>
void PutAs(void* at, double value) {
  T element;
  if constexpr (std::is_class_v<T>) {
    element = T(static_cast<float>(value));
  } else {
    element = static_cast<T>(value);
  }
  memcpy(at, &element, sizeof element);
}

template <class T>
double GetAs(const void* at) {
  T element;
  memcpy(&element, at, sizeof element);
  return static_cast<double>(element);
}

struct Type {
  ncclDataType_t type;
  const char* name;
  size_t size;
  bool is_signed, is_float;
  double average_error;  // relative
  void (*put)(void*, double);
  double (*get)(const void*);
};

template <class T>
constexpr Type MakeType(ncclDataType_t type, const char* name, bool is_signed, bool is_float, double average_error) {
  return {type, name, sizeof(T), is_signed, is_float, average_error, PutAs<T>, GetAs<T>};
}

constexpr Type kTypes[] = {
    MakeType<int8_t>(ncclInt8, "int8", true, false, 0),
    MakeType<uint8_t>(ncclUint8, "uint8", false, false, 0),
    MakeType<int32_t>(ncclInt32, "int32", true, false, 0),
    MakeType<uint32_t>(ncclUint32, "uint32", false, false, 0),
    MakeType<int64_t>(ncclInt64, "int64", true, false, 0),
    MakeType<uint64_t>(ncclUint64, "uint64", false, false, 0),
    MakeType<Half>(ncclFloat16, "half", true, true, 0.01),
    MakeType<float>(ncclFloat32, "float", true, true, 1e-5),
    MakeType<double>(ncclFloat64, "double", true, true, 1e-12),
    MakeType<Bfloat16>(ncclBfloat16, "bfloat16", true, true, 0.03),
};

struct Op {
  ncclRedOp_t op;
  const char* name;
  double (*combine)(double, double);
};

constexpr Op kOps[] = {
    {ncclSum, "sum", [](double a, double b) { return a + b; }},
    {ncclProd, "prod", [](double a, double b) { return a * b; }},
    {ncclMin, "min", [](double a, double b) { return std::fmin(a, b); }},
    {ncclMax, "max", [](double a, double b) { return std::fmax(a, b); }},
    {ncclAvg, "avg", [](double a, double b) { return a + b; }},
};

double ValueOf(const Type& type, int rank, size_t index) {
  double value = rank < kVaryingRanks ? static_cast<double>((index * 5 + static_cast<size_t>(rank) * 3) % 4) : 1;
  return type.is_signed && index % 2 ? -value : value;
}

bool IsRight(const Type& type, const Op& op, double got, size_t index, int ranks) {
  double expected = ValueOf(type, 0, index), tolerance = 0;
  for (int rank = 1; rank < ranks; rank++) expected = op.combine(expected, ValueOf(type, rank, index));
  if (op.op == ncclAvg) {
    expected /= ranks;
    if (type.is_float) {
      // Contributions are scaled before they are summed, so cancelled sums keep the error of their parts.
      tolerance = type.average_error * (std::fabs(expected) + 3);
    } else {
      expected = std::trunc(expected);
    }
  }
  return std::fabs(got - expected) <= tolerance;
}

// Wrong elements.
size_t TryPair(Session& session, const Type& type, const Op& op) {
  std::vector<char> host(kCount * type.size);
  for (size_t i = 0; i < kCount; i++) type.put(&host[i * type.size], ValueOf(type, session.rank(), i));
  void *send, *recv;
  CheckCuda(cudaMalloc(&send, host.size()), "cudaMalloc");
  CheckCuda(cudaMalloc(&recv, host.size()), "cudaMalloc");
  CheckCuda(cudaMemcpy(send, host.data(), host.size(), cudaMemcpyHostToDevice), "cudaMemcpy");
  CheckNccl(session.Call(
                "ncclAllReduce",
                [&] { return ncclAllReduce(send, recv, kCount, type.type, op.op, session.comm(), session.stream()); }),
            "ncclAllReduce");
  session.Finish("an all-reduce");
  CheckCuda(cudaMemcpy(host.data(), recv, host.size(), cudaMemcpyDeviceToHost), "cudaMemcpy");
  CheckCuda(cudaFree(send), "cudaFree");
  CheckCuda(cudaFree(recv), "cudaFree");
  size_t wrong = 0;
  for (size_t i = 0; i < kCount; i++) {
    double got = type.get(&host[i * type.size]);
    if (IsRight(type, op, got, i, session.ranks())) continue;
    if (wrong++ == 0) Complain("%s %s: element %zu is %g", type.name, op.name, i, got);
  }
  return wrong;
}

}  // namespace

int RunTypes(Session& session, const Options& options) {
  int right = 0, wrong = 0;
  for (const Type& type : kTypes) {
    for (const Op& op : kOps) {
      // NCCL averages the values of a single rank with a kernel of another kind, which is not emulated.
      if (session.ranks() == 1 && op.op == ncclAvg) continue;
      TryPair(session, type, op) ? wrong++ : right++;
    }
  }
  int wrong_somewhere = 0;
  for (int count : session.job().rendezvous().Gather(wrong)) wrong_somewhere += count;
  if (session.rank() == 0)
    printf(options.json ? "{\"collective\":\"types\",\"right\":%d,\"wrong\":%d}\n"
                        : "# types x operators: %d right on rank 0, %d wrong over all ranks\n",
           right, wrong_somewhere);
  return wrong > 0 || wrong_somewhere > 0;
}

}  // namespace perf
