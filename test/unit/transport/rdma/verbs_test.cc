#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <thread>

#include "transport/rdma/sysfs_gids.h"
#include "transport/rdma/verbs.h"

namespace relay::transport::rdma {
namespace {

using testing::HasSubstr;

TEST(Verbs, AMissingLibraryIsNamedWithWhatToInstall) {
  const auto verbs = LoadVerbsFrom("libibverbs-not-here.so.1");
  ASSERT_FALSE(verbs);
  EXPECT_THAT(verbs.error().what, HasSubstr("RDMA needs libibverbs-not-here.so.1"));
  EXPECT_THAT(verbs.error().what, HasSubstr("install libibverbs1"));
  EXPECT_FALSE(verbs.error().told);
}

TEST(Verbs, ALibraryWithoutTheCallsIsTooOld) {
  const auto verbs = LoadVerbsFrom("libc.so.6");
  ASSERT_FALSE(verbs);
  EXPECT_THAT(verbs.error().what,
              HasSubstr("libc.so.6 is too old for RDMA here, it has no ibv_get_device_list of IBVERBS_1.1"));
}

TEST(Verbs, TheLibraryIsLookedForOnceAndTheAnswerStays) {
  const auto first = LoadVerbs();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const auto again = LoadVerbs();
      ASSERT_EQ(again.has_value(), first.has_value());
      if (again) {
        EXPECT_EQ(*again, *first);
      } else {
        EXPECT_TRUE(again.error().told);
        EXPECT_EQ(again.error().what, first.error().what);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST(Verbs, TheLoadedTableIsWhole) {
  const auto verbs = LoadVerbs();
  ASSERT_TRUE(verbs) << verbs.error().what;
  const Verbs& v = **verbs;
  EXPECT_TRUE(v.get_device_list && v.free_device_list && v.open_device && v.close_device && v.get_async_event &&
              v.ack_async_event && v.query_device && v.query_port && v.query_gid_table && v.alloc_pd && v.dealloc_pd &&
              v.reg_mr && v.dereg_mr && v.create_comp_channel && v.destroy_comp_channel && v.create_cq &&
              v.destroy_cq && v.get_cq_event && v.ack_cq_events && v.create_qp && v.modify_qp && v.destroy_qp);
  EXPECT_STREQ(v.wc_status_str(IBV_WC_RETRY_EXC_ERR), "transport retry counter exceeded");
  EXPECT_STREQ(v.event_type_str(IBV_EVENT_PORT_ERR), "port error");
}

// A device's folder as sysfs lays it out.
class SysfsTree {
 public:
  SysfsTree() {
    char name[] = "/tmp/relay_sysfs_XXXXXX";
    path_ = mkdtemp(name);
  }
  ~SysfsTree() {
    const std::string command = "rm -rf " + path_;
    EXPECT_EQ(system(command.c_str()), 0);
  }
  void Write(const std::string& file, const std::string& text) {
    for (size_t slash = path_.size() + 1; (slash = (path_ + "/" + file).find('/', slash)) != std::string::npos;
         ++slash) {
      mkdir((path_ + "/" + file).substr(0, slash).c_str(), 0755);
    }
    FILE* out = fopen((path_ + "/" + file).c_str(), "w");
    ASSERT_NE(out, nullptr);
    fputs((text + "\n").c_str(), out);
    fclose(out);
  }
  void WriteRow(int port, int row, const std::string& gid, const std::string& type, const std::string& interface) {
    const std::string folder = "ports/" + std::to_string(port) + "/", name = std::to_string(row);
    Write(folder + "gids/" + name, gid);
    if (!type.empty()) Write(folder + "gid_attrs/types/" + name, type);
    if (!interface.empty()) Write(folder + "gid_attrs/ndevs/" + name, interface);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

constexpr const char* kZeroGid = "0000:0000:0000:0000:0000:0000:0000:0000";
constexpr const char* kIpv4Gid = "0000:0000:0000:0000:0000:ffff:0a00:0001";
constexpr const char* kLinkLocalGid = "fe80:0000:0000:0000:0202:c9ff:fe00:0001";

TEST(SysfsGids, RowsOfEveryPortAreReadWithoutTheEmptyOnes) {
  SysfsTree tree;
  tree.Write("ports/1/link_layer", "Ethernet");
  tree.WriteRow(1, 0, kLinkLocalGid, "IB/RoCE v1", "lo");
  tree.WriteRow(1, 1, kZeroGid, "", "");
  tree.WriteRow(1, 2, kIpv4Gid, "RoCE v2", "lo");
  tree.Write("ports/2/link_layer", "InfiniBand");
  tree.WriteRow(2, 0, kLinkLocalGid, "IB/RoCE v1", "");
  ibv_gid_entry rows[8];
  ASSERT_EQ(ReadSysfsGids(tree.path(), rows), 3);
  EXPECT_EQ(rows[0].port_num, 1u);
  EXPECT_EQ(rows[0].gid_index, 0u);
  EXPECT_EQ(rows[0].gid_type, static_cast<uint32_t>(IBV_GID_TYPE_ROCE_V1));
  EXPECT_EQ(rows[0].ndev_ifindex, if_nametoindex("lo"));
  EXPECT_EQ(rows[0].gid.raw[0], 0xfe);
  EXPECT_EQ(rows[1].gid_index, 2u);
  EXPECT_EQ(rows[1].gid_type, static_cast<uint32_t>(IBV_GID_TYPE_ROCE_V2));
  EXPECT_EQ(rows[1].gid.raw[12], 10);
  EXPECT_EQ(rows[2].port_num, 2u);
  EXPECT_EQ(rows[2].gid_type, static_cast<uint32_t>(IBV_GID_TYPE_IB));
  EXPECT_EQ(rows[2].ndev_ifindex, 0u);
}

TEST(SysfsGids, WhatThereIsNoRoomForIsLeftOut) {
  SysfsTree tree;
  tree.Write("ports/1/link_layer", "Ethernet");
  for (int row = 0; row < 5; ++row) tree.WriteRow(1, row, kIpv4Gid, "RoCE v2", "lo");
  ibv_gid_entry rows[3];
  EXPECT_EQ(ReadSysfsGids(tree.path(), rows), 3);
}

TEST(SysfsGids, NonsenseIsNoAddressAndNoDeviceIsAnError) {
  SysfsTree tree;
  tree.Write("ports/1/link_layer", "Ethernet");
  tree.WriteRow(1, 0, "no address", "RoCE v2", "lo");
  tree.WriteRow(1, 1, std::string(10000, 'f'), "RoCE v2", "lo");
  ibv_gid_entry rows[3];
  EXPECT_EQ(ReadSysfsGids(tree.path(), rows), 0);
  EXPECT_EQ(ReadSysfsGids(tree.path() + "/none", rows), -ENODEV);
}

}  // namespace
}  // namespace relay::transport::rdma
