// Discovery over the kernel's own sockets and cables.
#include <netinet/in.h>

#include "agent/discovery/hello_socket.h"
#include "unit/agent/discovery_network.h"

namespace relay::agent::discovery_network {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

TEST(DiscoveryNetwork, TwoNodesOnOneCableFindEachOtherAtOnce) {
  InOwnNetwork([] {
    OwnNetwork network;
    NetworkNode &a = network.Add("A"), &b = network.Add("B");
    network.Cable(a, "ab", "10.1.0.1/30", b, "ba", "10.1.0.2/30");
    network.Start(a);
    network.Start(b);
    ASSERT_TRUE(network.Until([&] { return a.Find("ab", "B") && b.Find("ba", "A"); }, seconds(1)));
    const Adjacent& found = *a.Find("ab", "B");
    EXPECT_EQ(found.far.node, b.id);
    EXPECT_EQ(found.far.port, "ba");
    EXPECT_TRUE(found.far_address.IsLinkLocal()) << found.far_address.ToText();
    EXPECT_TRUE(found.near_address.IsLinkLocal()) << found.near_address.ToText();
    EXPECT_EQ(found.far_address.port(), OwnNetwork::kPort);
    EXPECT_FALSE(found.routed);
    ASSERT_EQ(a.ports.size(), 1U);
    EXPECT_EQ(a.ports[0].name, "ab");
    EXPECT_EQ(a.ports[0].speed_mbit, 10000U);
    network.For(milliseconds(1500));
    EXPECT_TRUE(a.lost.empty() && b.lost.empty());
    EXPECT_EQ(a.discovery->counts().refused_replay, 0U);
    EXPECT_EQ(a.discovery->counts().refused_ttl, 0U);
  });
}

}  // namespace
}  // namespace relay::agent::discovery_network
