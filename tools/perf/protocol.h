// NCCL's three ways to put floats into a slot of a connection's buffer. Simple: as they are; the reader is told that
// the slot is full. LL: words of 8 bytes, half of each a flag. LL128: lines of 128 bytes with a flag at the end. With
// both the reader needs to be told nothing: it polls flags in memory while the message arrives.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace relay::perf {

enum class Protocol : uint8_t { kSimple, kLl, kLl128 };
inline constexpr size_t kProtocols = 3;
inline constexpr uint64_t kSteps = 8;  // NCCL_STEPS

// A connection's buffer for one protocol, and how a chunk of work is cut into messages. A connection's messages change
// their protocol only while none is under way.
struct Layout {
  size_t slot_bytes;
  uint64_t slots;  // messages in flight at most
  int slices_per_chunk;

  size_t bytes() const { return slot_bytes * slots; }
};
struct Layouts {
  Layout simple;
  static constexpr Layout kLl{64 << 10, kSteps, 1};
  static constexpr Layout kLl128{614400, kSteps, 1};

  const Layout& Of(Protocol protocol) const;
};

// Floats that a slot holds.
size_t Capacity(Protocol protocol, size_t slot_bytes);
// Bytes that `floats` take on the wire.
size_t MessageBytes(Protocol protocol, size_t floats);

// LL and LL128
// ---------------------------------------------------------------------------------------------------------

// `flag` differs between the uses of a slot and is never 0.
void EncodeLl(std::span<const float> floats, uint32_t flag, std::byte* slot);
void EncodeLl128(std::span<const float> floats, uint32_t flag, std::byte* slot);

// Goes on from out[done] as far as flags have arrived; returns how many floats have. Every read of the slot is one
// atomic load, as a GPU's are: whoever writes there at the same time must store whole aligned words, a line's flag
// last.
size_t DecodeLl(const std::byte* slot, uint32_t flag, std::span<float> out, size_t done);
size_t DecodeLl128(const std::byte* slot, uint32_t flag, std::span<float> out, size_t done);

}  // namespace relay::perf
