// Trust between agents on real sockets: what is refused, by which counter and in which words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>

#include "agent/session/message.h"
#include "agent/setup/hop_dialer.h"
#include "base/codec.h"
#include "base/log.h"
#include "unit/agent/agents.h"
#include "unit/agent/trust/keys.h"

namespace relay::agent {
namespace {

using testing::HasSubstr;

std::atomic<int> g_no_key_lines{0};

class Trust : public AgentsTest {
 protected:
  void Start(size_t node, std::shared_ptr<const Key> key) {
    auto options = OptionsFor(chain_, node);
    options.key = std::move(key);
    AgentsTest::Start(std::move(options));
  }
  OpenMessage OpenTo(size_t to) const {
    OpenMessage open;
    open.name = {RandomValue<uint64_t>(), 1};
    open.token = token_;
    open.source = chain_.nodes[0].id;
    open.source_name = "A";
    open.agreement = fabric::AgreementHash(chain_);
    open.route = fabric::RouteOf(chain_, *fabric::FindPath(chain_, 0, to));
    return open;
  }
  // As A's agent does. The answer comes when there is one.
  std::future<HopDialer::Outcome> DialFromA(OpenMessage open, std::shared_ptr<const Key> key) {
    auto answer = std::make_shared<std::promise<HopDialer::Outcome>>();
    InLoop([&] {
      a_ = OptionsFor(chain_, 0).node;
      dialer_ = std::make_unique<HopDialer>(
          loop_, a_, std::move(open), [answer](HopDialer::Outcome outcome) { answer->set_value(std::move(outcome)); },
          DialTrust{std::move(key), &a_counters_});
    });
    return answer->get_future();
  }
  RefusedMessage RefusedFromA(OpenMessage open, std::shared_ptr<const Key> key) {
    auto outcome = DialFromA(std::move(open), std::move(key)).get();
    EXPECT_FALSE(outcome);
    return outcome ? RefusedMessage{} : outcome.error();
  }
  void TearDown() override {
    InLoop([&] { dialer_.reset(); });
    SetLogSink(nullptr);
  }
  Fd CallB(const SocketAddress& from) {
    auto fd = transport::tcp::StartDial({"lo", from, chain_.nodes[1].ports[0].addresses[0].WithPort(port_)}, {});
    EXPECT_TRUE(fd) << fd.error().what;
    EXPECT_TRUE(WaitFor(fd->get(), POLLOUT));
    return std::move(*fd);
  }
  Fd CallB() { return CallB(chain_.nodes[0].ports[0].addresses[0]); }
  static bool Read(int fd, SetupReader& reader) {
    while (WaitFor(fd, POLLIN)) {
      auto progress = reader.Read(fd);
      if (!progress) return false;
      if (*progress == Progress::kDone) return true;
    }
    return false;
  }
  static RefusedMessage RefusedOn(int fd) {
    SetupReader reader;
    if (!Read(fd, reader) || reader.type() != SetupType::kRefused) return {};
    return *DecodeRefused(reader.body());
  }
  // Gone, in whatever way.
  static bool Ends(int fd) {
    return Eventually([&] {
      char room[4096];
      const ssize_t n = recv(fd, room, sizeof room, MSG_DONTWAIT);
      return n == 0 || (n < 0 && errno == ECONNRESET);
    });
  }
  uint64_t OfB(std::atomic<uint64_t> Counters::*field) { return Counter("B", field); }
  // One agent still serves.
  void ExpectBServes(std::shared_ptr<const Key> key) {
    auto client = ClientOf("B");
    ASSERT_TRUE(client->Send({0, control::Register{token_}}));
    auto answer = DialFromA(OpenTo(1), std::move(key));
    auto arrived = Next(*client);
    ASSERT_TRUE(arrived.fd);
    ASSERT_TRUE(
        WriteWhole(arrived.fd.get(), EncodeOpened({std::get<control::Arrived>(arrived.packet.message).open.name, {}})));
    EXPECT_TRUE(answer.get());
  }

