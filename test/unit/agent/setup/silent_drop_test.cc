#include "agent/setup/silent_drop.h"

#include <gtest/gtest.h>

#include "unit/agent/agents.h"

namespace relay::agent::silent_drop {
namespace {

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

}  // namespace
}  // namespace relay::agent::silent_drop
