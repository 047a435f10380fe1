// Circuits between clients of real agents in one process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/agent/agents.h"

namespace relay::agent {
namespace {

using testing::HasSubstr;
using testing::Not;

class Circuits : public AgentsTest {
 protected:
  const fabric::Fabric chain_ = ChainOnLo(3);
  const Token token_ = RandomValue<Token>();
};

TEST_F(Circuits, NeighboursAreConnectedDirectly) {
  Start(chain_);
  auto a = ClientOf("A"), b = ClientOf("B");
  auto connect = To(chain_, 1, token_);
  Circuit c = Open(*a, *b, connect);
  EXPECT_EQ(c.connected.path, "A lo--lo B");
  EXPECT_EQ(c.arrived.path, c.connected.path);
  EXPECT_EQ(c.arrived.open.name.connection, connect.name.connection);
  EXPECT_EQ(c.connected.opened.name.connection, connect.name.connection);
  EXPECT_EQ(c.arrived.open.source_name, "A");
  ASSERT_EQ(send(c.source.get(), "hello", 5, 0), 5);
  EXPECT_EQ(ReadText(c.destination.get(), 5), "hello");
  ASSERT_EQ(send(c.destination.get(), "back", 4, 0), 4);
  EXPECT_EQ(ReadText(c.source.get(), 4), "back");
  EXPECT_EQ(Counter("B", &Counters::relayed_bytes), 0u);
}

TEST_F(Circuits, WhatTheOwnerSendsRightAfterOpenedIsNotLost) {
  Start(chain_);
  auto a = ClientOf("A"), c = ClientOf("C");
  ASSERT_TRUE(c->Send({0, control::Register{token_}}));
  ASSERT_TRUE(a->Send({1, To(chain_, 2, token_)}));
  auto arrived = Next(*c);
  ASSERT_TRUE(arrived.fd);
  auto bytes = EncodeOpened({std::get<control::Arrived>(arrived.packet.message).open.name, {}});
  for (char extra : std::string("frames at once")) bytes.push_back(static_cast<std::byte>(extra));
  ASSERT_TRUE(WriteWhole(arrived.fd.get(), bytes));
  auto connected = Next(*a);
  ASSERT_TRUE(connected.fd);
  EXPECT_EQ(ReadText(connected.fd.get(), 14), "frames at once");
}

TEST_F(Circuits, ADiagonalGoesThroughTheRelayUncopied) {
  Start(chain_);
  auto a = ClientOf("A"), c = ClientOf("C");
  Circuit circuit = Open(*a, *c, To(chain_, 2, token_));
  EXPECT_EQ(circuit.connected.path, "A lo--lo B lo:1--lo C");
  std::string sent(8 << 20, '\0');
  for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 31 + (i >> 13));
  std::thread sending([&] {
    for (size_t at = 0; at < sent.size();) {
      if (!WaitFor(circuit.source.get(), POLLOUT)) return;
      ssize_t n = send(circuit.source.get(), sent.data() + at, sent.size() - at, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) at += static_cast<size_t>(n);
    }
    shutdown(circuit.source.get(), SHUT_WR);
  });
  EXPECT_TRUE(ReadText(circuit.destination.get(), sent.size()) == sent);
  sending.join();
  EXPECT_TRUE(AtEnd(circuit.destination.get()));
  EXPECT_EQ(Ask("B", "transit"), "1");
  EXPECT_THAT(Ask("B", "status"), HasSubstr("\"path\":\"A lo--lo B lo:1--lo C\",\"from\":\"A\",\"to\":\"C\""));
  // Half closed, it still carries the other way.
  ASSERT_EQ(send(circuit.destination.get(), "whole", 5, MSG_NOSIGNAL), 5);
  EXPECT_EQ(ReadText(circuit.source.get(), 5), "whole");
  circuit.destination.reset();
  EXPECT_TRUE(AtEnd(circuit.source.get()));
  EXPECT_TRUE(Eventually([&] { return Ask("B", "transit") == "0"; }));
  EXPECT_EQ(Counter("B", &Counters::relayed_bytes), sent.size() + 5);
  EXPECT_EQ(Counter("B", &Counters::relay_copied_bytes), 0u);
}

TEST_F(Circuits, LongChainsAreRelayedManyTimes) {
  auto chain = ChainOnLo(6);
  Start(chain);
  auto first = ClientOf("A"), last = ClientOf("F");
  Circuit c = Open(*last, *first, To(chain, 0, token_));
  ASSERT_EQ(send(c.source.get(), "far", 3, 0), 3);
  EXPECT_EQ(ReadText(c.destination.get(), 3), "far");
  for (const char* relay : {"B", "C", "D", "E"}) EXPECT_EQ(Ask(relay, "transit"), "1");
}

TEST_F(Circuits, APathToOneselfIsASocketpair) {
  Start(chain_);
  auto a = ClientOf("A");
  Circuit c = Open(*a, *a, To(chain_, 0, token_));
  EXPECT_EQ(c.connected.path, "A");
  EXPECT_TRUE(c.arrived.open.route.empty());
  ASSERT_EQ(send(c.source.get(), "me", 2, 0), 2);
  EXPECT_EQ(ReadText(c.destination.get(), 2), "me");
}

TEST_F(Circuits, AnOwnerMayRefuse) {
  Start(chain_);
  auto a = ClientOf("A"), c = ClientOf("C");
  ASSERT_TRUE(c->Send({0, control::Register{token_}}));
  for (size_t self : {0, 2}) {
    auto& from = self == 2 ? *c : *a;
    ASSERT_TRUE(from.Send({5, To(chain_, 2, token_)}));
    auto arrived = Next(*c);
    ASSERT_TRUE(arrived.fd);
    ASSERT_TRUE(WriteWhole(arrived.fd.get(), EncodeRefused({102, true, RefusedCode::kForbidden, "not you"})));
    auto refused = RefusedBy(from);
    EXPECT_EQ(refused.sentence, "not you");
    EXPECT_EQ(refused.node, 102u);
  }
}

TEST_F(Circuits, AnAnswerThatNamesAnotherCircuitOrEpochIsNotTaken) {
  Start(chain_);
  auto a = ClientOf("A"), c = ClientOf("C");
  ASSERT_TRUE(c->Send({0, control::Register{token_}}));
  for (size_t self : {0, 2}) {
    for (auto change : {+[](CircuitName& n) { ++n.epoch; }, +[](CircuitName& n) { ++n.connection; }}) {
      auto& from = self == 2 ? *c : *a;
      ASSERT_TRUE(from.Send({5, To(chain_, 2, token_)}));
      auto arrived = Next(*c);
      ASSERT_TRUE(arrived.fd);
      OpenedMessage opened{std::get<control::Arrived>(arrived.packet.message).open.name, {}};
      change(opened.name);
      ASSERT_TRUE(WriteWhole(arrived.fd.get(), EncodeOpened(opened)));
      EXPECT_THAT(RefusedBy(from).sentence, HasSubstr("OPENED of this circuit"));
    }
  }
}

TEST_F(Circuits, AnUnknownTokenWaitsForItsRegistration) {
  Start(chain_);
  auto a = ClientOf("A"), c = ClientOf("C");
  ASSERT_TRUE(a->Send({1, To(chain_, 2, token_)}));
  ASSERT_TRUE(HalfOpenBecomes("C", 1));
  ASSERT_TRUE(c->Send({0, control::Register{token_}}));
  EXPECT_TRUE(std::holds_alternative<control::Arrived>(Next(*c).packet.message));
}

TEST_F(Circuits, ATokenThatNobodyRegistersIsRefusedForNow) {
  Start(chain_);
  auto a = ClientOf("A");
  ASSERT_TRUE(a->Send({1, To(chain_, 2, token_)}));
  ASSERT_TRUE(a->Send({2, To(chain_, 0, token_)}));
  for (int i = 0; i < 2; ++i) {
    auto refused = RefusedBy(*a);
    EXPECT_EQ(refused.code, RefusedCode::kUnknownToken);
    EXPECT_FALSE(refused.final);
    EXPECT_THAT(refused.sentence, HasSubstr(TokenText(token_)));
  }
}

TEST_F(Circuits, ATokenWhoseOwnerIsGoneIsRefusedForGood) {
  Start(chain_);
  auto a = ClientOf("A"), c = ClientOf("C");
  ASSERT_TRUE(c->Send({0, control::Register{token_}}));
  ASSERT_TRUE(Eventually([&] { return Ask("C", "status").find("\"tokens\":1") != std::string::npos; }));
  c.reset();
  ASSERT_TRUE(a->Send({1, To(chain_, 2, token_)}));
  auto refused = RefusedBy(*a);
  EXPECT_EQ(refused.code, RefusedCode::kOwnerGone);
  EXPECT_TRUE(refused.final);
  EXPECT_EQ(refused.node, chain_.nodes[2].id);
  EXPECT_THAT(refused.sentence, HasSubstr("on C"));
}

TEST_F(Circuits, AnUnregisteredTokenIsGoneToo) {
  Start(chain_);
  auto a = ClientOf("A");
  ASSERT_TRUE(a->Send({0, control::Register{token_}}));
  ASSERT_TRUE(a->Send({0, control::Unregister{token_}}));
  ASSERT_TRUE(a->Send({1, To(chain_, 0, token_)}));
  EXPECT_EQ(RefusedBy(*a).code, RefusedCode::kOwnerGone);
}

TEST_F(Circuits, WithoutAnAgentInTheMiddleTheSentenceSaysWhereToStartOne) {
  Start(OptionsFor(chain_, 0));
  Start(OptionsFor(chain_, 2));
  auto a = ClientOf("A");
  ASSERT_TRUE(a->Send({1, To(chain_, 2, token_)}));
  auto refused = RefusedBy(*a);
  EXPECT_EQ(refused.code, RefusedCode::kNoAgent);
  EXPECT_FALSE(refused.final);
  EXPECT_EQ(refused.sentence, "C is joined to A only through B, where no agent answers over link A-B (" +
                                  chain_.nodes[1].ports[0].addresses[0].WithPort(port_).ToText() +
                                  " on lo: Connection refused): start `nccl-relay agent` there");
}

TEST_F(Circuits, WithoutAnAgentAtTheEndTheRelaySaysSo) {
  Start(OptionsFor(chain_, 0));
  Start(OptionsFor(chain_, 1));
  auto a = ClientOf("A");
  ASSERT_TRUE(a->Send({1, To(chain_, 2, token_)}));
  auto refused = RefusedBy(*a);
  EXPECT_EQ(refused.node, chain_.nodes[1].id);
  EXPECT_THAT(refused.sentence, HasSubstr("no agent answers on C over link B-C"));
  EXPECT_TRUE(HalfOpenBecomes("B", 0));
}

TEST_F(Circuits, DifferentFabricsAreToldApartByBothWays) {
  auto other = chain_;
  other.nodes[2].ports[0].addresses.push_back(*SocketAddress::Parse("192.0.2.1"));
  Start(OptionsFor(chain_, 0));
  Start(OptionsFor(chain_, 1));
  auto options = OptionsFor(other, 2);
  options.node.fabric.nodes[2].ports[0].addresses.pop_back();  // it cannot listen there
  Start(options);
  auto a = ClientOf("A");
  // The handle tells.
  auto connect = To(other, 2, token_);
  ASSERT_TRUE(a->Send({1, connect}));
  auto refused = RefusedBy(*a);
  EXPECT_EQ(refused.code, RefusedCode::kAgreement);
  EXPECT_TRUE(refused.final);
  EXPECT_THAT(refused.sentence, HasSubstr("A and C hold different fabrics"));
  // The handle does not tell, the OPEN does.
  connect.agreement = 0;
  ASSERT_TRUE(a->Send({2, connect}));
  refused = RefusedBy(*a);
  EXPECT_EQ(refused.code, RefusedCode::kAgreement);
  EXPECT_EQ(refused.node, chain_.nodes[2].id);
  EXPECT_THAT(refused.sentence, HasSubstr("C and A hold different fabrics"));
}

TEST_F(Circuits, ANodeOutsideTheFabricIsNamed) {
  Start(chain_);
  auto a = ClientOf("A");
  auto connect = To(chain_, 2, token_);
  connect.node = 0xdead;
  ASSERT_TRUE(a->Send({1, connect}));
  auto refused = RefusedBy(*a);
  EXPECT_EQ(refused.code, RefusedCode::kNoPath);
  EXPECT_THAT(refused.sentence, HasSubstr("000000000000dead"));
}

TEST_F(Circuits, WithoutAPathBothNodesAreNamed) {
  auto broken = chain_;
  broken.links.pop_back();
  Start(broken);
  auto a = ClientOf("A");
  ASSERT_TRUE(a->Send({1, To(broken, 2, token_)}));
  auto refused = RefusedBy(*a);
  EXPECT_EQ(refused.code, RefusedCode::kNoPath);
  EXPECT_THAT(refused.sentence, HasSubstr("A"));
  EXPECT_THAT(refused.sentence, HasSubstr("C"));
}

TEST_F(Circuits, CancelAndDeathTearDownWhatIsHalfOpenEverywhere) {
  Start(chain_);
  for (bool dies : {false, true}) {
    auto a = ClientOf("A");
    // The receiving process never answers.
    auto c = ClientOf("C");
    Token token = RandomValue<Token>();
    ASSERT_TRUE(c->Send({0, control::Register{token}}));
    ASSERT_TRUE(a->Send({1, To(chain_, 2, token)}));
    auto arrived = Next(*c);
    ASSERT_TRUE(arrived.fd);
    ASSERT_TRUE(HalfOpenBecomes("B", 1));
    if (dies) {
      a.reset();
    } else {
      ASSERT_TRUE(a->Send({1, control::Cancel{}}));
    }
    EXPECT_TRUE(AtEnd(arrived.fd.get()));
    EXPECT_TRUE(HalfOpenBecomes("A", 0));
    EXPECT_TRUE(HalfOpenBecomes("B", 0));
  }
}

TEST_F(Circuits, AnOwnerThatDiesBeforeItAnswersEndsTheRequest) {
  Start(chain_);
  auto a = ClientOf("A"), c = ClientOf("C");
  ASSERT_TRUE(c->Send({0, control::Register{token_}}));
  ASSERT_TRUE(a->Send({1, To(chain_, 2, token_)}));
  {
    auto arrived = Next(*c);
    c.reset();
  }
  auto refused = RefusedBy(*a);
  EXPECT_EQ(refused.code, RefusedCode::kLinkDown);
  EXPECT_FALSE(refused.final);
}

TEST_F(Circuits, ADeadRelayEndsBothSides) {
  Start(chain_);
  auto a = ClientOf("A"), c = ClientOf("C");
  Circuit circuit = Open(*a, *c, To(chain_, 2, token_));
  Kill("B");
  EXPECT_TRUE(AtEnd(circuit.source.get()));
  EXPECT_TRUE(AtEnd(circuit.destination.get()));
}

TEST_F(Circuits, ARelayWithoutDescriptorsRefusesForNow) {
  Start(OptionsFor(chain_, 0));
  Start(OptionsFor(chain_, 2));
  auto options = OptionsFor(chain_, 1);
  options.descriptors = 170;
  Start(options);
  auto a = ClientOf("A"), c = ClientOf("C");
  Circuit circuit = Open(*a, *c, To(chain_, 2, token_));
  ASSERT_TRUE(a->Send({1, To(chain_, 2, token_)}));
  auto refused = RefusedBy(*a);
  EXPECT_EQ(refused.code, RefusedCode::kLimit);
  EXPECT_FALSE(refused.final);
  EXPECT_THAT(refused.sentence, HasSubstr("ulimit -n"));
  EXPECT_EQ(refused.node, chain_.nodes[1].id);
  circuit = {};
  EXPECT_TRUE(Eventually([&] { return Ask("B", "transit") == "0"; }));
  Open(*a, *c, To(chain_, 2, token_));
}

TEST_F(Circuits, HundredsAtOnceAreAllServed) {
  Start(chain_);
  auto a = ClientOf("A"), c = ClientOf("C");
  ASSERT_TRUE(c->Send({0, control::Register{token_}}));
  constexpr uint64_t kCount = 200;
  for (uint64_t i = 1; i <= kCount; ++i) ASSERT_TRUE(a->Send({i, To(chain_, 2, token_)}));
  std::vector<Fd> open;
  for (uint64_t i = 1; i <= kCount; ++i) {
    auto arrived = Next(*c);
    ASSERT_TRUE(arrived.fd);
    const OpenMessage& opened = std::get<control::Arrived>(arrived.packet.message).open;
    ASSERT_TRUE(WriteWhole(arrived.fd.get(), EncodeOpened({opened.name, {}})));
    open.push_back(std::move(arrived.fd));
  }
  for (uint64_t i = 1; i <= kCount; ++i) {
    auto connected = Next(*a);
    ASSERT_TRUE(connected.fd);
    open.push_back(std::move(connected.fd));
  }
  EXPECT_EQ(Ask("B", "transit"), std::to_string(kCount));
  open.clear();
  EXPECT_TRUE(Eventually([&] { return Ask("B", "transit") == "0"; }));
}

}  // namespace
}  // namespace relay::agent