  const fabric::Fabric chain_ = ChainOnLo(3);
  const Token token_ = RandomValue<Token>();
  LocalNode a_;
  Counters a_counters_;
  std::unique_ptr<HopDialer> dialer_;
};

TEST_F(Trust, OneKeyOpensCircuitsAlsoThroughARelay) {
  Start(1, KeyOf('k'));
  Start(2, KeyOf('k'));
  auto client = ClientOf("C");
  ASSERT_TRUE(client->Send({0, control::Register{token_}}));
  auto answer = DialFromA(OpenTo(2), KeyOf('k'));
  auto arrived = Next(*client);
  ASSERT_TRUE(arrived.fd);
  ASSERT_TRUE(
      WriteWhole(arrived.fd.get(), EncodeOpened({std::get<control::Arrived>(arrived.packet.message).open.name, {}})));
  auto outcome = answer.get();
  ASSERT_TRUE(outcome) << outcome.error().sentence;
  ASSERT_EQ(send(outcome->socket.get(), "hello", 5, MSG_NOSIGNAL), 5);
  EXPECT_EQ(ReadText(arrived.fd.get(), 5), "hello");
  EXPECT_EQ(OfB(&Counters::circuits_refused), 0u);
}

TEST_F(Trust, AnotherKeyIsRefusedByBothSides) {
  Start(1, KeyOf('k'));
  auto refused = RefusedFromA(OpenTo(1), KeyOf('l'));
  EXPECT_EQ(refused.code, RefusedCode::kForbidden);
  EXPECT_TRUE(refused.final);
  EXPECT_EQ(refused.sentence, "A and B hold different keys: compare the files that NCCL_RELAY_KEY_FILE names");
  EXPECT_EQ(a_counters_.handshakes_refused_key, 1u);
  EXPECT_TRUE(Eventually([&] { return OfB(&Counters::handshakes_refused_key) == 1; }));
  ExpectBServes(KeyOf('k'));
}

TEST_F(Trust, NoKeyAgainstAKeyIsRefused) {
  Start(1, KeyOf('k'));
  auto refused = RefusedFromA(OpenTo(1), nullptr);
  EXPECT_EQ(refused.code, RefusedCode::kForbidden);
  EXPECT_EQ(refused.node, chain_.nodes[1].id);
  EXPECT_EQ(refused.sentence,
            "B's fabric has a key and A offers none: set NCCL_RELAY_KEY_FILE on A to the fabric's key");
  EXPECT_EQ(OfB(&Counters::handshakes_refused_no_key), 1u);
}

TEST_F(Trust, AKeyAgainstNoneIsRefused) {
  Start(1, nullptr);
  auto refused = RefusedFromA(OpenTo(1), KeyOf('k'));
  EXPECT_EQ(refused.sentence, "B has no key and A's fabric has one: set NCCL_RELAY_KEY_FILE on B to the fabric's key");
  EXPECT_EQ(OfB(&Counters::handshakes_refused_no_key), 1u);
}

TEST_F(Trust, ARelaysNeighbourWithAnotherKeyIsNamedAtTheSource) {
  Start(1, KeyOf('k'));
  Start(2, KeyOf('l'));
  auto refused = RefusedFromA(OpenTo(2), KeyOf('k'));
  EXPECT_EQ(refused.sentence, "B and C hold different keys: compare the files that NCCL_RELAY_KEY_FILE names");
  EXPECT_EQ(OfB(&Counters::handshakes_refused_key), 1u);
}

TEST_F(Trust, AReplayedProofIsRefused) {
  Start(1, KeyOf('k'));
  DialerHandshake dialler(KeyOf('k'), {{chain_.nodes[0].id, "A"}, {chain_.nodes[1].id, "B"}, EncodeOpen(OpenTo(1))},
                          RandomNonce());
  const auto prove = dialler.Begin();
  std::vector<std::byte> proof;
  for (bool replay : {false, true}) {
    Fd fd = CallB();
    ASSERT_TRUE(WriteWhole(fd.get(), prove));
    SetupReader challenge;
    ASSERT_TRUE(Read(fd.get(), challenge));
    if (!replay) proof = dialler.Receive(challenge.type(), challenge.body()).send;
    ASSERT_TRUE(WriteWhole(fd.get(), proof));
    if (!replay) {
      EXPECT_TRUE(HalfOpenBecomes("B", 1)) << "the first time it is good";
      continue;
    }
    EXPECT_THAT(RefusedOn(fd.get()).sentence, HasSubstr("hold different keys"));
  }
  EXPECT_EQ(OfB(&Counters::handshakes_refused_key), 1u);
}

TEST_F(Trust, AnOpenThatNamesAnotherNeighbourThanTheProofIsRefused) {
  Start(1, KeyOf('k'));
  DialerHandshake thief(KeyOf('k'), {{chain_.nodes[2].id, "C"}, {}, EncodeOpen(OpenTo(1))}, RandomNonce());
  Fd fd = CallB();
  ASSERT_TRUE(WriteWhole(fd.get(), thief.Begin()));
  SetupReader challenge;
  ASSERT_TRUE(Read(fd.get(), challenge));
  ASSERT_TRUE(WriteWhole(fd.get(), thief.Receive(challenge.type(), challenge.body()).send));
  EXPECT_THAT(RefusedOn(fd.get()).sentence, HasSubstr("names A as its neighbour, but C sent it"));
  EXPECT_EQ(OfB(&Counters::opens_refused_route), 1u);
}

TEST_F(Trust, AnOpenWithAnUnknownTokenIsRefused) {
  Start(1, KeyOf('k'));
  auto refused = RefusedFromA(OpenTo(1), KeyOf('k'));
  EXPECT_EQ(refused.code, RefusedCode::kUnknownToken);
  EXPECT_EQ(OfB(&Counters::opens_refused_token), 1u);
}

TEST_F(Trust, AnOpenWhoseRouteIsNotInTheFabricIsRefused) {
  Start(1, KeyOf('k'));
  OpenMessage open = OpenTo(2);
  open.route[1].to_port = "wlan0";
  auto refused = RefusedFromA(open, KeyOf('k'));
  EXPECT_EQ(refused.code, RefusedCode::kForbidden);
  EXPECT_THAT(refused.sentence, HasSubstr("its route is no path of the declared fabric"));
  EXPECT_EQ(OfB(&Counters::opens_refused_route), 1u);
}

TEST_F(Trust, ASessionWithADeclaredFabricIsRefused) {
  Start(1, nullptr);
  Fd fd = CallB();
  ASSERT_TRUE(WriteWhole(
      fd.get(), EncodeSetup(SetupType::kSession, EncodeBody(SessionMessage{1, "X", 1, "0.1.0", "ab", "ba", 21517}))));
  EXPECT_THAT(RefusedOn(fd.get()).sentence, HasSubstr("follows a declared fabric"));
  EXPECT_EQ(OfB(&Counters::sessions_refused), 1u);
}

// Callers that stop after each byte of a greeting, and one that trickles: one deadline for the whole of it.
TEST_F(Trust, ASlowLorisIsEndedWhereverItStops) {
  Start(1, KeyOf('k'));
  const auto begun = std::chrono::steady_clock::now();
  DialerHandshake dialler(KeyOf('k'), {{chain_.nodes[0].id, "A"}, {}, EncodeOpen(OpenTo(1))}, RandomNonce());
  const auto prove = dialler.Begin();
  std::vector<Fd> calls;
  for (size_t n = 0; n < prove.size(); ++n) {
    calls.push_back(CallB());
    ASSERT_TRUE(WriteWhole(calls.back().get(), std::span(prove).first(n)));
  }
  const size_t whole_prove = calls.size();
  for (size_t n : {0, 1, 43, 44, 45, 60}) {  // after PROVE: in the prefix and body of PROOF, and in the OPEN
    DialerHandshake proving(KeyOf('k'), {{chain_.nodes[0].id, "A"}, {}, EncodeOpen(OpenTo(1))}, RandomNonce());
    calls.push_back(CallB());
    ASSERT_TRUE(WriteWhole(calls.back().get(), proving.Begin()));
    SetupReader challenge;
    ASSERT_TRUE(Read(calls.back().get(), challenge));
    const auto rest = proving.Receive(challenge.type(), challenge.body()).send;
    ASSERT_TRUE(WriteWhole(calls.back().get(), std::span(rest).first(n)));
  }
  Fd trickling = CallB();
  for (size_t at = 0; at + 1 < prove.size(); ++at) {
    pollfd p{trickling.get(), POLLIN, 0};
    if (poll(&p, 1, 200) == 1) break;
    send(trickling.get(), &prove[at], 1, MSG_NOSIGNAL);
  }
  EXPECT_TRUE(Ends(trickling.get()));
  for (const Fd& call : calls) EXPECT_TRUE(Ends(call.get()));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(15));
  EXPECT_EQ(OfB(&Counters::handshakes_late), calls.size() + 1);
  EXPECT_GT(whole_prove, 40u);
  EXPECT_TRUE(HalfOpenBecomes("B", 0));
}

TEST_F(Trust, TenThousandHalfOpenCallsLeaveRoomForAGoodOne) {
  for (auto key : {std::shared_ptr<const Key>(), KeyOf('k')}) {
    Start(1, key);
    std::deque<Fd> calls;
    for (int i = 0; i < 10'000; ++i) {
      calls.push_back(CallB());
      if (calls.size() > 1200) calls.pop_front();  // the test has few descriptors; the agent has ended these long ago
    }
    EXPECT_TRUE(Eventually([&] { return OfB(&Counters::calls_refused_share) > 0; }));
    EXPECT_THAT(Ask("B", "status"), HasSubstr("\"half_open\":"));
    ExpectBServes(key);
    Kill("B");
  }
}

TEST_F(Trust, AFloodFromOneAddressEndsItsOwnCallsOnly) {
  Start(1, nullptr);
  Fd patient = CallB(Addresses().Next());
  ASSERT_TRUE(HalfOpenBecomes("B", 1));
  std::deque<Fd> flood;
  for (int i = 0; i < 2'000; ++i) {
    flood.push_back(CallB());
    if (flood.size() > 1100) flood.pop_front();
  }
  EXPECT_TRUE(Eventually([&] { return OfB(&Counters::calls_refused_share) >= 1; }));
  pollfd p{patient.get(), POLLIN, 0};
  EXPECT_EQ(poll(&p, 1, 0), 0) << "the call of another address was ended";
}

TEST_F(Trust, OversizeAndTruncatedMessagesAreRefusedWhateverTheirType) {
  Start(1, KeyOf('k'));
  uint64_t refused = 0;
  for (uint16_t raw = 0; raw <= static_cast<uint16_t>(SetupType::kFindings) + 1; ++raw) {
    for (uint32_t length : {0u, 1u, 0xffffffffu, 2u << 20}) {
      auto bytes = EncodeSetup(static_cast<SetupType>(raw), {});
      PutLe<uint32_t>(bytes.data() + 8, length);
      if (length > 0) bytes.push_back(std::byte{0});
      const bool speaks_without_key = length <= 1 && (raw == static_cast<uint16_t>(SetupType::kOpen) ||
                                                      raw == static_cast<uint16_t>(SetupType::kSession));
      Fd fd = CallB();
      ASSERT_TRUE(WriteWhole(fd.get(), bytes));
      EXPECT_TRUE(Ends(fd.get())) << raw << " " << length;
      if (!speaks_without_key) ++refused;
    }
  }
  EXPECT_EQ(OfB(&Counters::setup_refused_bytes), refused);
  ExpectBServes(KeyOf('k'));
}

TEST_F(Trust, AFloodOfRefusalsIsFewLines) {
  Start(1, KeyOf('k'));
  g_no_key_lines = 0;
  SetLogSink([](LogLevel, const char*, int, const char* text) {
    if (std::strstr(text, "offers none") != nullptr) ++g_no_key_lines;
  });
  const auto open = EncodeOpen(OpenTo(1));
  for (int i = 0; i < 300; ++i) {
    Fd fd = CallB();
    ASSERT_TRUE(WriteWhole(fd.get(), open));
    ASSERT_EQ(RefusedOn(fd.get()).code, RefusedCode::kForbidden);
  }
  EXPECT_EQ(OfB(&Counters::handshakes_refused_no_key), 300u);
  EXPECT_GE(g_no_key_lines, 1);
  EXPECT_LE(g_no_key_lines, 10);
}

}  // namespace
}  // namespace relay::agent
