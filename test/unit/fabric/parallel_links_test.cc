// Which links a direct connection uses beside its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/fabric/sample_fabrics.h"

namespace relay::fabric::parallel_links {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Fabric Joined(std::initializer_list<uint32_t> speeds, PortKind kind = PortKind::kRdma) {
  FabricMaker maker(3);
  for (uint32_t speed : speeds) maker.Join(0, 1, speed, 0, kind);
  return maker.fabric();
}

TEST(ParallelLinks, AreTheOthersBetweenTheSameNodesTheFastestFirst) {
  FabricMaker maker(3);
  maker.Join(0, 1, 100, 0, PortKind::kRdma).Join(0, 2, 100, 0, PortKind::kRdma).Join(1, 0, 100, 0, PortKind::kRdma);
  maker.Join(0, 1, 200, 0, PortKind::kRdma);
  EXPECT_THAT(ParallelLinks(maker.fabric(), 0), ElementsAre(3, 2));
  EXPECT_THAT(ParallelLinks(maker.fabric(), 3), ElementsAre(0, 2));
  EXPECT_THAT(ParallelLinks(maker.fabric(), 1), IsEmpty());
}

TEST(ParallelLinks, AreNeverSlowerThanHalf) {
  EXPECT_THAT(ParallelLinks(Joined({200, 100, 99, 0}), 0), ElementsAre(1));
  EXPECT_THAT(ParallelLinks(Joined({0, 0, 100}), 0), ElementsAre(2, 1)) << "nothing is known of the first";
}

TEST(ParallelLinks, AreNoMoreThanALaneTakes) {
  EXPECT_THAT(ParallelLinks(Joined({100, 100, 100, 100, 100, 100}), 2), ElementsAre(0, 1, 3));
}

TEST(ParallelLinks, AreRdmaLinksOnOneWireAndNoneThatIsLeftOut) {
  Fabric fabric = Joined({100, 100, 100, 100, 100});
  fabric.links[1].kind = PortKind::kTcp;
  fabric.links[2].routed = true;
  fabric.links[3].last_resort = true;
  EXPECT_THAT(ParallelLinks(fabric, 0), ElementsAre(4));
  EXPECT_THAT(ParallelLinks(fabric, 0, std::vector<size_t>{4}), IsEmpty());
}

// Behind a switch every port of one node has a link to every port of the other.
TEST(ParallelLinks, UseEachPortOnce) {
  Fabric fabric = Joined({100, 100});
  fabric.links.push_back({{0, 0}, {1, 1}, 100, 0, PortKind::kRdma});
  fabric.links.push_back({{1, 0}, {0, 1}, 100, 0, PortKind::kRdma});
  EXPECT_THAT(ParallelLinks(fabric, 0), ElementsAre(1));
  EXPECT_THAT(ParallelLinks(fabric, 2), ElementsAre(3));
}

}  // namespace
}  // namespace relay::fabric::parallel_links
