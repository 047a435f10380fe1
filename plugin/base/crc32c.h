// CRC-32C (Castagnoli), as iSCSI has it: the polynomial 0x1EDC6F41, bits reflected, ones before and after. Pure; by the
// processor's own instruction where it has one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace relay {

// `before`: of the bytes in front of these, 0 where there are none.
uint32_t Crc32c(std::span<const std::byte> bytes, uint32_t before = 0);

// The ways to it, each the same: for tests.
namespace crc32c {
using Way = uint32_t (*)(std::span<const std::byte> bytes, uint32_t before);
uint32_t ByTables(std::span<const std::byte> bytes, uint32_t before);
// nullptr: this processor has no instruction for it.
Way ByInstruction();
}  // namespace crc32c

}  // namespace relay
