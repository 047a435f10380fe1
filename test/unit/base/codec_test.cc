#include "base/codec.h"

#include <gtest/gtest.h>

#include "base/socket_address.h"

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

TEST(SocketAddress, ParsesAndPrintsBothFamilies) {
  EXPECT_EQ(SocketAddress::Parse("10.77.0.1")->WithPort(21517).ToText(), "10.77.0.1:21517");
  EXPECT_EQ(SocketAddress::Parse("fe80::1%lo")->WithPort(1).ToText(), "[fe80::1]:1");
  for (const char* bad : {"", "10.77.0", "10.77.0.1%lo", "host", "fe80::1::2", "10.77.0.1:80"}) {
    EXPECT_FALSE(SocketAddress::Parse(bad)) << bad;
  }
  EXPECT_TRUE(SocketAddress::Parse("10.0.0.1")->WithPort(1).SameHost(*SocketAddress::Parse("10.0.0.1")));
  EXPECT_FALSE(SocketAddress::Parse("10.0.0.1")->SameHost(*SocketAddress::Parse("::1")));
}

}  // namespace
}  // namespace relay
