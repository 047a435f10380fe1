#include "base/crc32c.h"

#include <array>
#include <cstring>

#include "base/codec.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__AARCH64EL__)
#include <arm_acle.h>
#include <sys/auxv.h>
#endif

namespace relay::crc32c {
namespace {

constexpr uint32_t kReflected = 0x82f63b78;  // the polynomial
constexpr size_t kWord = sizeof(uint64_t);

// kTables[n][b]: what the byte b does to the sum when n more bytes follow it.
constexpr auto kTables = [] {
  std::array<std::array<uint32_t, 256>, kWord> tables{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t sum = b;
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1) != 0 ? kReflected : 0);
    tables[0][b] = sum;
  }
  for (size_t n = 1; n < kWord; ++n) {
    for (size_t b = 0; b < 256; ++b) tables[n][b] = (tables[n - 1][b] >> 8) ^ tables[0][tables[n - 1][b] & 0xff];
  }
  return tables;
}();

#if defined(__x86_64__) || defined(__AARCH64EL__)

#if defined(__x86_64__)
#define RELAY_HAS_CRC __attribute__((target("sse4.2")))
RELAY_HAS_CRC inline uint32_t AddByte(uint32_t sum, std::byte byte) {
  return __builtin_ia32_crc32qi(sum, static_cast<uint8_t>(byte));
}
RELAY_HAS_CRC inline uint32_t AddWord(uint32_t sum, uint64_t word) {
  return static_cast<uint32_t>(__builtin_ia32_crc32di(sum, word));
}
bool HasInstruction() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_SSE4_2) != 0;
}
#else
#define RELAY_HAS_CRC __attribute__((target("+crc")))
RELAY_HAS_CRC inline uint32_t AddByte(uint32_t sum, std::byte byte) {
  return __crc32cb(sum, static_cast<uint8_t>(byte));
}
RELAY_HAS_CRC inline uint32_t AddWord(uint32_t sum, uint64_t word) { return __crc32cd(sum, word); }
bool HasInstruction() { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }
#endif

RELAY_HAS_CRC uint32_t ByHardware(std::span<const std::byte> bytes, uint32_t before) {
  uint32_t sum = ~before;
  const std::byte *at = bytes.data(), *const end = at + bytes.size();
  for (; static_cast<size_t>(end - at) >= kWord; at += kWord) {
    uint64_t word = 0;
    std::memcpy(&word, at, kWord);  // both processors are little-endian
    sum = AddWord(sum, word);
  }
  for (; at != end; ++at) sum = AddByte(sum, *at);
  return ~sum;
}
#undef RELAY_HAS_CRC

#endif

}  // namespace

uint32_t ByTables(std::span<const std::byte> bytes, uint32_t before) {
  uint32_t sum = ~before;
  while (bytes.size() >= kWord) {
    const uint64_t word = GetLe<uint64_t>(bytes.data()) ^ sum;
    sum = 0;
    for (size_t n = 0; n < kWord; ++n) sum ^= kTables[kWord - 1 - n][word >> (8 * n) & 0xff];
    bytes = bytes.subspan(kWord);
  }
  for (const std::byte byte : bytes) sum = (sum >> 8) ^ kTables[0][(sum ^ static_cast<uint32_t>(byte)) & 0xff];
  return ~sum;
}

Way ByInstruction() {
#if defined(__x86_64__) || defined(__AARCH64EL__)
  if (HasInstruction()) return ByHardware;
#endif
  return nullptr;
}

}  // namespace relay::crc32c

namespace relay {

uint32_t Crc32c(std::span<const std::byte> bytes, uint32_t before) {
  static const crc32c::Way instruction = crc32c::ByInstruction();
  return instruction != nullptr ? instruction(bytes, before) : crc32c::ByTables(bytes, before);
}

}  // namespace relay
