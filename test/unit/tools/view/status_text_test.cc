#include "view/status_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace relay::view {
namespace {

TEST(StatusText, SaysWhatIsThereAndNothingOfWhatIsNot) {
  const Json status =
      Json::parse(R"({"node":"000000000000000b","name":"B","build":"0.1.0","agreement":"00000000deadbeef",
    "port":21517,"auto":false,"draining":true,"key":true,"pid":42,"uptime_s":185,"sockets":["@nccl-relay"],
    "fabric":{"name":"","declared":false,"nodes":3,"links":2,"settled_s":61},
    "ports":[{"port":"ba","interface":"ba","speed_mbit":1000,"kind":"tcp","up":true,
              "neighbours":[{"node":"A","port":"ab","routed":false}]},
             {"port":"p2","interface":"eth9","speed_mbit":0,"kind":"rdma","up":false,"last_resort":true,"neighbours":[]},
             {"port":"bc","interface":"bc","speed_mbit":0,"kind":"rdma","up":true,"device":"mlx5_0","device_port":2,
              "link_layer":"infiniband"},
             {"port":"bd","interface":"bd","speed_mbit":0,"kind":"tcp","up":true,"why_tcp":"mlx5_1 port 1 is DOWN"}],
    "clients":1,"processes":[{"pid":7,"build":"0.1.0","plugin":"/x/libnccl-net-relay.so"}],"tokens":0,"half_open":0,
    "ends":{"source":1,"relay":2,"destination":3},"circuits":[],"counters":{"relayed_bytes":9,"messages_sent":0},
    "limits":{"descriptors":900,"descriptors_used":12}})");
  EXPECT_EQ(
      StatusText(status, Json::object()),
      "node        B, id 000000000000000b\n"
      "agent       nccl-relay 0.1.0, pid 42, up 3 min 5 s, a daemon, with a key, DRAINING: new circuits are refused\n"
      "listens     port 21517, control socket @nccl-relay\n"
      "fabric      discovered, 3 nodes, 2 links, agreement 00000000deadbeef, settled 1 min 1 s ago\n"
      "ports       ba           up   1 Gbit/s      tcp  to A/ab\n"
      "            p2 (eth9)    DOWN unknown speed rdma, last resort  to nobody\n"
      "            bc           up   unknown speed rdma by mlx5_0/2 (InfiniBand)  to nobody\n"
      "            bd           up   unknown speed tcp  to nobody\n"
      "              mlx5_1 port 1 is DOWN\n"
      "processes   pid 7, build 0.1.0, /x/libnccl-net-relay.so\n"
      "circuits    1 start here, 3 end here, 2 pass\n"
      "descriptors 12 of 900 in use\n"
      "counters    relayed bytes                  9\n");
  const Json slots = Json::parse(
      R"({"registered":{"bytes":8000000,"limit":1000000000,"host":4000000,"huge":4000000,"gpu":0,"staging":"host",
          "why_host":"there is no GPU"}})");
  EXPECT_THAT(StatusText(slots, Json::object()),
              testing::HasSubstr("registered  8 MB of 1 GB for relaying by RDMA, in host memory, 4 MB in huge pages\n"
                                 "              not on the GPU: there is no GPU\n"));
  EXPECT_FALSE(StatusText(Json::array(), Json()).empty()) << "whatever an agent answers";
}

}  // namespace
}  // namespace relay::view
