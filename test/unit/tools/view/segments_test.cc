#include "view/segments.h"

#include <gtest/gtest.h>

#include "unit/tools/view/drawn_fabrics.h"
#include "view/fabric_shape.h"

namespace relay::view {
namespace {

TEST(Segments, ALanIsOnePlaceAndAPartOfOneIsLinks) {
  Fabric fabric = Ring(4);
  AddLan(fabric);
  const Condensed whole = Condense(fabric, nullptr);
  EXPECT_EQ(whole.fabric.nodes.size(), 5u);
  EXPECT_EQ(whole.fabric.nodes[4].name, "LAN");
  EXPECT_EQ(whole.fabric.links.size(), 4u + 4u);
  EXPECT_EQ(OrderOf(WithoutSegments(whole)).shape, FabricShape::kRing);
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

}  // namespace
}  // namespace relay::view
