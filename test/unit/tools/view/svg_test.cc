#include "view/svg.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "unit/tools/view/drawn_fabrics.h"

namespace relay::view::svg_test {
namespace {

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
}  // namespace relay::view::svg_test
