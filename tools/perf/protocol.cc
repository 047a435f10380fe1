#include "perf/protocol.h"

#include <algorithm>
#include <cstring>

namespace relay::perf {
namespace {

constexpr size_t kLineWords = 16;                       // of LL128, 8 bytes each
constexpr size_t kLineFloats = 2 * (kLineWords - 1);    // the last word is the flag
constexpr size_t kLlLineFloats = 2, kLlLineBytes = 16;  // NCCL writes two words at a time

// Reads a word that others may write at the same time, as std::atomic_ref does; that one takes no memory that is const.
uint64_t Load(const std::byte* word, int order) {
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(word), order);
}

size_t Lines(size_t floats, size_t per_line) { return (floats + per_line - 1) / per_line; }

}  // namespace

const Layout& Layouts::Of(Protocol protocol) const {
  switch (protocol) {
    case Protocol::kLl:
      return kLl;
    case Protocol::kLl128:
      return kLl128;
    case Protocol::kSimple:
      break;
  }
  return simple;
}

size_t Capacity(Protocol protocol, size_t slot_bytes) {
  if (protocol == Protocol::kLl) return slot_bytes / kLlLineBytes * kLlLineFloats;
  if (protocol == Protocol::kLl128) return slot_bytes / (8 * kLineWords) * kLineFloats;
  return slot_bytes / sizeof(float);
}

size_t MessageBytes(Protocol protocol, size_t floats) {
  if (protocol == Protocol::kLl) return Lines(floats, kLlLineFloats) * kLlLineBytes;
  if (protocol == Protocol::kLl128) return Lines(floats, kLineFloats) * 8 * kLineWords;
  return floats * sizeof(float);
}

void EncodeLl(std::span<const float> floats, uint32_t flag, std::byte* slot) {
  const size_t words = Lines(floats.size(), kLlLineFloats) * 2;
  for (size_t i = 0; i < words; ++i) {
    const float value = i < floats.size() ? floats[i] : 0;
    std::memcpy(slot + 8 * i, &value, 4);
    std::memcpy(slot + 8 * i + 4, &flag, 4);
  }
}

size_t DecodeLl(const std::byte* slot, uint32_t flag, std::span<float> out, size_t done) {
  for (; done < out.size(); ++done) {
    const uint64_t word = Load(slot + 8 * done, __ATOMIC_ACQUIRE);
    uint32_t halves[2];
    std::memcpy(halves, &word, 8);
    if (halves[1] != flag) break;
    std::memcpy(&out[done], &halves[0], 4);
  }
  return done;
}

void EncodeLl128(std::span<const float> floats, uint32_t flag, std::byte* slot) {
  for (size_t at = 0; at < floats.size(); at += kLineFloats, slot += 8 * kLineWords) {
    const size_t n = std::min(kLineFloats, floats.size() - at);
    const uint64_t word = flag;
    std::memset(slot, 0, 8 * kLineWords);
    std::memcpy(slot, &floats[at], n * sizeof(float));
    std::memcpy(slot + 8 * (kLineWords - 1), &word, 8);
  }
}

size_t DecodeLl128(const std::byte* slot, uint32_t flag, std::span<float> out, size_t done) {
  while (done < out.size()) {
    const std::byte* line = slot + done / kLineFloats * 8 * kLineWords;
    if (Load(line + 8 * (kLineWords - 1), __ATOMIC_ACQUIRE) != flag) break;
    uint64_t words[kLineWords - 1];
    for (size_t i = 0; i < std::size(words); ++i) words[i] = Load(line + 8 * i, __ATOMIC_RELAXED);
    const size_t n = std::min(kLineFloats, out.size() - done);
    std::memcpy(&out[done], words, n * sizeof(float));
    done += n;
  }
  return done;
}

}  // namespace relay::perf
