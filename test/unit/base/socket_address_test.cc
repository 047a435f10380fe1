#include "base/socket_address.h"

#include <gtest/gtest.h>

namespace relay {
namespace {

TEST(SocketAddress, ParsesAndPrintsBothFamilies) {
  EXPECT_EQ(SocketAddress::Parse("10.77.0.1")->WithPort(21517).ToText(), "10.77.0.1:21517");
  EXPECT_EQ(SocketAddress::Parse("fe80::1%lo")->WithPort(1).ToText(), "[fe80::1]:1");
  for (const char* bad : {"", "10.77.0", "10.77.0.1%lo", "host", "fe80::1::2", "10.77.0.1:80"}) {
    EXPECT_FALSE(SocketAddress::Parse(bad)) << bad;
  }
  EXPECT_TRUE(SocketAddress::Parse("10.0.0.1")->WithPort(1).SameHost(*SocketAddress::Parse("10.0.0.1")));
  EXPECT_FALSE(SocketAddress::Parse("10.0.0.1")->SameHost(*SocketAddress::Parse("::1")));
}

}  // namespace
}  // namespace relay
