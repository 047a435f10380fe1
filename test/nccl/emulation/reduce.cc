#include "emulation/reduce.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <type_traits>

#include "emulation/float16.h"
#include "emulation/function.h"
#include "fakecuda/config.h"
#include "fakecuda/log.h"

namespace fakecuda {
namespace {

constexpr size_t kBlock = 1024;  // elements accumulated at a time

template <class T, int kOp>
struct Operator {
  uint64_t argument;
  T scalar;

  explicit Operator(uint64_t value) : argument(value) { memcpy(&scalar, &value, sizeof scalar); }

  T Pre(T x) const { return kOp == kPreMulSum ? static_cast<T>(x * scalar) : x; }

  T Combine(T a, T b) const {
    if constexpr (kOp == kProd) {
      return static_cast<T>(a * b);
    } else if constexpr (kOp == kMinMax && std::is_integral_v<T>) {
      // The argument is a mask that turns signed order, and maximum, into an unsigned minimum.
      T mask = static_cast<T>(argument);
      return static_cast<T>(a ^ mask) < static_cast<T>(b ^ mask) ? a : b;
    } else if constexpr (kOp == kMinMax) {
      bool minimum = (argument & 1) == 0;
      return (b < a) == minimum ? b : a;
    } else {
      return static_cast<T>(a + b);
    }
  }

  // Integer averages: the argument is the divisor times two, plus one for signed elements.
  T Post(T x) const {
    if constexpr (kOp == kSumPostDiv && std::is_integral_v<T>) {
      constexpr T kSignBit = static_cast<T>(T{1} << (8 * sizeof(T) - 1));
      uint64_t divisor = static_cast<uint32_t>(argument) >> 1;
      bool negative = (argument & 1) && (x & kSignBit);
      T quotient = static_cast<T>((negative ? static_cast<T>(-x) : x) / divisor);
      return negative ? static_cast<T>(-quotient) : quotient;
    }
    return x;
  }
};

template <class T, int kOp>
void Reduce(const Destinations& to, const Sources& from, size_t elements, const Reduction& how) {
  bool transforms = (how.pre && kOp == kPreMulSum) || (how.post && kOp == kSumPostDiv);
  if (from.count == 1 && !transforms) {
    for (int i = 0; i < to.count; i++)
      if (to.pointers[i] != from.pointers[0]) memmove(to.pointers[i], from.pointers[0], elements * sizeof(T));
    return;
  }
  const Operator<T, kOp> op(how.argument);
  T sum[kBlock];
  for (size_t done = 0; done < elements; done += kBlock) {
    size_t count = std::min(kBlock, elements - done);
    auto* first = static_cast<const T*>(from.pointers[0]) + done;
    for (size_t i = 0; i < count; i++) sum[i] = how.pre ? op.Pre(first[i]) : first[i];
    for (int source = 1; source < from.count; source++) {
      auto* next = static_cast<const T*>(from.pointers[source]) + done;
      for (size_t i = 0; i < count; i++) sum[i] = op.Combine(sum[i], next[i]);
    }
    if (how.post)
      for (size_t i = 0; i < count; i++) sum[i] = op.Post(sum[i]);
    for (int i = 0; i < to.count; i++) memcpy(static_cast<T*>(to.pointers[i]) + done, sum, count * sizeof(T));
  }
}

template <class T>
Reducer ForType(int op) {
  static constexpr ReduceFunction kFunctions[kReduceOps] = {Reduce<T, kSum>, Reduce<T, kProd>, Reduce<T, kMinMax>,
                                                            Reduce<T, kPreMulSum>, Reduce<T, kSumPostDiv>};
  return {kFunctions[op], sizeof(T)};
}

// A high bit, so that no rounding of a later sum hides it.
void FlipBit(const Destinations& to, size_t element) { static_cast<char*>(to.pointers[0])[element - 1] ^= 0x20; }

}  // namespace

void Reducer::Run(const Destinations& to, const Sources& from, size_t elements, const Reduction& how) const {
  function(to, from, elements, how);
  static std::atomic<long> blocks{0};
  long interval = GetConfig().flip_interval;
  if (interval == 0) return;
  if (long number = ++blocks; number % interval == 0) {
    FlipBit(to, element);
    Log(1, "flipped a bit in block %ld of %zu elements", number, elements);
  }
}

Reducer FindReducer(int type, int op) {
  switch (type) {  // sums and products of signed integers are those of unsigned ones
    case kI8:
    case kU8:
      return ForType<uint8_t>(op);
    case kI32:
    case kU32:
      return ForType<uint32_t>(op);
    case kI64:
    case kU64:
      return ForType<uint64_t>(op);
    case kF16:
      return ForType<Half>(op);
    case kF32:
      return ForType<float>(op);
    case kF64:
      return ForType<double>(op);
    case kBf16:
      return ForType<Bfloat16>(op);
    default:
      Die("reductions of element type %d (fp8) are not emulated", type);
  }
}

}  // namespace fakecuda
