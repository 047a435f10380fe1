#include "agent/node/local_node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/agent/agents.h"
#include "unit/agent/nodes_on_lo.h"

namespace relay::agent::local_node {
namespace {

using testing::HasSubstr;

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

}  // namespace
}  // namespace relay::agent::local_node
