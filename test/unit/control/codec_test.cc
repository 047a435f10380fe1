#include <gtest/gtest.h>

#include <random>

#include "fake/hex.h"
#include "relay/control.h"

namespace relay::control {
namespace {

using fake::Hex;

Token SomeToken() {
  Token token;
  for (size_t i = 0; i < token.size(); ++i) token[i] = static_cast<std::byte>(i);
  return token;
}

OpenMessage SomeOpen() {
  OpenMessage m;
  m.token = SomeToken();
  m.source_name = "A";
  m.route = {{1, 2, "ab", "ba"}};
  return m;
}

ParallelPort SomePort() {
  return {"mlx5_1", 1, 200000, {*SocketAddress::Parse("10.0.0.1"), SocketAddress::Parse("10.0.0.2")->WithPort(3)}};
}

std::vector<Packet> OneOfEach() {
  Welcome welcome;
  welcome.node = 7;
  welcome.node_name = "B";
  welcome.port = 21517;
  welcome.agreement = 9;
  welcome.auto_started = true;
  welcome.devices = {{"relay0", "", 1000}};
  welcome.addresses = {SocketAddress::Parse("fe80::1")->WithPort(3)};
  welcome.rdma_reach = RdmaReach::kAll;
  welcome.verbs = {{"mlx5_0", 1}, {"mlx5_1", 2}};
  return {
      {1, Hello{1, "0.1.0", "/p.so"}},
      {2, Register{SomeToken()}},
      {3, Unregister{SomeToken()}},
      {4, Connect{5,
                  SomeToken(),
                  {6, 8},
                  9,
                  {SocketAddress::Parse("10.0.0.1")->WithPort(2)},
                  SomeToken(),
                  Purpose::kOpenBetter,
                  {{1, 2, "ab", "ba"}}}},
      {5, Cancel{}},
      {6, Query{"status"}},
      {7, welcome},
      {8, Connected{{{1, 3}, {}}, "A ab--ba B", "by a last resort", {{1, 2, "ab", "ba"}}}},
      {9, Failed{{5, true, RefusedCode::kOwnerGone, "gone"}}},
      {10, Arrived{SomeOpen(), "A ab--ba B", "by a last resort", "mlx5_0", 2, {SomePort(), {}}}},
      {11, Answer{"all neighbours", true}},
      {12, Prepare{"mlx5_0", 2, 1, 100000, {SomePort()}}},
      {13, Prepared{{std::byte{1}, std::byte{2}}, "no memory"}},
      {14, Watch{1, 2, true, {{1, 2, "ab", "ba"}}}},
      {15, Unwatch{1}},
      {16, LinkLost{1, "link A-B is down"}},
      {17, BetterPath{1, "A ab--ba B"}},
  };
}

TEST(ControlCodec, EveryMessageHasItsTypeAndSurvivesTheWay) {
  uint16_t type = 1;
  for (const Packet& packet : OneOfEach()) {
    auto bytes = Encode(packet);
    EXPECT_LE(bytes.size(), kMaxPacket);
    EXPECT_EQ(static_cast<unsigned>(bytes[4]), type);
    auto decoded = Decode(bytes);
    ASSERT_TRUE(decoded) << type << decoded.error().what;
    EXPECT_EQ(decoded->request, packet.request);
    EXPECT_EQ(decoded->message.index(), packet.message.index());
    EXPECT_EQ(Encode(*decoded), bytes);
    ++type;
  }
  EXPECT_EQ(type, std::variant_size_v<Message> + 1);
}

TEST(ControlCodec, PacketsHaveTheseBytes) {
  auto all = OneOfEach();
  EXPECT_EQ(Hex(Encode(all[0])),
            "6e524c43"
            "01000000"
            "0100000000000000"
            "0100"
            "0500302e312e30"
            "05002f702e736f");
  EXPECT_EQ(Hex(Encode(all[1])),
            "6e524c43"
            "02000000"
            "0200000000000000"
            "000102030405060708090a0b0c0d0e0f");
  EXPECT_EQ(Hex(Encode(all[3])),
            "6e524c43"
            "04000000"
            "0400000000000000"
            "0500000000000000"
            "000102030405060708090a0b0c0d0e0f"
            "0600000000000000"
            "08000000"
            "0900000000000000"
            "0100"
            "0a0031302e302e302e313a32"
            "000102030405060708090a0b0c0d0e0f"
            "0100"
            "0100"
            "0100000000000000"
            "0200000000000000"
            "02006162"
            "02006261");
  EXPECT_EQ(Hex(Encode(all[4])),
            "6e524c43"
            "05000000"
            "0500000000000000");
  EXPECT_EQ(Hex(Encode(all[6])),
            "6e524c43"
            "07000000"
            "0700000000000000"
            "0500"
            "0000"
            "0700000000000000"
            "010042"
            "0d54"
            "0900000000000000"
            "0100"
            "0100"
            "060072656c617930"
            "0000"
            "e8030000"
            "0100"
            "0b005b666538303a3a315d3a33"
            "0200"
            "0200"
            "06006d6c78355f30"
            "0100"
            "06006d6c78355f31"
            "0200");
  EXPECT_EQ(Hex(Encode(all[8])),
            "6e524c43"
            "09000000"
            "0900000000000000"
            "0500000000000000"
            "0100"
            "0200"
            "0400676f6e65");
}

std::string TextBytes(const std::string& text) {
  const auto size = static_cast<std::byte>(text.size());
  return Hex({&size, 1}) + "00" + Hex(std::as_bytes(std::span(text)));
}

// Header and body of a packet whose request is its type.
std::string PacketBytes(int type, const std::string& body) {
  const auto low = static_cast<std::byte>(type);
  return "6e524c43" + Hex({&low, 1}) + "000000" + Hex({&low, 1}) + "00000000000000" + body;
}

TEST(ControlCodec, PacketsAboutCircuitsHaveTheseBytes) {
  const auto all = OneOfEach();
  const auto bytes = [&](int type) { return Hex(Encode(all[static_cast<size_t>(type - 1)])); };
  const std::string route =
      "0100"
      "0100000000000000"
      "0200000000000000"
      "02006162"
      "02006261";
  const std::string port =
      TextBytes("mlx5_1") + "0100" + "400d0300" + "0200" + TextBytes("10.0.0.1:0") + TextBytes("10.0.0.2:3");
  const std::string path = TextBytes("A ab--ba B"), note = TextBytes("by a last resort");
  EXPECT_EQ(bytes(3), PacketBytes(3, "000102030405060708090a0b0c0d0e0f"));
  EXPECT_EQ(bytes(6), PacketBytes(6, TextBytes("status")));
  const OpenedMessage opened{{1, 3}, {}};
  EXPECT_EQ(bytes(8), PacketBytes(8, "20000000" + Hex(EncodeOpened(opened)) + path + note + route));
  EXPECT_EQ(bytes(10), PacketBytes(10, "77000000" + Hex(EncodeOpen(SomeOpen())) + path + note + TextBytes("mlx5_0") +
                                           "0200" + "0200" + port + "0000" + "0100" + "00000000" + "0000"));
  EXPECT_EQ(bytes(11), PacketBytes(11, "0100" + TextBytes("all neighbours")));
  EXPECT_EQ(bytes(12), PacketBytes(12, TextBytes("mlx5_0") + "0200" + "0100" + "a0860100" + "0100" + port));
  EXPECT_EQ(bytes(13), PacketBytes(13, "02000102" + TextBytes("no memory")));
  EXPECT_EQ(bytes(14), PacketBytes(14,
                                   "0100000000000000"
                                   "0200000000000000"
                                   "0100" +
                                       route));
  EXPECT_EQ(bytes(15), PacketBytes(15, "0100000000000000"));
  EXPECT_EQ(bytes(16), PacketBytes(16, "0100000000000000" + TextBytes("link A-B is down")));
  EXPECT_EQ(bytes(17), PacketBytes(17, "0100000000000000" + path));
}

TEST(ControlCodec, NothingShorterIsDecodedAndNothingMayFollow) {
  for (const Packet& packet : OneOfEach()) {
    auto bytes = Encode(packet);
    for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(Decode(std::span(bytes).first(n))) << n;
    bytes.push_back(std::byte{0});
    EXPECT_FALSE(Decode(bytes));
  }
}

TEST(ControlCodec, ParallelPortsAreBounded) {
  EXPECT_EQ(Hex(Encode({12, Prepare{"d", 2, 0, 5, {{"e", 1, 6}}}})),
            "6e524c43"
            "0c000000"
            "0c00000000000000"
            "010064"
            "0200"
            "0000"
            "05000000"
            "0100"
            "010065"
            "0100"
            "06000000"
            "0000");
  auto most = Decode(Encode({12, Prepare{"d", 2, 0, 5, std::vector<ParallelPort>(9, SomePort())}}));
  ASSERT_TRUE(most);
  EXPECT_EQ(std::get<Prepare>(most->message).parallel.size(), kMaxParallelLinks);
  auto bytes = Encode({12, Prepare{"d", 2, 0, 5}});
  bytes[bytes.size() - 2] = std::byte{kMaxParallelLinks + 1};
  bytes.resize(bytes.size() + (kMaxParallelLinks + 1) * 10);  // each without a name and addresses
  EXPECT_FALSE(Decode(bytes));
  ParallelPort half = SomePort();
  half.addresses.resize(1);
  EXPECT_FALSE(Decode(Encode({12, Prepare{"d", 2, 0, 5, {half}}})));
}

TEST(ControlCodec, AnOfferIsBounded) {
  auto bytes = Encode({13, Prepared{std::vector<std::byte>(kMaxOfferBytes + 1), "w"}});
  auto most = Decode(bytes);
  ASSERT_TRUE(most) << "what is too long is cut where it is written";
  EXPECT_EQ(std::get<Prepared>(most->message).offer.size(), kMaxOfferBytes);
  constexpr size_t kHeader = 16;
  bytes.insert(bytes.begin() + kHeader + 2, std::byte{0});
  bytes[kHeader] = static_cast<std::byte>((kMaxOfferBytes + 1) % 256);
  bytes[kHeader + 1] = static_cast<std::byte>((kMaxOfferBytes + 1) / 256);
  EXPECT_FALSE(Decode(bytes));
}

// Whatever is accepted says nothing that its bytes do not: only flags and addresses may be written in several ways.
TEST(ControlCodec, FlippedBytesAreRefusedOrMeanThemselves) {
  std::mt19937_64 random(2);
  for (const Packet& packet : OneOfEach()) {
    const auto good = Encode(packet);
    size_t accepted = 0, refused = 0;
    for (int round = 0; round < 3000; ++round) {
      auto bad = good;
      for (int i = 0; i < 3; ++i) bad[random() % bad.size()] = static_cast<std::byte>(random());
      if (round % 2 == 1) bad.resize(random() % (bad.size() + 1));
      const auto decoded = Decode(bad);
      ++(decoded ? accepted : refused);
      if (!decoded) continue;
      const auto again = Encode(*decoded);
      ASSERT_EQ(again.size(), bad.size()) << Hex(bad);
      const auto twice = Decode(again);
      ASSERT_TRUE(twice) << Hex(bad);
      ASSERT_EQ(Hex(Encode(*twice)), Hex(again));
    }
    EXPECT_GT(refused, 1000u) << packet.request;
    EXPECT_GT(accepted, 0u) << packet.request;
  }
}

TEST(ControlCodec, AWelcomeWithoutADeviceIsNoWelcome) {
  Welcome welcome;
  EXPECT_FALSE(Decode(Encode({1, welcome})));
}

TEST(ControlCodec, LongTextsAreCutWhereTheyAreWritten) {
  auto bytes = Encode({1, Answer{std::string(100000, 'x')}});
  EXPECT_LE(bytes.size(), kMaxPacket);
  auto answer = Decode(bytes);
  ASSERT_TRUE(answer);
  EXPECT_EQ(std::get<Answer>(answer->message).text.size(), kMaxAnswerText);
}

TEST(ControlCodec, AnAddressThatIsNoneIsNotDecoded) {
  auto bytes = Encode({4, Connect{5, SomeToken(), {6, 8}, 9, {SocketAddress::Parse("10.0.0.1")->WithPort(2)}}});
  bytes[bytes.size() - 4] = std::byte{'x'};
  EXPECT_FALSE(Decode(bytes));
}

TEST(ControlCodec, TheKnobIsTheOnlyNameWhenSet) {
  EXPECT_EQ(SocketNames("@mine"), std::vector<std::string>{"@mine"});
  EXPECT_EQ(SocketNames(""), (std::vector<std::string>{"/run/nccl-relay/agent.sock", "@nccl-relay"}));
}

}  // namespace
}  // namespace relay::control
