#include "relay/setup.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "fake/hex.h"

namespace relay {
namespace {

using fake::Hex;

OpenMessage SomeOpen() {
  OpenMessage m;
  m.name = {0x0102030405060708, 10};
  for (size_t i = 0; i < m.token.size(); ++i) m.token[i] = static_cast<std::byte>(0xa0 + i);
  m.agreement = 0x1122334455667788;
  m.source = 3;
  m.source_name = "A";
  m.route = {{3, 4, "ab", "ba"}, {4, 5, "bc", "cb"}};
  m.hop = 1;
  m.offer = {std::byte{0xfe}, std::byte{0xff}};
  m.build = "0.1";
  m.plugin = "/p.so";
  m.declared = true;
  m.settled_s = 0x01020304;
  m.source_token.fill(std::byte{0xb0});
  m.inquiry = true;
  return m;
}

OpenedMessage SomeOpened() { return {{1, 3}, {std::byte{7}}, "0.2", "/q", "n"}; }

std::span<const std::byte> Body(const std::vector<std::byte>& whole) {
  return std::span(whole).subspan(kSetupPrefixBytes);
}

Result<SetupPrefix> Prefix(const std::vector<std::byte>& whole) {
  return DecodeSetupPrefix(std::span<const std::byte, kSetupPrefixBytes>(whole.data(), kSetupPrefixBytes));
}

TEST(Setup, OpenHasTheseBytes) {
  EXPECT_EQ(Hex(EncodeOpen(SomeOpen())),
            "6e524c59"
            "0500"
            "0100"
            "8d000000"
            "0807060504030201"
            "0a000000"
            "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
            "8877665544332211"
            "0300000000000000"
            "010041"
            "0100"
            "0200"
            "0300000000000000"
            "0400000000000000"
            "02006162"
            "02006261"
            "0400000000000000"
            "0500000000000000"
            "02006263"
            "02006362"
            "0200feff"
            "0300302e31"
            "05002f702e736f"
            "0100"
            "04030201"
            "0000"
            "b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0"
            "0100");
}

OpenMessage SomeParallelOpen() {
  OpenMessage m = SomeOpen();
  m.route = {{3, 4, "ab", "ba"}};
  m.hop = 0;
  m.parallel = {{3, 4, "ab2", "ba2"}};
  return m;
}

TEST(Setup, ParallelLinksComeAfterTheSource) {
  const auto open = EncodeOpen(SomeParallelOpen());
  const std::string tail =
      "0100"
      "0300000000000000"
      "0400000000000000"
      "0300616232"
      "0300626132"
      "b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0"
      "0100";
  EXPECT_EQ(Hex(open).substr(Hex(open).size() - tail.size()), tail);
  const auto back = DecodeOpen(Body(open));
  ASSERT_TRUE(back);
  ASSERT_EQ(back->parallel.size(), 1U);
  EXPECT_EQ(back->parallel[0].to_port, "ba2");
  EXPECT_EQ(EncodeOpen(*back), open);
  for (size_t n = 0; n < Body(open).size(); ++n) EXPECT_FALSE(DecodeOpen(Body(open).first(n))) << n;
}

TEST(Setup, ParallelLinksJoinTheTwoNodesOfADirectPath) {
  auto refused = [](auto change) {
    OpenMessage m = SomeParallelOpen();
    change(m);
    return !DecodeOpen(Body(EncodeOpen(m)));
  };
  EXPECT_FALSE(refused([](OpenMessage&) {}));
  EXPECT_TRUE(refused([](OpenMessage& m) { m.parallel[0].from = 4; }));
  EXPECT_TRUE(refused([](OpenMessage& m) { m.parallel[0].to = 5; }));
  EXPECT_TRUE(refused([](OpenMessage& m) { m.route.push_back({4, 5, "bc", "cb"}); }));
  EXPECT_TRUE(refused([](OpenMessage& m) { m.route.clear(); }));
  EXPECT_TRUE(refused([](OpenMessage& m) { m.parallel[0].to_port.assign(kMaxNameBytes + 1, 'x'); }));
  // One more than is written.
  auto open = EncodeOpen(SomeParallelOpen());
  OpenMessage most = SomeParallelOpen();
  most.parallel.assign(kMaxParallelLinks + 1, most.parallel[0]);
  EXPECT_EQ(DecodeOpen(Body(EncodeOpen(most)))->parallel.size(), kMaxParallelLinks);
  open[open.size() - 46] = std::byte{kMaxParallelLinks + 1};
  EXPECT_FALSE(DecodeOpen(Body(open)));
}

TEST(Setup, OpenedHasTheseBytes) {
  EXPECT_EQ(Hex(EncodeOpened(SomeOpened())),
            "6e524c59"
            "0500"
            "0200"
            "1b000000"
            "0100000000000000"
            "03000000"
            "010007"
            "0300302e32"
            "02002f71"
            "01006e");
}

TEST(Setup, RefusedHasTheseBytes) {
  EXPECT_EQ(Hex(EncodeRefused({5, true, RefusedCode::kOwnerGone, "gone"})),
            "6e524c59"
            "0500"
            "0300"
            "12000000"
            "0500000000000000"
            "0100"
            "0200"
            "0400676f6e65");
}

TEST(Setup, WhatIsEncodedIsDecoded) {
  auto open = EncodeOpen(SomeOpen());
  auto prefix = Prefix(open);
  ASSERT_TRUE(prefix);
  EXPECT_EQ(prefix->type, SetupType::kOpen);
  EXPECT_EQ(prefix->body_length, open.size() - kSetupPrefixBytes);
  auto m = DecodeOpen(Body(open));
  ASSERT_TRUE(m);
  EXPECT_EQ(EncodeOpen(*m), open);

  auto opened = EncodeOpened(SomeOpened());
  auto o = DecodeOpened(Body(opened));
  ASSERT_TRUE(o);
  EXPECT_EQ(EncodeOpened(*o), opened);

  auto refused = EncodeRefused({5, true, RefusedCode::kOwnerGone, "gone"});
  auto r = DecodeRefused(Body(refused));
  ASSERT_TRUE(r);
  EXPECT_EQ(r->sentence, "gone");
  EXPECT_TRUE(r->final);
  EXPECT_EQ(EncodeRefused(*r), refused);
}

TEST(Setup, NothingShorterIsDecodedAndNothingMayFollow) {
  auto open = EncodeOpen(SomeOpen()), opened = EncodeOpened(SomeOpened());
  auto refused = EncodeRefused({5, true, RefusedCode::kOwnerGone, "gone"});
  for (size_t n = 0; n < Body(open).size(); ++n) EXPECT_FALSE(DecodeOpen(Body(open).first(n))) << n;
  for (size_t n = 0; n < Body(opened).size(); ++n) EXPECT_FALSE(DecodeOpened(Body(opened).first(n))) << n;
  for (size_t n = 0; n < Body(refused).size(); ++n) EXPECT_FALSE(DecodeRefused(Body(refused).first(n))) << n;
  for (auto* whole : {&open, &opened, &refused}) whole->push_back(std::byte{0});
  EXPECT_FALSE(DecodeOpen(Body(open)));
  EXPECT_FALSE(DecodeOpened(Body(opened)));
  EXPECT_FALSE(DecodeRefused(Body(refused)));
}

// Whatever is accepted says nothing that its bytes do not.
TEST(Setup, FlippedBytesAreRefusedOrMeanThemselves) {
  std::mt19937_64 random(1);
  size_t accepted = 0, refused = 0;
  const auto check = [&](std::vector<std::byte> bytes, auto decode, auto encode) {
    for (uint64_t i = random() % 3; i < 3; ++i) {
      bytes[kSetupPrefixBytes + random() % (bytes.size() - kSetupPrefixBytes)] = static_cast<std::byte>(random());
    }
    const auto message = decode(Body(bytes));
    ++(message ? accepted : refused);
    if (message) {
      ASSERT_EQ(encode(*message), bytes);
    }
  };
  for (int round = 0; round < 20000; ++round) {
    check(EncodeOpen(SomeOpen()), DecodeOpen, EncodeOpen);
    check(EncodeOpened(SomeOpened()), DecodeOpened, EncodeOpened);
    check(EncodeRefused({5, true, RefusedCode::kOwnerGone, "gone"}), DecodeRefused, EncodeRefused);
  }
  EXPECT_GT(accepted, 1000u);
  EXPECT_GT(refused, 1000u);
}

TEST(Setup, PrefixRefusesOtherMagicVersionTypeAndLength) {
  const auto good = EncodeOpen(SomeOpen());
  auto with = [&](size_t at, int value) {
    auto bad = good;
    bad[at] = static_cast<std::byte>(value);
    return Prefix(bad);
  };
  EXPECT_FALSE(with(0, 'x'));
  auto version = with(4, 2);
  ASSERT_FALSE(version);
  EXPECT_EQ(version.error().code, ErrorCode::kUsage);
  EXPECT_NE(version.error().what.find("in version 2, this node in version 5"), std::string::npos)
      << version.error().what;
  EXPECT_FALSE(with(6, 0));
  EXPECT_FALSE(with(6, 13));
  EXPECT_FALSE(with(10, 1));  // a body of 65 KiB
}

TEST(Setup, EachTypeHasItsOwnLongestBody) {
  for (uint16_t type = 1; type <= static_cast<uint16_t>(SetupType::kFindings); ++type) {
    const size_t most = MaxBody(static_cast<SetupType>(type));
    const bool table = static_cast<SetupType>(type) == SetupType::kTable;
    EXPECT_LE(most, table ? kMaxTableBody : type <= 7 ? kMaxSetupBody : size_t{40 * 1024}) << type;
    auto longest = EncodeSetup(static_cast<SetupType>(type), std::vector<std::byte>(most));
    auto prefix = Prefix(longest);
    ASSERT_TRUE(prefix) << type;
    EXPECT_EQ(prefix->body_length, most);
    EXPECT_FALSE(Prefix(EncodeSetup(static_cast<SetupType>(type), std::vector<std::byte>(most + 1)))) << type;
  }
}

TEST(Setup, TheLongestRouteAndOfferFit) {
  OpenMessage m = SomeOpen();
  m.build = std::string(kMaxBuildBytes, 'b');
  m.plugin = std::string(kMaxPluginPathBytes, 'p');
  m.source_name = std::string(kMaxNameBytes, 's');
  m.route.assign(kMaxHops, {1, 2, std::string(kMaxNameBytes, 'a'), std::string(kMaxNameBytes, 'b')});
  m.hop = kMaxHops - 1;
  m.offer.assign(kMaxOfferBytes, std::byte{1});
  auto whole = EncodeOpen(m);
  ASSERT_TRUE(Prefix(whole));
  EXPECT_TRUE(DecodeOpen(Body(whole)));
  m.route.push_back(m.route[0]);
  EXPECT_FALSE(DecodeOpen(Body(EncodeOpen(m))));
}

TEST(Setup, NamesRoutesAndOffersAreBounded) {
  auto changed = [](auto change) {
    OpenMessage m = SomeOpen();
    change(m);
    return DecodeOpen(Body(EncodeOpen(m))).has_value();
  };
  EXPECT_FALSE(changed([](OpenMessage& m) { m.hop = 2; }));
  EXPECT_FALSE(changed([](OpenMessage& m) { m.source_name = std::string(kMaxNameBytes + 1, 'x'); }));
  EXPECT_FALSE(changed([](OpenMessage& m) { m.route[0].to_port = std::string(kMaxNameBytes + 1, 'x'); }));
  EXPECT_FALSE(changed([](OpenMessage& m) { m.offer.resize(kMaxOfferBytes + 1); }));
  EXPECT_FALSE(changed([](OpenMessage& m) { m.route.clear(); }));  // hop 1 of no route
  EXPECT_TRUE(changed([](OpenMessage& m) { m.route.clear(), m.hop = 0; }));
}

TEST(Setup, LongBuildsAndPathsAreCutWhereTheyAreWrittenAndRefusedWhereRead) {
  OpenMessage m = SomeOpen();
  m.build.assign(kMaxBuildBytes + 1, 'b');
  m.plugin.assign(kMaxPluginPathBytes + 1, 'p');
  auto open = DecodeOpen(Body(EncodeOpen(m)));
  ASSERT_TRUE(open);
  EXPECT_EQ(open->build.size(), kMaxBuildBytes);
  EXPECT_EQ(open->plugin.size(), kMaxPluginPathBytes);
  auto opened = DecodeOpened(Body(EncodeOpened({{}, {}, m.build, m.plugin})));
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->plugin.size(), kMaxPluginPathBytes);
  // name, offer, then a build of one byte too many, an empty path and an empty note
  std::vector<std::byte> longer(12 + 2 + 2 + kMaxBuildBytes + 1 + 2 + 2);
  longer[14] = static_cast<std::byte>(kMaxBuildBytes + 1);
  EXPECT_FALSE(DecodeOpened(longer));
  longer.erase(longer.begin() + 16);
  longer[14] = static_cast<std::byte>(kMaxBuildBytes);
  EXPECT_TRUE(DecodeOpened(longer));
}

TEST(Setup, ALongSentenceIsCutWhereItIsWritten) {
  RefusedMessage m{1, false, RefusedCode::kLimit, std::string(5000, 'x')};
  auto r = DecodeRefused(Body(EncodeRefused(m)));
  ASSERT_TRUE(r);
  EXPECT_EQ(r->sentence.size(), kMaxSentenceBytes);
}

TEST(Setup, ATokensTextDoesNotTellIt) { EXPECT_EQ(TokenText(SomeOpen().token), "a0a1a2a3"); }

}  // namespace
}  // namespace relay
