#include "view/scene.h"

#include <gtest/gtest.h>

#include <cmath>

#include "unit/tools/view/drawn_fabrics.h"

namespace relay::view {
namespace {

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

}  // namespace
}  // namespace relay::view
