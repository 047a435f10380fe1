#include "agent/setup/route_check.h"

#include <gtest/gtest.h>

#include "unit/agent/agents.h"
#include "unit/agent/nodes_on_lo.h"

namespace relay::agent::route_check {
namespace {

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
  EXPECT_TRUE(CheckRoute(b, open, from_c)->final);
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
  EXPECT_FALSE(CheckRoute(b, open, from_a)->final);
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

}  // namespace
}  // namespace relay::agent::route_check
