#include "view/fabric_shape.h"

#include <gtest/gtest.h>

#include "unit/tools/view/drawn_fabrics.h"

namespace relay::view {
namespace {

TEST(FabricShape, IsThatOfTheCables) {
  EXPECT_EQ(OrderOf(Chain(1)).shape, FabricShape::kChain);
  EXPECT_EQ(OrderOf(Chain(5)).shape, FabricShape::kChain);
  EXPECT_EQ(OrderOf(Ring(3)).shape, FabricShape::kRing);
  Fabric twins = Chain(3);
  LayCable(twins, 0, 1);
  EXPECT_EQ(OrderOf(twins).shape, FabricShape::kChain);
  Fabric star = Nodes(4);
  for (size_t i = 1; i < 4; ++i) LayCable(star, 0, i);
  EXPECT_EQ(OrderOf(star).shape, FabricShape::kOther);
  Fabric pieces = Ring(3);
  pieces.nodes.push_back(pieces.nodes[0]);
  EXPECT_EQ(OrderOf(pieces).shape, FabricShape::kOther);
  Fabric two_rings = Nodes(6);
  for (size_t i : {0, 3}) {
    for (size_t k = 0; k < 3; ++k) LayCable(two_rings, i + k, i + (k + 1) % 3);
  }
  EXPECT_EQ(OrderOf(two_rings).shape, FabricShape::kOther);
  EXPECT_TRUE(OrderOf(Fabric{}).nodes.empty());
  // Nodes may be declared in any order: the line begins at its lesser end.
  Fabric shuffled = Nodes(4);
  LayCable(shuffled, 2, 0);
  LayCable(shuffled, 0, 3);
  LayCable(shuffled, 3, 1);
  EXPECT_EQ(OrderOf(shuffled).nodes, (std::vector<size_t>{1, 3, 0, 2}));
}

}  // namespace
}  // namespace relay::view
