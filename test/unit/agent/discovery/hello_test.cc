// A hello's bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "agent/discovery/hello.h"
#include "fake/hex.h"

namespace relay::agent::discovery_hello {
namespace {

using fake::Hex;

Hello SomeHello() {
  Hello hello;
  hello.node = 0x0102030405060708;
  hello.incarnation = 0x1112;
  hello.sequence = 0x21;
  hello.name = "spark";
  hello.port = "ab";
  hello.agent_port = 21517;
  hello.longest = 9000;
  hello.rounds = 3;
  hello.answer_wanted = true;
  hello.heard = {{7, "ba"}};
  return hello;
}

fabric::Mac MacOf(char fill) {
  fabric::Mac mac;
  mac.fill(static_cast<std::byte>(fill));
  return mac;
}

TEST(HelloCodec, AHelloHasTheseBytes) {
  EXPECT_EQ(Hex(EncodeHello(SomeHello(), MacOf(0x5a))),
            "6e524c6f"          // nRLo
            "0200"              // version
            "01"                // answer wanted
            "ff"                // ttl
            "0807060504030201"  // node
            "1211000000000000"  // incarnation
            "2100000000000000"  // sequence
            "0d54"              // agent port
            "28230000"          // longest
            "03000000"          // rounds
            "0500737061726b"    // name
            "02006162"          // port
            "0100"              // heard: one
            "070000000000000002006261"
            "0000"  // no padding
            "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a");
}

TEST(HelloCodec, APaddedOneHasTheBytesThatWereAskedFor) {
  Hello hello = SomeHello();
  hello.padded = true;
  for (size_t bytes : {size_t{200}, size_t{1232}, size_t{8952}, kMaxHelloBytes}) {
    hello.bytes = bytes;
    const auto encoded = EncodeHello(hello, MacOf(1));
    EXPECT_EQ(encoded.size(), bytes);
    const auto decoded = DecodeHello(encoded);
    ASSERT_TRUE(decoded) << decoded.error().what;
    EXPECT_TRUE(decoded->hello.padded);
    EXPECT_EQ(decoded->hello.bytes, bytes);
  }
  auto speaking = EncodeHello(hello, MacOf(1));
  speaking[speaking.size() - 40] = std::byte{1};
  EXPECT_FALSE(DecodeHello(speaking)) << "padding is zeros";
}

TEST(HelloCodec, TheMacCoversAllBeforeIt) {
  const auto bytes = EncodeHello(SomeHello(), MacOf(1));
  auto sealed = DecodeHello(bytes);
  ASSERT_TRUE(sealed) << sealed.error().what;
  EXPECT_EQ(sealed->sealed_bytes, bytes.size() - 32);
  EXPECT_EQ(sealed->mac, MacOf(1));

  size_t covered = 0;
  const auto own = SealHello(SomeHello(), [&](std::span<const std::byte> part) {
    covered = part.size();
    return MacOf(1);
  });
  EXPECT_EQ(covered, bytes.size() - 32);
  EXPECT_EQ(own, bytes);
}

TEST(HelloCodec, EveryTruncationAndEveryByteMoreIsRefused) {
  auto bytes = EncodeHello(SomeHello(), {});
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(DecodeHello(std::span(bytes).first(n))) << n;
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(DecodeHello(bytes));
}

TEST(HelloCodec, RefusesWhatIsOutOfBounds) {
  auto refused = [](auto change) {
    Hello hello = SomeHello();
    change(hello);
    auto out = DecodeHello(EncodeHello(hello, {}));
    return out ? std::string("accepted") : out.error().what;
  };
  using testing::HasSubstr;
  EXPECT_THAT(refused([](Hello& h) { h.node = 0; }), HasSubstr("no node"));
  EXPECT_THAT(refused([](Hello& h) { h.agent_port = 0; }), HasSubstr("no port number"));
  EXPECT_THAT(refused([](Hello& h) { h.port = ""; }), HasSubstr("a name"));
  EXPECT_THAT(refused([](Hello& h) { h.port = "a\nb"; }), HasSubstr("a name"));
  EXPECT_THAT(refused([](Hello& h) { h.name = "\x1b[2J"; }), HasSubstr("a name"));
  EXPECT_THAT(refused([](Hello& h) { h.heard[0].node = 0; }), HasSubstr("a name"));
  EXPECT_THAT(refused([](Hello& h) { h.heard[0].port = ""; }), HasSubstr("a name"));
  auto bytes = EncodeHello(SomeHello(), {});
  bytes[4] = std::byte{9};
  EXPECT_THAT(DecodeHello(bytes).error().what, HasSubstr("version 9"));
  bytes[4] = std::byte{2};
  bytes[6] = std::byte{0x80};
  EXPECT_THAT(DecodeHello(bytes).error().what, HasSubstr("flags"));
  bytes[0] = std::byte{0};
  EXPECT_THAT(DecodeHello(bytes).error().what, HasSubstr("magic"));
}

TEST(HelloCodec, TooManyHeardAreCutByTheSenderAndRefusedFromAnotherOne) {
  Hello hello = SomeHello();
  hello.heard.assign(kMaxHeard + 1, {7, "ba"});
  auto bytes = EncodeHello(hello, {});
  auto sealed = DecodeHello(bytes);
  ASSERT_TRUE(sealed);
  EXPECT_EQ(sealed->hello.heard.size(), kMaxHeard);

  const size_t count_at = 32 + 2 + 4 + 4 + 2 + 5 + 2 + 2;
  ASSERT_EQ(bytes[count_at + 1], std::byte{1});  // 256, little-endian
  bytes[count_at] = std::byte{1};
  const auto one_more = EncodeHello(SomeHello(), {});
  bytes.insert(bytes.end() - 34, one_more.end() - 34 - 12, one_more.end() - 34);
  EXPECT_FALSE(DecodeHello(bytes));
}

TEST(HelloCodec, TheLongestHelloFitsItsBound) {
  Hello hello = SomeHello();
  hello.name.assign(100, 'n');
  hello.port.assign(100, 'p');
  hello.heard.assign(kMaxHeard, {7, std::string(100, 'q')});
  const auto bytes = EncodeHello(hello, {});
  EXPECT_LE(bytes.size(), kMaxHelloBytes);
  EXPECT_TRUE(DecodeHello(bytes));
}

RC_GTEST_PROP(HelloCodec, GivesBackEveryField, ()) {
  const auto name = rc::gen::container<std::string>(rc::gen::inRange<char>(0x20, 0x7f));
  Hello hello;
  hello.node = *rc::gen::positive<uint64_t>();
  hello.incarnation = *rc::gen::arbitrary<uint64_t>();
  hello.sequence = *rc::gen::arbitrary<uint64_t>();
  hello.name = (*name).substr(0, kMaxNameBytes);
  hello.port = "p" + (*name).substr(0, kMaxNameBytes - 1);
  hello.agent_port = *rc::gen::positive<uint16_t>();
  hello.answer_wanted = *rc::gen::arbitrary<bool>();
  hello.leaving = *rc::gen::arbitrary<bool>();
  hello.ttl = *rc::gen::arbitrary<uint8_t>();
  hello.longest = *rc::gen::arbitrary<uint32_t>();
  hello.rounds = *rc::gen::arbitrary<uint32_t>();
  hello.padded = *rc::gen::arbitrary<bool>();
  hello.bytes = *rc::gen::inRange<size_t>(0, 2000);
  for (int i = *rc::gen::inRange(0, 5); i > 0; --i) {
    hello.heard.push_back({*rc::gen::positive<uint64_t>(), "q" + (*name).substr(0, kMaxNameBytes - 1)});
  }
  const auto bytes = EncodeHello(hello, {});
  auto out = DecodeHello(bytes);
  RC_ASSERT(out.has_value());
  const Hello& back = out->hello;
  RC_ASSERT(back.node == hello.node && back.incarnation == hello.incarnation && back.sequence == hello.sequence);
  RC_ASSERT(back.name == hello.name && back.port == hello.port && back.agent_port == hello.agent_port);
  RC_ASSERT(back.answer_wanted == hello.answer_wanted && back.leaving == hello.leaving && back.ttl == hello.ttl);
  RC_ASSERT(back.heard == hello.heard && back.longest == hello.longest && back.rounds == hello.rounds);
  RC_ASSERT(back.padded == hello.padded && back.bytes >= hello.bytes);
  RC_ASSERT(EncodeHello(back, out->mac) == bytes);
}

}  // namespace
}  // namespace relay::agent::discovery_hello
