#include "agent/discovery/netlink_reader.h"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>

namespace relay::agent::netlink_reader {
namespace {

TEST(NetlinkReader, TakesNothingThatIsNotWhole) {
  nlmsghdr header{};
  for (uint32_t length : {0U, 15U, 17U, 0xffffffffU}) {
    header.nlmsg_len = length;
    std::span<const std::byte> rest = std::as_bytes(std::span(&header, 1));
    EXPECT_FALSE(TakeMessage(rest)) << length;
  }
  rtattr attribute{};
  for (uint16_t length : {uint16_t{0}, uint16_t{3}, uint16_t{5}, uint16_t{0xffff}}) {
    attribute.rta_len = length;
    std::span<const std::byte> rest = std::as_bytes(std::span(&attribute, 1));
    EXPECT_FALSE(TakeAttribute(rest)) << length;
  }
}

}  // namespace
}  // namespace relay::agent::netlink_reader
