// The fabric drawn: what a person must find in the text, and what must hold for any picture.
#include "view/drawing.h"

#include <gtest/gtest.h>

#include <cmath>

#include "view/scene.h"
#include "view/segments.h"
#include "view/shape.h"
#include "view/svg.h"

namespace relay::view {
namespace {

using fabric::Fabric;

struct End {
  size_t node;
  std::string port;
};

size_t PortOn(Fabric& fabric, const End& end, bool last_resort) {
  auto& ports = fabric.nodes[end.node].ports;
  for (size_t i = 0; i < ports.size(); ++i) {
    if (ports[i].name == end.port) return i;
  }
  ports.push_back({end.port, {}, 10000, fabric::PortKind::kTcp, last_resort});
  return ports.size() - 1;
}

void Join(Fabric& fabric, const End& a, const End& b, bool last_resort = false) {
  fabric::Link link;
  link.a = {a.node, PortOn(fabric, a, last_resort)};
  link.b = {b.node, PortOn(fabric, b, last_resort)};
  link.speed_mbit = 10000;
  link.last_resort = last_resort;
  fabric.links.push_back(link);
}

Fabric Nodes(size_t count) {
  Fabric out;
  for (size_t i = 0; i < count; ++i) {
    fabric::Node node;
    node.id = i + 1;
    node.name = std::string(1, static_cast<char>('A' + i % 26)) + (i < 26 ? "" : std::to_string(i / 26));
    out.nodes.push_back(node);
  }
  return out;
}

void LayCable(Fabric& fabric, size_t a, size_t b) {
  const std::string number = std::to_string(fabric.links.size());
  Join(fabric, {a, "p" + number}, {b, "q" + number});
}

Fabric Chain(size_t count) {
  Fabric out = Nodes(count);
  for (size_t i = 0; i + 1 < count; ++i) LayCable(out, i, i + 1);
  return out;
}

Fabric Ring(size_t count) {
  Fabric out = Chain(count);
  LayCable(out, count - 1, 0);
  return out;
}

void AddLan(Fabric& fabric) {
  for (size_t i = 0; i < fabric.nodes.size(); ++i) {
    for (size_t j = 0; j < i; ++j) Join(fabric, {j, "eth0"}, {i, "eth0"}, true);
  }
}

TEST(Shape, IsThatOfTheCables) {
  EXPECT_EQ(OrderOf(Chain(1)).shape, Shape::kChain);
  EXPECT_EQ(OrderOf(Chain(5)).shape, Shape::kChain);
  EXPECT_EQ(OrderOf(Ring(3)).shape, Shape::kRing);
  Fabric twins = Chain(3);
  LayCable(twins, 0, 1);
  EXPECT_EQ(OrderOf(twins).shape, Shape::kChain);
  Fabric star = Nodes(4);
  for (size_t i = 1; i < 4; ++i) LayCable(star, 0, i);
  EXPECT_EQ(OrderOf(star).shape, Shape::kOther);
  Fabric pieces = Ring(3);
  pieces.nodes.push_back(pieces.nodes[0]);
  EXPECT_EQ(OrderOf(pieces).shape, Shape::kOther);
  Fabric two_rings = Nodes(6);
  for (size_t i : {0, 3}) {
    for (size_t k = 0; k < 3; ++k) LayCable(two_rings, i + k, i + (k + 1) % 3);
  }
  EXPECT_EQ(OrderOf(two_rings).shape, Shape::kOther);
  EXPECT_TRUE(OrderOf(Fabric{}).nodes.empty());
  // Nodes may be declared in any order: the line begins at its lesser end.
  Fabric shuffled = Nodes(4);
  LayCable(shuffled, 2, 0);
  LayCable(shuffled, 0, 3);
  LayCable(shuffled, 3, 1);
  EXPECT_EQ(OrderOf(shuffled).nodes, (std::vector<size_t>{1, 3, 0, 2}));
}

TEST(Segments, ALanIsOnePlaceAndAPartOfOneIsLinks) {
  Fabric fabric = Ring(4);
  AddLan(fabric);
  const Condensed whole = Condense(fabric, nullptr);
  EXPECT_EQ(whole.fabric.nodes.size(), 5u);
  EXPECT_EQ(whole.fabric.nodes[4].name, "LAN");
  EXPECT_EQ(whole.fabric.links.size(), 4u + 4u);
  EXPECT_EQ(OrderOf(WithoutSegments(whole)).shape, Shape::kRing);
  fabric.links.pop_back();  // one pair does not reach each other
  EXPECT_EQ(Condense(fabric, nullptr).fabric.nodes.size(), 4u);
}

TEST(Segments, TheLoadOfAPortIsThatOfAllItsLinks) {
  Fabric fabric = Nodes(3);
  AddLan(fabric);
  FabricLoad load;
  load.links.resize(3);
  // Links are A-B, A-C, B-C.
  load.links[0] = {true, false, 100, 10, 1, 7, 1};
  load.links[1] = {true, false, 200, 20, 0, 9, 2};
  const Condensed condensed = Condense(fabric, &load);
  ASSERT_TRUE(condensed.load);
  ASSERT_EQ(condensed.load->links.size(), 3u);
  EXPECT_EQ(condensed.load->links[0].a_to_b_bits_s, 300);  // A sends to both
  EXPECT_EQ(condensed.load->links[0].b_to_a_bits_s, 30);
  EXPECT_EQ(condensed.load->links[1].a_to_b_bits_s, 10);
  EXPECT_EQ(condensed.load->links[2].b_to_a_bits_s, 200);
  EXPECT_EQ(condensed.load->links[0].rtt_us, 9u);
}

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

// A chain A-B-C-D: RoCE, InfiniBand at one end alone, and an end without RDMA.
Fabric MixedKinds() {
  Fabric chain = Chain(4);
  for (fabric::Node& node : chain.nodes) {
    for (fabric::Port& port : node.ports) port.kind = fabric::PortKind::kRdma;
  }
  chain.nodes[1].ports[1].infiniband = true;
  chain.nodes[3].ports[0].kind = fabric::PortKind::kTcp;
  chain.links[0].kind = fabric::PortKind::kRdma;
  return chain;
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

// ---- pictures
// --------------------------------------------------------------------------------------------------------

// Enough of XML for what is written here: tags nest, attributes are quoted, text is escaped.
bool WellFormed(const std::string& xml) {
  std::vector<std::string> open;
  for (size_t at = 0; (at = xml.find('<', at)) != std::string::npos;) {
    const size_t end = xml.find('>', at);
    if (end == std::string::npos) return false;
    std::string tag = xml.substr(at + 1, end - at - 1);
    at = end;
    if (tag.empty() || tag[0] == '?') continue;
    if (std::count(tag.begin(), tag.end(), '"') % 2 != 0) return false;
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return false;
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
  }
  return open.empty();
}

size_t Count(const std::string& text, const std::string& what) {
  size_t out = 0;
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += what.size()) ++out;
  return out;
}

std::vector<Fabric> Samples() {
  std::vector<Fabric> out = {Chain(1), Chain(3), Chain(13), Ring(4), Ring(9), Nodes(3)};
  Fabric star = Nodes(8);
  for (size_t i = 1; i < 8; ++i) LayCable(star, 0, i);
  out.push_back(star);
  Fabric grid = Nodes(12);
  for (size_t r = 0; r < 3; ++r) {
    for (size_t c = 0; c < 4; ++c) {
      if (c < 3) LayCable(grid, 4 * r + c, 4 * r + c + 1);
      if (r < 2) LayCable(grid, 4 * r + c, 4 * r + c + 4);
    }
  }
  out.push_back(grid);
  Fabric twins = Chain(3);
  for (int i = 0; i < 3; ++i) LayCable(twins, 0, 1);
  out.push_back(twins);
  Fabric lan = Chain(4);
  AddLan(lan);
  out.push_back(lan);
  uint64_t state = 11;
  for (size_t count : {20, 50}) {
    Fabric random = Nodes(count);
    for (size_t i = 1; i < count; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      LayCable(random, i, (state >> 33) % i);
    }
    out.push_back(random);
  }
  return out;
}

TEST(Scene, NodesStandApartAndEveryPlaceIsANumber) {
  for (const Fabric& fabric : Samples()) {
    const Scene scene = Compose(Condense(fabric, nullptr));
    ASSERT_GE(scene.nodes.size(), fabric.nodes.size());
    for (size_t i = 0; i < scene.nodes.size(); ++i) {
      EXPECT_TRUE(std::isfinite(scene.nodes[i].at.x) && std::isfinite(scene.nodes[i].at.y));
      EXPECT_GE(scene.nodes[i].at.x, 0);
      EXPECT_LE(scene.nodes[i].at.x, scene.width);
      EXPECT_LE(scene.nodes[i].at.y, scene.height);
      for (size_t j = 0; j < i; ++j) {
        EXPECT_FALSE(scene.nodes[i].Overlaps(scene.nodes[j], 2)) << fabric.nodes.size() << " nodes: " << i << " " << j;
      }
    }
  }
}

TEST(Scene, LabelsHideNeitherNodesNorEachOther) {
  for (const Fabric& fabric : Samples()) {
    const Scene scene = Compose(Condense(fabric, nullptr));
    EXPECT_EQ(scene.overlaps, 0u) << fabric.nodes.size() << " nodes, " << fabric.links.size() << " links";
    std::vector<Box> boxes = scene.nodes;
    for (const LinkDrawing& link : scene.links) {
      for (const Label* label : {&link.near, &link.far, &link.facts}) {
        if (label->lines.empty()) continue;
        for (const Box& other : boxes) EXPECT_FALSE(label->box.Overlaps(other, 0));
        boxes.push_back(label->box);
      }
    }
  }
}

TEST(Svg, IsWellFormedAndNamesEveryCableEnd) {
  for (const Fabric& fabric : Samples()) {
    const std::string svg = Svg(fabric, nullptr, "A");
    EXPECT_TRUE(WellFormed(svg));
    EXPECT_EQ(Count(svg, "<g class=\"node"), fabric.nodes.size());
    EXPECT_EQ(svg.find("script"), std::string::npos);
    EXPECT_EQ(svg.find("href"), std::string::npos) << "it needs nothing else";
    for (const fabric::Node& node : fabric.nodes) {
      for (const fabric::Port& port : node.ports) {
        EXPECT_NE(svg.find(">" + node.name + ":" + port.name + "<"), std::string::npos) << node.name << port.name;
      }
    }
  }
}

TEST(Svg, WhatFlowsHasAnArrowAndALastResortIsDashed) {
  Fabric chain = Chain(3);
  chain.links[1].last_resort = true;
  chain.name = "a<b>&\"c\"";
  FabricLoad load;
  load.links.resize(2);
  load.links[0] = {true, false, 9.4e8, 2e6, 0, 0, 1};
  load.links[1].down = true;
  const std::string svg = Svg(chain, &load, "B");
  EXPECT_TRUE(WellFormed(svg));
  EXPECT_EQ(Count(svg, "<polygon class=\"arrow\""), 2u);
  EXPECT_NE(svg.find("A→B 940 Mbit/s"), std::string::npos);
  EXPECT_NE(svg.find("B→A 2 Mbit/s"), std::string::npos);
  EXPECT_EQ(Count(svg, "link last-resort down"), 1u);
  EXPECT_NE(svg.find(">DOWN<"), std::string::npos);
  EXPECT_NE(svg.find("a&lt;b&gt;&amp;&quot;c&quot;"), std::string::npos);
}

TEST(Svg, ShowsKindsAndWhyTheyAreNoBetter) {
  const std::string svg = Svg(MixedKinds(), nullptr, "B", {"q9: state <DOWN>"});
  EXPECT_TRUE(WellFormed(svg)) << svg;
  EXPECT_EQ(Count(svg, ">10 Gbit/s rdma<"), 1u);
  EXPECT_EQ(Count(svg, ">10 Gbit/s tcp<"), 2u);
  EXPECT_EQ(Count(svg, "10 Gbit/s rdma</title>"), 1u);
  EXPECT_EQ(Count(svg, "10 Gbit/s tcp: B/p1 is InfiniBand, C/q1 Ethernet</title>"), 1u);
  EXPECT_EQ(Count(svg, "10 Gbit/s tcp: D/q2 is tcp</title>"), 1u);
  EXPECT_EQ(Count(svg, ">B/q9: state &lt;DOWN&gt;</text>"), 1u);
}

TEST(Svg, IsTheSameEveryTime) {
  const Fabric fabric = Samples().back();
  EXPECT_EQ(Svg(fabric, nullptr, "A"), Svg(fabric, nullptr, "A"));
}

}  // namespace
}  // namespace relay::view
