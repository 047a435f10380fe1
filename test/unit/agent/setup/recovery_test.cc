// Asking whether the other end lives, circuits that take another's place, what one process or neighbour may have, and
// a circuit whose receiver does not read.
#include <gmock/gmock.h>

#include <algorithm>

#include "unit/agent/agents.h"

namespace relay::agent::recovery {
namespace {

using testing::HasSubstr;

class Recovery : public AgentsTest {
 protected:
  control::Connect Inquiry(size_t node) {
    control::Connect out = To(square_, node, token_);
    out.purpose = control::Purpose::kInquire;
    return out;
  }
  // A client keeps what the agent does not take at once, but not without end.
  static void SendNow(control::Client& client, const control::Packet& packet) {
    EXPECT_TRUE(client.Send(packet));
    while (client.wants_write() && WaitFor(client.fd(), POLLOUT)) EXPECT_TRUE(client.Flush());
  }
  RefusedMessage Inquire(control::Client& client, const control::Connect& inquiry) {
    EXPECT_TRUE(client.Send({9, inquiry}));
    return RefusedBy(client);
  }

  const fabric::Fabric square_ = SquareOnLo();
  const Token token_ = RandomValue<Token>();
};

TEST_F(Recovery, AnInquirySaysWhetherTheOwnerLivesOverRelaysAndOnOneNode) {
  Start(square_);
  auto a = ClientOf("A"), c = ClientOf("C");
  for (control::Client* asks : {a.get(), c.get()}) {
    const Token token = RandomValue<Token>();
    auto owner = ClientOf("C");
    control::Connect inquiry = Inquiry(2);
    inquiry.token = token;
    RefusedMessage said = Inquire(*asks, inquiry);
    EXPECT_EQ(said.code, RefusedCode::kUnknownToken);
    EXPECT_FALSE(said.final);
    ASSERT_TRUE(owner->Send({0, control::Register{token}}));
    ASSERT_TRUE(Eventually([&] { return Inquire(*asks, inquiry).code == RefusedCode::kOwnerLives; }));
    said = Inquire(*asks, inquiry);
    EXPECT_EQ(said.sentence, "the process on C (token " + TokenText(token) + ") lives");
    EXPECT_EQ(said.node, square_.nodes[2].id);
    EXPECT_FALSE(said.final);
    owner.reset();
    ASSERT_TRUE(Eventually([&] { return Inquire(*asks, inquiry).code == RefusedCode::kOwnerGone; }));
    said = Inquire(*asks, inquiry);
    EXPECT_TRUE(said.final);
    EXPECT_EQ(said.sentence, "the process on C (token " + TokenText(token) + ") is gone");
  }
  EXPECT_GE(Counter("C", &Counters::inquiries), 10u);
  for (const char* node : {"A", "B", "C", "D"}) {
    EXPECT_EQ(Counter(node, &Counters::circuits_opened), 0u) << node;
    EXPECT_EQ(Counter(node, &Counters::circuits_refused), 0u) << node << ": an answer is no refusal";
    EXPECT_TRUE(HalfOpenBecomes(node, 0)) << node;
  }
}

TEST_F(Recovery, AnInquiryGoesAroundANodeWithoutAnAgent) {
  for (size_t i : {0, 2, 3}) Start(OptionsFor(square_, i));
  auto a = ClientOf("A"), c = ClientOf("C");
  ASSERT_TRUE(c->Send({0, control::Register{token_}}));
  EXPECT_EQ(Inquire(*a, Inquiry(2)).code, RefusedCode::kOwnerLives);
  // The way that is avoided is the only one left: then it is taken.
  auto inquiry = Inquiry(2);
  inquiry.avoid = fabric::RouteOf(square_, *fabric::FindPathWithout(square_, 0, 2, std::vector<size_t>{0}));
  EXPECT_EQ(Inquire(*a, inquiry).code, RefusedCode::kOwnerLives);
}

TEST_F(Recovery, ANodeThatIsEndingStillAnswersInquiries) {
  Start(square_);
  auto a = ClientOf("A"), c = ClientOf("C"), b = ClientOf("B");
  auto circuit = Open(*a, *c, To(square_, 2, token_));
  auto kept = Open(*a, *c, To(square_, 2, token_));
  InLoop([&] {
    agents_.at("B")->Drain(kPatience);
    agents_.at("C")->Drain(kPatience);
  });
  EXPECT_EQ(Inquire(*a, Inquiry(2)).code, RefusedCode::kOwnerLives);
}

TEST_F(Recovery, ACircuitThatTakesAnothersPlaceAvoidsItsLinksWhereItCan) {
  Start(square_);
  auto a = ClientOf("A"), c = ClientOf("C"), b = ClientOf("B");
  control::Connect connect = To(square_, 2, token_);
  connect.source_token = RandomValue<Token>();
  const Circuit first = Open(*a, *c, connect);
  EXPECT_EQ(first.connected.path, "A lo--lo B lo:1--lo C");
  ASSERT_EQ(first.connected.route.size(), 2u);
  EXPECT_EQ(first.connected.route[1].from_port, "lo:1");
  EXPECT_EQ(first.arrived.open.source_token, connect.source_token);
  connect.name.epoch = 2;
  connect.avoid = first.connected.route;
  const Circuit second = Open(*a, *c, connect);
  EXPECT_EQ(second.connected.path, "A lo:1--lo:1 D lo--lo:1 C");
  EXPECT_EQ(second.connected.note, "") << "it is no detour: it was asked for";
  EXPECT_EQ(second.arrived.open.name.epoch, 2u);
  // Every other way to B is longer, but shares no link.
  connect = To(square_, 1, RandomValue<Token>());
  connect.avoid = fabric::RouteOf(square_, *fabric::FindPath(square_, 0, 1));
  EXPECT_EQ(Open(*a, *b, connect).connected.path, "A lo:1--lo:1 D lo--lo:1 C lo--lo:1 B");
  // Where nothing is left, what there is.
  connect.name.epoch = 3;
  for (const RouteHop& hop : second.connected.route) connect.avoid.push_back(hop);
  EXPECT_EQ(Open(*a, *b, connect).connected.path, "A lo--lo B");
}

TEST_F(Recovery, WhatIsAvoidedServesWhenTheRestDoesNot) {
  for (size_t i : {0, 1, 2}) Start(OptionsFor(square_, i));  // none on D
  auto a = ClientOf("A"), c = ClientOf("C");
  control::Connect connect = To(square_, 2, token_);
  connect.avoid = fabric::RouteOf(square_, *fabric::FindPath(square_, 0, 2));
  const Circuit circuit = Open(*a, *c, connect);
  EXPECT_EQ(circuit.connected.path, "A lo--lo B lo:1--lo C");
  EXPECT_THAT(circuit.connected.note, HasSubstr("path A lo:1--lo:1 D lo--lo:1 C does not serve: "));
}

TEST_F(Recovery, OnlyTheBestPathIsBetterAndNoOtherIsTriedForIt) {
  for (size_t i : {0, 2, 3}) Start(OptionsFor(square_, i));  // none on B, where the best path leads
  auto a = ClientOf("A"), c = ClientOf("C");
  ASSERT_TRUE(c->Send({0, control::Register{token_}}));
  control::Connect connect = To(square_, 2, token_);
  connect.purpose = control::Purpose::kOpenBetter;
  connect.avoid = fabric::RouteOf(square_, *fabric::FindPathWithout(square_, 0, 2, std::vector<size_t>{0}));
  ASSERT_TRUE(a->Send({1, connect}));
  RefusedMessage refused = RefusedBy(*a);
  EXPECT_EQ(refused.code, RefusedCode::kNoAgent) << "not opened over D once more";
  connect.avoid = fabric::RouteOf(square_, *fabric::FindPath(square_, 0, 2));
  ASSERT_TRUE(a->Send({2, connect}));
  refused = RefusedBy(*a);
  EXPECT_EQ(refused.code, RefusedCode::kNoPath);
  EXPECT_FALSE(refused.final);
  EXPECT_EQ(refused.sentence, "no path from A to C is better than A lo--lo B lo:1--lo C");
}

TEST_F(Recovery, InADeclaredFabricABetterPathIsToldOfAWhileAfterTheWatch) {
  auto options = OptionsFor(square_, 0);
  options.hold_down = std::chrono::milliseconds(100);
  Start(options);
  auto a = ClientOf("A");
  const auto detour = fabric::RouteOf(square_, *fabric::FindPathWithout(square_, 0, 2, std::vector<size_t>{0}));
  const TimePoint before = clock_.Now();
  ASSERT_TRUE(a->Send({0, control::Watch{5, square_.nodes[2].id, true, detour}}));
  auto told = Next(*a);
  ASSERT_TRUE(std::holds_alternative<control::BetterPath>(told.packet.message));
  EXPECT_EQ(std::get<control::BetterPath>(told.packet.message).connection, 5u);
  EXPECT_EQ(std::get<control::BetterPath>(told.packet.message).path, "A lo--lo B lo:1--lo C");
  EXPECT_GE(clock_.Now() - before, std::chrono::milliseconds(100));
  // Whoever has the best, and whoever watches no more, hears nothing: the next packet is an answer.
  ASSERT_TRUE(a->Send(
      {0, control::Watch{5, square_.nodes[2].id, true, fabric::RouteOf(square_, *fabric::FindPath(square_, 0, 2))}}));
  ASSERT_TRUE(a->Send({0, control::Watch{6, square_.nodes[2].id, true, detour}}));
  ASSERT_TRUE(a->Send({0, control::Unwatch{6}}));
  ASSERT_TRUE(a->Send({0, control::Watch{7, square_.nodes[2].id, true, detour}}));
  told = Next(*a);
  ASSERT_TRUE(std::holds_alternative<control::BetterPath>(told.packet.message));
  EXPECT_EQ(std::get<control::BetterPath>(told.packet.message).connection, 7u);
  EXPECT_EQ(Counter("A", &Counters::better_paths_told), 2u);
}

// Bounds ------------------------------------------------------------------------------------------------------------

TEST_F(Recovery, OneProcessMayHaveSoManyWatches) {
  Start(OptionsFor(square_, 0));
  auto a = ClientOf("A"), other = ClientOf("A");
  const auto route = fabric::RouteOf(square_, *fabric::FindPath(square_, 0, 2));
  for (size_t i = 0; i <= CircuitWatch::kMostOfOne; ++i) {
    SendNow(*a, {3, control::Watch{i, square_.nodes[2].id, true, route}});
  }
  const RefusedMessage refused = RefusedBy(*a);
  EXPECT_EQ(refused.code, RefusedCode::kLimit);
  EXPECT_EQ(refused.sentence,
            "the agent of A holds 16384 watched circuits for this process, as many as it does for one");
  EXPECT_EQ(Ask("A", "transit"), "0") << "others are served";
}

TEST_F(Recovery, OneProcessMayOpenSoManyCircuitsAtOnce) {
  auto options = OptionsFor(square_, 0);
  options.descriptors = 1 << 20;  // the bound of a process is tried, not the machine's
  Start(options);
  auto a = ClientOf("A");
  // The process of the same node that they are for never registers: each waits while time stands still.
  clock_.Hold();
  control::Connect connect = To(square_, 0, token_);
  constexpr uint64_t kMost = 4096;
  for (uint64_t i = 1; i <= kMost + 1; ++i) {
    SendNow(*a, {i, connect});
  }
  auto received = Next(*a);
  EXPECT_EQ(received.packet.request, kMost + 1);
  auto* failed = std::get_if<control::Failed>(&received.packet.message);
  ASSERT_NE(failed, nullptr);
  EXPECT_EQ(failed->refused.code, RefusedCode::kLimit);
  EXPECT_FALSE(failed->refused.final);
  EXPECT_THAT(failed->refused.sentence, HasSubstr("is opening 4096 circuits for this process"));
  clock_.Release();
  ASSERT_TRUE(a->Send({1, control::Cancel{}}));
  auto other = ClientOf("A");
  connect.token = RandomValue<Token>();
  Circuit circuit = Open(*other, *other, connect);
  EXPECT_TRUE(circuit.source) << "others are served";
}

// A neighbour, made of its address and no agent, that asks for many circuits to a token that nobody has.
TEST_F(Recovery, OneNeighbourLeavesHalfOfTheRoomToOthers) {
  constexpr size_t kMostOfOne = 2048;
  if (DescriptorLimit() < 2 * kMostOfOne + 1000) GTEST_SKIP() << "too few descriptors for both ends of every call";
  auto options = OptionsFor(square_, 1);
  Start(options);
  auto open_from = [&](size_t node, const SocketAddress& from) {
    OpenMessage open;
    open.token = token_;
    open.source = square_.nodes[node].id;
    open.source_name = square_.nodes[node].name;
    open.agreement = fabric::AgreementHash(square_);
    open.route = fabric::RouteOf(square_, *fabric::FindPath(square_, node, 1));
    const auto link = *fabric::FindLink(square_, open.route[0]);
    const auto& l = square_.links[link];
    const auto end = l.a.node == 1 ? l.a : l.b;
    auto fd =
        transport::tcp::StartDial({"lo", from, square_.nodes[1].ports[end.port].addresses[0].WithPort(port_)}, {});
    EXPECT_TRUE(fd) << fd.error().what;
    if (fd && WaitFor(fd->get(), POLLOUT)) WriteWhole(fd->get(), EncodeOpen(open));
    return std::move(*fd);
  };
  const auto refused_on = [&](int fd) -> RefusedMessage {
    SetupReader reader;
    while (WaitFor(fd, POLLIN)) {
      auto progress = reader.Read(fd);
      if (!progress) return {};
      if (*progress == Progress::kDone) break;
    }
    auto refused = DecodeRefused(reader.body());
    return refused ? *refused : RefusedMessage{};
  };
  std::vector<Fd> calls;
  const SocketAddress a = square_.nodes[0].ports[0].addresses[0], c = square_.nodes[2].ports[0].addresses[0];
  clock_.Hold();  // a token is waited for while time stands still
  for (size_t i = 1; i <= kMostOfOne; ++i) {
    calls.push_back(open_from(0, a));
    // Whoever has not been heard yet is in another, smaller room.
    if (i % 256 == 0) {
      ASSERT_TRUE(HalfOpenBecomes("B", static_cast<int>(i)));
    }
  }
  EXPECT_EQ(refused_on(open_from(0, a).get()).code, RefusedCode::kLimit);
  const Fd late = open_from(2, c);
  clock_.Release();
  const RefusedMessage other = refused_on(late.get());
  EXPECT_EQ(other.code, RefusedCode::kUnknownToken) << "another neighbour is served: " << other.sentence;
}

// Isolation ---------------------------------------------------------------------------------------------------------

class Isolation : public Recovery {
 protected:
  // Bytes per second through the relay, from one end to the other.
  static double Throughput(const Circuit& circuit, size_t bytes) {
    const auto start = std::chrono::steady_clock::now();
    std::thread sending([&] {
      const std::vector<char> block(256 * 1024, 'x');
      for (size_t sent = 0; sent < bytes;) {
        if (!WaitFor(circuit.source.get(), POLLOUT)) return;
        const ssize_t n =
            send(circuit.source.get(), block.data(), std::min(block.size(), bytes - sent), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) sent += static_cast<size_t>(n);
      }
    });
    const size_t got = ReadText(circuit.destination.get(), bytes).size();
    sending.join();
    EXPECT_EQ(got, bytes);
    return static_cast<double>(bytes) / std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  // Until nothing more fits: then the relay holds what it takes, and the receiver reads nothing.
  static size_t Stuff(int fd) {
    const std::vector<char> block(256 * 1024, 'x');
    size_t sent = 0;
    for (int idle = 0; idle < 50;) {
      const ssize_t n = send(fd, block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) sent += static_cast<size_t>(n);
      idle = n > 0 ? 0 : idle + 1;
      if (n <= 0) poll(nullptr, 0, 2);
    }
    return sent;
  }
};

TEST_F(Isolation, CircuitsWhoseReceiversReadNothingDoNotSlowAnother) {
  Start(square_);
  auto a = ClientOf("A"), c = ClientOf("C");
  const Circuit good = Open(*a, *c, To(square_, 2, RandomValue<Token>()));
  ASSERT_EQ(good.connected.path, "A lo--lo B lo:1--lo C");
  constexpr size_t kBytes = 32 << 20;
  const auto median = [&] {
    std::vector<double> rates;
    for (int i = 0; i < 5; ++i) rates.push_back(Throughput(good, kBytes));
    std::sort(rates.begin(), rates.end());
    return rates[2];
  };
  Throughput(good, kBytes);
  const double alone = median();
  std::vector<Circuit> stalled;
  for (int i = 0; i < 4; ++i) {
    stalled.push_back(Open(*a, *c, To(square_, 2, RandomValue<Token>())));
    ASSERT_EQ(stalled.back().connected.path, good.connected.path);
    EXPECT_GT(Stuff(stalled.back().source.get()), 0u);
  }
  double beside = 0;
  // Others may have had the cores meanwhile; a circuit that waits for others never has as much.
  for (int attempt = 0; attempt < 10 && beside <= 0.5 * alone; ++attempt) beside = median();
  printf("one circuit: %.0f MB/s alone, %.0f MB/s beside four that nobody reads\n", alone / 1e6, beside / 1e6);
  EXPECT_GT(beside, 0.5 * alone);
  // Nobody looks at what does not move: the relay's calls are those of the circuit that does.
  ASSERT_TRUE(Eventually([&] {
    const uint64_t before = Counter("B", &Counters::splice_calls);
    poll(nullptr, 0, 20);
    return Counter("B", &Counters::splice_calls) == before;
  }));
}

}  // namespace
}  // namespace relay::agent::recovery
