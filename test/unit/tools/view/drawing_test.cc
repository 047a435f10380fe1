#include "view/drawing.h"

#include <gtest/gtest.h>

#include "unit/tools/view/drawn_fabrics.h"

namespace relay::view::drawing_test {
namespace {

std::string Ascii(const Fabric& fabric, const FabricLoad* load = nullptr) {
  DrawingOptions options;
  options.glyphs = Glyphs::kAscii;
  options.self = "B";
  return Draw(fabric, load, options);
}

TEST(Drawing, AChainGoesDown) {
  EXPECT_EQ(Ascii(Chain(3)),
            "fabric: 3 nodes, 2 links, a chain\n\n"
            "  A\n"
            "  |  p0 -- q0  10 Gbit/s tcp\n"
            "  B  (this node)\n"
            "  |  p1 -- q1  10 Gbit/s tcp\n"
            "  C\n");
}

TEST(Drawing, ARingComesBack) {
  EXPECT_EQ(Ascii(Ring(3)),
            "fabric: 3 nodes, 3 links, a ring\n\n"
            "  ,> A\n"
            "  |  |  p0 -- q0  10 Gbit/s tcp\n"
            "  |  B  (this node)\n"
            "  |  |  p1 -- q1  10 Gbit/s tcp\n"
            "  |  C\n"
            "  '--'  p2 -- q2  10 Gbit/s tcp  to A\n");
}

TEST(Drawing, AnythingElseIsListedAtBothEnds) {
  Fabric star = Nodes(5);
  for (size_t i = 1; i < 4; ++i) LayCable(star, 0, i);
  star.links[1].routed = star.links[1].last_resort = true;
  star.links[1].speed_mbit = 0;
  EXPECT_EQ(Ascii(star),
            "fabric: 5 nodes, 3 links\n\n"
            "  A\n"
            "  |  p0 -- B/q0  10 Gbit/s tcp\n"
            "  :  p1 -- C/q1  unknown speed tcp  routed\n"
            "  |  p2 -- D/q2  10 Gbit/s tcp\n"
            "  B  (this node)\n"
            "  |  q0 -- A/p0  10 Gbit/s tcp\n"
            "  C\n"
            "  :  q1 -- A/p1  unknown speed tcp  routed\n"
            "  D\n"
            "  |  q2 -- A/p2  10 Gbit/s tcp\n"
            "  E\n"
            "     no link\n");
}

TEST(Drawing, WhatFlowsStandsBesideTheLinkInTheDirectionOfReading) {
  Fabric chain = Chain(2);
  std::swap(chain.links[0].a, chain.links[0].b);  // declared the other way round
  FabricLoad load;
  load.links.push_back({true, false, 2e6, 9.4e8, 3, 100, 2});
  load.paths.push_back({"A p0--q0 B", "A", "B", 2, 9.4e8, 2e6});
  load.silent = {"A"};
  EXPECT_EQ(Ascii(chain, &load),
            "fabric: 2 nodes, 1 link, a chain\n\n"
            "  A  (did not say what flows)\n"
            "  |  p0 -- q0  10 Gbit/s tcp  v 940 Mbit/s  ^ 2 Mbit/s  2 circuits, 3 retransmits/s\n"
            "  B  (this node)\n"
            "\nfrom whom to whom\n"
            "  A p0--q0 B  2 circuits   -> 940 Mbit/s  <- 2 Mbit/s\n");
  load.links[0].down = true;
  EXPECT_NE(Ascii(chain, &load).find("DOWN"), std::string::npos);
}

TEST(Drawing, SaysWhyALinkIsTcpAlthoughAnEndIsRdma) {
  DrawingOptions options;
  options.glyphs = Glyphs::kAscii;
  options.self = "B";
  options.tcp_ports = {"q9: mlx5_1 port 1 is behind it, but its state is DOWN"};
  Fabric fabric = MixedKinds();
  EXPECT_EQ(Draw(fabric, nullptr, options),
            "fabric: 4 nodes, 3 links, a chain\n\n"
            "  A\n"
            "  |  p0 -- q0  10 Gbit/s rdma\n"
            "  B  (this node)\n"
            "  |  p1 -- q1  10 Gbit/s tcp   B/p1 is InfiniBand, C/q1 Ethernet\n"
            "  C\n"
            "  |  p2 -- q2  10 Gbit/s tcp   D/q2 is tcp\n"
            "  D\n"
            "\ncould be rdma, but is tcp\n"
            "  B/q9: mlx5_1 port 1 is behind it, but its state is DOWN\n");
  fabric.nodes[2].ports[0].infiniband = true;
  fabric.links[1].kind = fabric::PortKind::kRdma;
  EXPECT_NE(Draw(fabric, nullptr, options).find("p1 -- q1  10 Gbit/s rdma  InfiniBand\n"), std::string::npos);
}

TEST(Drawing, ALanBesideAChainIsCountedOnce) {
  Fabric fabric = Chain(3);
  AddLan(fabric);
  const std::string text = Ascii(fabric);
  EXPECT_NE(text.find("3 nodes, 5 links, a chain"), std::string::npos) << text;
  EXPECT_NE(text.find("LAN, every port reaches every other; of last resort\n  :  A/eth0"), std::string::npos) << text;
}

}  // namespace
}  // namespace relay::view::drawing_test
