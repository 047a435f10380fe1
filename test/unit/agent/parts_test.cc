// Tokens, sentences, routes, arguments and the node's own place: the agent's parts that need no socket.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/clients/token_registry.h"
#include "agent/daemon/options.h"
#include "agent/node/refusal.h"
#include "agent/setup/route_check.h"
#include "agent/setup/silent_drop.h"
#include "unit/agent/agents.h"

namespace relay::agent {
namespace {

using testing::HasSubstr;
using testing::Not;

Token TokenOf(int n) {
  Token token{};
  token[0] = static_cast<std::byte>(n);
  return token;
}

LocalNode NodeOf(const fabric::Fabric& fabric, size_t self) {
  LocalNode node;
  node.fabric = fabric;
  node.self = self;
  node.agreement = fabric::AgreementHash(fabric);
  node.port = 21517;
  node.interfaces.assign(fabric.nodes[self].ports.size(), "lo");
  return node;
}

OpenMessage OpenAlong(const fabric::Fabric& fabric, size_t from, size_t to, uint16_t hop) {
  OpenMessage open;
  open.source = fabric.nodes[from].id;
  open.source_name = fabric.nodes[from].name;
  open.agreement = fabric::AgreementHash(fabric);
  open.route = fabric::RouteOf(fabric, *fabric::FindPath(fabric, from, to));
  open.hop = hop;
  return open;
}

TEST(TokenRegistry, KnowsOwnersAndRemembersWhoIsGone) {
  TokenRegistry tokens;
  using Standing = TokenRegistry::Standing;
  EXPECT_EQ(tokens.Find(TokenOf(1)).standing, Standing::kUnknown);
  tokens.Register(TokenOf(1), 7);
  tokens.Register(TokenOf(2), 7);
  tokens.Register(TokenOf(3), 8);
  EXPECT_EQ(tokens.Find(TokenOf(1)).owner, 7u);
  tokens.Unregister(TokenOf(1), 8);  // not its own
  EXPECT_EQ(tokens.Find(TokenOf(1)).standing, Standing::kOwned);
  tokens.DropOwner(7);
  EXPECT_EQ(tokens.Find(TokenOf(1)).standing, Standing::kGone);
  EXPECT_EQ(tokens.Find(TokenOf(2)).standing, Standing::kGone);
  EXPECT_EQ(tokens.Find(TokenOf(3)).standing, Standing::kOwned);
  tokens.Register(TokenOf(1), 9);
  EXPECT_EQ(tokens.Find(TokenOf(1)).owner, 9u);
}

TEST(TokenRegistry, WakesEveryWaiterOnceAlsoThoseThatEndEachOther) {
  TokenRegistry tokens;
  int woken = 0;
  TokenRegistry::WaitId third = 0;
  tokens.Wait(TokenOf(1), [&](ClientId) {
    ++woken;
    tokens.StopWaiting(third);
  });
  tokens.Wait(TokenOf(2), [&](ClientId) { woken += 100; });
  tokens.Wait(TokenOf(1), [&](ClientId owner) { woken += owner == 5 ? 1 : 100; });
  third = tokens.Wait(TokenOf(1), [&](ClientId) { woken += 100; });
  tokens.Register(TokenOf(1), 5);
  EXPECT_EQ(woken, 2);
  tokens.Register(TokenOf(1), 6);
  EXPECT_EQ(woken, 2);
}

TEST(Refusal, OnlyThroughIsTrueOnlyOfBridges) {
  auto chain = ChainOnLo(4);
  EXPECT_TRUE(OnlyThrough(chain, {0, 3, 1}));
  EXPECT_TRUE(OnlyThrough(chain, {0, 3, 2}));
  EXPECT_FALSE(OnlyThrough(chain, {0, 1, 2}));
  EXPECT_FALSE(OnlyThrough(chain, {0, 3, 3}));
  chain.links.push_back({{0, 0}, {3, 0}, 0, 0, fabric::PortKind::kTcp});
  EXPECT_FALSE(OnlyThrough(chain, {0, 3, 1}));
}

TEST(Refusal, OnARingItDoesNotSayOnly) {
  auto ring = ChainOnLo(4);
  OpenMessage open = OpenAlong(ring, 0, 3, 0);
  ring.links.push_back({{0, 0}, {3, 0}, 0, 0, fabric::PortKind::kTcp});
  auto refused = RefuseUnanswered(NodeOf(ring, 0), {open, "1.2.3.4:5 on ab: Connection refused", ECONNREFUSED});
  EXPECT_EQ(refused.sentence,
            "D is joined to A through B, where no agent answers over link A-B (1.2.3.4:5 on ab: Connection refused): "
            "start `nccl-relay agent` there");
}

TEST(Refusal, WhereNothingAnswersItMayBeTheCable) {
  auto chain = ChainOnLo(2);
  OpenMessage open = OpenAlong(chain, 0, 1, 0);
  auto refused = RefuseUnanswered(NodeOf(chain, 0), {open, "1.2.3.4:5 on ab: Connection timed out", ETIMEDOUT});
  EXPECT_EQ(refused.sentence,
            "no agent answers on B over link A-B (1.2.3.4:5 on ab: Connection timed out): check the cable, and that "
            "`nccl-relay agent` runs there");
}

TEST(Refusal, SilenceMayHaveAnotherCause) {
  auto chain = ChainOnLo(2);
  OpenMessage open = OpenAlong(chain, 0, 1, 0);
  EXPECT_THAT(RefuseUnanswered(NodeOf(chain, 0), {open, "no answer", ETIMEDOUT, "B is deaf: shout"}).sentence,
              HasSubstr("runs there; B is deaf: shout"));
  EXPECT_THAT(RefuseUnanswered(NodeOf(chain, 0), {open, "refused", ECONNREFUSED, "B is deaf: shout"}).sentence,
              Not(HasSubstr("deaf")));
}

// A - B - C, where the two ends of each cable are these.
fabric::Fabric ChainWith(const char* near, const char* far) {
  auto chain = ChainOnLo(3);
  for (const fabric::Link& link : chain.links) {
    chain.nodes[link.a.node].ports[link.a.port].addresses = {SocketAddress::Parse(near).value()};
    chain.nodes[link.b.node].ports[link.b.port].addresses = {SocketAddress::Parse(far).value()};
  }
  return chain;
}

TEST(SilentDrop, AnAddressThatTheNeighbourHasTooIsNamedWithItsPort) {
  const fabric::Fabric chain = ChainWith("10.0.0.1", "10.0.0.2");
  const fabric::Link& ab = chain.links[0];
  const std::string cause =
      "B has 10.0.0.1 too, on lo:1, and its kernel drops what comes from its own address: give A/lo another one";
  EXPECT_EQ(SourceAlsoThere(chain, {ab.a, ab.b}), cause);
  EXPECT_EQ(SourceAlsoThere(chain, {ab.b, ab.a}), cause);
}

TEST(SilentDrop, AddressesOfOneNodeMayBeAlikeAndThoseOfIpv6Any) {
  fabric::Fabric chain = ChainWith("fe80::1", "fe80::2");
  EXPECT_EQ(SourceAlsoThere(chain, {chain.links[0].a, chain.links[0].b}), "");
  chain = ChainWith("10.0.0.1", "10.0.0.2");
  chain.nodes[1].ports[1].addresses = chain.nodes[1].ports[0].addresses;
  EXPECT_EQ(SourceAlsoThere(chain, {chain.links[0].a, chain.links[0].b}), "");
}

TEST(Refusal, ALinkThatIsDownHereIsSaidToBeDown) {
  auto chain = ChainOnLo(3);
  auto refused = RefuseUnanswered(NodeOf(chain, 1), {OpenAlong(chain, 0, 2, 1), "Network is down", ENETDOWN});
  EXPECT_EQ(refused.code, RefusedCode::kLinkDown);
  EXPECT_FALSE(refused.final);
  EXPECT_THAT(refused.sentence, HasSubstr("link B-C is down at B (Network is down)"));
}

TEST(RouteCheck, TakesWhatCameOverTheRightLinkAndRefusesAllElse) {
  auto chain = ChainOnLo(3);
  LocalNode b = NodeOf(chain, 1);
  b.interfaces = {"eth0", "eth1"};
  const Arrival from_a{"eth0", chain.nodes[0].ports[0].addresses[0], {}};
  const Arrival from_c{"eth1", chain.nodes[2].ports[0].addresses[0], {}};
  auto open = OpenAlong(chain, 0, 2, 0);
  EXPECT_FALSE(CheckRoute(b, open, from_a));
  EXPECT_EQ(RouteText(b, open), "A lo--lo B lo:1--lo C");

  auto refused = [&](const LocalNode& node, const OpenMessage& m, const Arrival& arrival) {
    auto r = CheckRoute(node, m, arrival);
    return r ? r->code : RefusedCode{};
  };
  EXPECT_EQ(refused(b, open, from_c), RefusedCode::kForbidden);  // another link
  EXPECT_EQ(refused(b, open, {"eth0", *SocketAddress::Parse("192.0.2.9"), {}}),
            RefusedCode::kForbidden);                                           // another caller
  EXPECT_EQ(refused(NodeOf(chain, 2), open, from_a), RefusedCode::kForbidden);  // another node
  auto changed = open;
  changed.agreement ^= 1;
  EXPECT_EQ(refused(b, changed, from_a), RefusedCode::kAgreement);
  changed = open;
  changed.route.push_back({chain.nodes[2].id, chain.nodes[1].id, "lo", "lo:1"});  // back again
  EXPECT_EQ(refused(b, changed, from_a), RefusedCode::kForbidden);
  changed = open;
  changed.route[1].to_port = "none";
  EXPECT_EQ(refused(b, changed, from_a), RefusedCode::kForbidden);
  changed = open;
  changed.source = chain.nodes[2].id;  // the route starts elsewhere
  EXPECT_EQ(refused(b, changed, from_a), RefusedCode::kForbidden);
  changed = open;
  changed.route.clear();
  EXPECT_EQ(refused(b, changed, from_a), RefusedCode::kForbidden);
  b.draining = true;
  EXPECT_EQ(refused(b, open, from_a), RefusedCode::kDraining);
}

TEST(RouteCheck, ADiscoveredFabricMayBeAMomentBehindTheSources) {
  auto chain = ChainOnLo(3);
  LocalNode b = NodeOf(chain, 1);
  b.interfaces = {"eth0", "eth1"};
  b.declared = false;
  const Arrival from_a{"eth0", chain.nodes[0].ports[0].addresses[0], {}};
  auto open = OpenAlong(chain, 0, 2, 0);
  open.agreement ^= 1;
  EXPECT_FALSE(CheckRoute(b, open, from_a));
  open.route[1].to_port = "none";
  auto refused = CheckRoute(b, open, from_a);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, RefusedCode::kForbidden);
  EXPECT_FALSE(refused->final);
}

TEST(LocalNode, PortsAreFoundByNameAndByAddress) {
  auto chain = ChainOnLo(3);
  auto address = [&](size_t node, size_t port) { return chain.nodes[node].ports[port].addresses[0]; };
  std::vector<fabric::LocalInterface> here = {{"lo", {address(1, 0)}}, {"eth7", {address(1, 1)}}};
  auto node = FindLocalNode(chain, here, Knobs());
  ASSERT_TRUE(node) << node.error().what;
  EXPECT_EQ(node->name(), "B");
  EXPECT_EQ(node->interfaces, (std::vector<std::string>{"lo", "eth7"}));
  here.pop_back();
  auto missing = FindLocalNode(chain, here, Knobs());
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().what, HasSubstr("lo:1"));
  EXPECT_FALSE(FindLocalNode(chain, {}, Knobs()));
}

