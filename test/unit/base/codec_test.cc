#include "base/codec.h"

#include <gtest/gtest.h>

namespace relay {
namespace {

TEST(Codec, ReadsWhatWasWrittenAndNothingBeyond) {
  ByteWriter w;
  w.Put<uint8_t>(1);
  w.Put<uint16_t>(0x0203);
  w.Put<uint64_t>(0x0405060708090a0b);
  w.PutString("abc");
  auto bytes = w.take();
  ByteReader r(bytes);
  EXPECT_EQ(r.Get<uint8_t>(), 1);
  EXPECT_EQ(r.Get<uint16_t>(), 0x0203);
  EXPECT_EQ(r.Get<uint64_t>(), 0x0405060708090a0bu);
  EXPECT_EQ(r.GetString(3), "abc");
  EXPECT_TRUE(r.AtEnd());
  EXPECT_EQ(r.Get<uint32_t>(), 0u);
  EXPECT_FALSE(r.ok());
}

TEST(Codec, ATruncatedOrOverlongStringIsNotRead) {
  ByteWriter w;
  w.PutString("abcdef");
  auto bytes = w.take();
  EXPECT_FALSE([&] {
    ByteReader r(bytes);
    r.GetString(5);
    return r.ok();
  }());
  bytes.pop_back();
  EXPECT_FALSE([&] {
    ByteReader r(bytes);
    r.GetString(10);
    return r.ok();
  }());
}

}  // namespace
}  // namespace relay
