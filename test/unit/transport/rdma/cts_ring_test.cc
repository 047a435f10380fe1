#include "transport/rdma/cts_ring.h"

#include <gtest/gtest.h>

#include <cstring>

namespace relay::transport::rdma::cts_ring {
namespace {

// A device writes an entry in any order of its bytes: it is believed when it is whole, and as a whole.
TEST(CtsRing, AnEntryIsBelievedOnlyWhenAllOfItIsThere) {
  const CtsEntry entry{0x7f0012345678, 1 << 20, {0xabcd, 0xabcd, 0x1abcd, 0x1abcd}};
  const CtsBytes bytes = EncodeCts(entry, 41);
  for (uint32_t mask = 0; mask < 4096; ++mask) {  // which of 12 words of 4 bytes have been written
    alignas(8) CtsBytes slot = EncodeCts({0x1111, 1 << 20, {0xabcc, 0xabcc, 0x1abcc, 0x1abcc}}, 9);
    for (size_t word = 0; word < 12; ++word) {
      if ((mask >> word & 1) != 0) std::memcpy(&slot[word * 4], &bytes[word * 4], 4);
    }
    const auto read = ReadCts(slot.data(), 41);
    const bool whole = slot == bytes;
    ASSERT_EQ(read.has_value(), whole) << mask;
    if (read) {
      EXPECT_EQ(read->address, entry.address);
      EXPECT_EQ(read->keys, entry.keys);
      EXPECT_EQ(read->capacity, entry.capacity);
    }
  }
}

TEST(CtsRing, AnEntryIsTheseBytes) {
  const CtsBytes bytes = EncodeCts({0x1122334455667788, 0x00400000, {0x0a0b0c0d, 1, 2, 0xffffffff}}, 6);
  const uint8_t golden[kCtsEntryBytes] = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00, 0x00, 0x40, 0x00,
                                          0x00, 0x00, 0x00, 0x00, 0x0d, 0x0c, 0x0b, 0x0a, 0x01, 0x00, 0x00, 0x00,
                                          0x02, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xf5, 0x64, 0xee, 0x8d,
                                          0x8b, 0x68, 0x44, 0x54, 0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
  for (size_t i = 0; i < kCtsEntryBytes; ++i) EXPECT_EQ(bytes[i], std::byte{golden[i]}) << i;
}

}  // namespace
}  // namespace relay::transport::rdma::cts_ring