TEST(LocalNode, DialsLikeWithLike) {
  auto chain = ChainOnLo(2);
  auto add = [&](size_t node, const char* text) {
    chain.nodes[node].ports[0].addresses.push_back(*SocketAddress::Parse(text));
  };
  add(0, "fe80::1");
  add(1, "2001:db8::2");  // nothing of its kind at the near end
  add(1, "fe80::2");
  const LocalNode a = NodeOf(chain, 0);
  auto targets = TargetsOf(a, *EndsFrom(a, 0));
  ASSERT_EQ(targets.size(), 2u);
  EXPECT_EQ(targets[0].near.family(), AF_INET);
  EXPECT_EQ(targets[1].far.ToText(), "[fe80::2]:21517");
  EXPECT_EQ(targets[1].near.HostText(), "fe80::1");
  EXPECT_FALSE(EndsFrom(NodeOf(ChainOnLo(3), 2), 0));
}

TEST(Arguments, AreReadAndWrongOnesAreNamed) {
  auto parse = [](std::vector<std::string> words) {
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    return ParseArguments(static_cast<int>(argv.size()), argv.data());
  };
  auto good = parse({"agent", "--auto", "--status-fd", "3"});
  ASSERT_TRUE(good);
  EXPECT_TRUE(good->auto_started);
  EXPECT_EQ(good->status_fd, 3);
  for (const char* bad : {"2", "x", "3x", ""}) EXPECT_FALSE(parse({"agent", "--status-fd", bad})) << bad;
  EXPECT_FALSE(parse({"agent", "--status-fd"}));
  auto unknown = parse({"agent", "--verbose"});
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().what, HasSubstr("--verbose"));
}

TEST(BudgetTest, LeasesGiveBackWhatTheyTook) {
  Budget budget(10);
  {
    auto six = budget.Take(6);
    ASSERT_TRUE(six);
    EXPECT_FALSE(budget.Take(5));
    Budget::Lease moved = std::move(*six);
    EXPECT_EQ(budget.used(), 6u);
    EXPECT_TRUE(budget.Take(4));
  }
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace relay::agent
