#include "agent/discovery/interface_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "agent/discovery/netlink_socket.h"

namespace relay::agent::interface_table {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

struct Info {
  std::string kind, slave_kind;
  int master = 0;
};

// Messages as the kernel writes them.
class Kernel {
 public:
  explicit Kernel(InterfaceTable& table) : table_(table) {}
  // Done to every message from now on.
  void set_damage(std::function<void(std::vector<std::byte>&)> damage) { damage_ = std::move(damage); }

  InterfaceTable::Touched Link(int index, const std::string& name, bool up, uint16_t type = RTM_NEWLINK,
                               const Info& info = {}) {
    ifinfomsg header{};
    header.ifi_index = index;
    header.ifi_flags = IFF_UP;
    if (up) header.ifi_flags |= static_cast<unsigned>(IFF_RUNNING) | 1U << 16;
    auto message = NetlinkRequest(type, 0, header);
    AddText(message, IFLA_IFNAME, name);
    if (info.master != 0) AddAttribute(message, IFLA_MASTER, std::as_bytes(std::span(&info.master, 1)));
    std::vector<std::byte> nested;
    if (!info.kind.empty()) AddText(nested, IFLA_INFO_KIND, info.kind);
    if (!info.slave_kind.empty()) AddText(nested, IFLA_INFO_SLAVE_KIND, info.slave_kind);
    if (!nested.empty()) AddAttribute(message, IFLA_LINKINFO | NLA_F_NESTED, nested);
    return Apply(message);
  }
  InterfaceTable::Touched Address(int index, const std::string& text, uint32_t flags = 0, uint16_t type = RTM_NEWADDR) {
    const SocketAddress address = *SocketAddress::Parse(text);
    ifaddrmsg header{};
    header.ifa_family = static_cast<uint8_t>(address.family());
    header.ifa_index = static_cast<uint32_t>(index);
    auto message = NetlinkRequest(type, 0, header);
    AddAttribute(message, IFA_ADDRESS, address.HostBytes());
    AddAttribute(message, IFA_FLAGS, std::as_bytes(std::span(&flags, 1)));
    return Apply(message);
  }
  InterfaceTable::Touched DefaultRoute(int index, uint32_t table = RT_TABLE_MAIN, uint8_t bits = 0) {
    rtmsg header{};
    header.rtm_family = AF_INET;
    header.rtm_type = RTN_UNICAST;
    header.rtm_dst_len = bits;
    auto message = NetlinkRequest(RTM_NEWROUTE, 0, header);
    AddAttribute(message, RTA_TABLE, std::as_bytes(std::span(&table, 1)));
    AddAttribute(message, RTA_OIF, std::as_bytes(std::span(&index, 1)));
    return Apply(message);
  }
  InterfaceTable::Touched Apply(std::vector<std::byte> message) {
    if (damage_) damage_(message);
    const auto length = static_cast<uint32_t>(message.size());
    std::memcpy(message.data(), &length, sizeof length);
    std::span<const std::byte> rest = message;
    auto taken = TakeMessage(rest);
    EXPECT_TRUE(taken && rest.empty());
    return table_.Apply(*taken);
  }

 private:
  static void AddText(std::vector<std::byte>& message, uint16_t type, const std::string& text) {
    AddAttribute(message, type, std::as_bytes(std::span(text.c_str(), text.size() + 1)));
  }
  InterfaceTable& table_;
  std::function<void(std::vector<std::byte>&)> damage_;
};

TEST(InterfaceTable, FollowsLinksAndAddresses) {
  InterfaceTable table;
  Kernel kernel(table);
  EXPECT_EQ(kernel.Link(3, "cd", true).link, 3);
  kernel.Link(2, "ab", true);
  kernel.Address(2, "10.0.0.1");
  kernel.Address(2, "fe80::1");
  table.SetHardware(2, 200000, false);
  auto all = table.Interfaces();
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].name, "ab");
  EXPECT_TRUE(all[0].up);
  EXPECT_EQ(all[0].speed_mbit, 200000U);
  ASSERT_THAT(all[0].addresses, SizeIs(2));
  EXPECT_EQ(reinterpret_cast<const sockaddr_in6*>(all[0].addresses[1].get())->sin6_scope_id, 2U);

  EXPECT_FALSE(kernel.Link(2, "ab", true).lost);
  EXPECT_TRUE(kernel.Link(2, "ab", false).lost) << "the carrier is gone";
  EXPECT_EQ(table.Interfaces()[0].speed_mbit, 200000U);
  EXPECT_TRUE(kernel.Address(2, "10.0.0.1", 0, RTM_DELADDR).lost);
  EXPECT_FALSE(kernel.Address(2, "10.0.0.1", 0, RTM_DELADDR).lost) << "it was gone before";
  EXPECT_TRUE(kernel.Link(2, "ab", false, RTM_DELLINK).lost);
  EXPECT_THAT(table.Interfaces(), SizeIs(1));
  kernel.Address(9, "10.0.0.9");
  EXPECT_THAT(table.Interfaces(), SizeIs(1)) << "an address of nothing";
}

TEST(InterfaceTable, KnowsWhatTheKernelCallsAnInterfaceAndWhatABridgeStandsOn) {
  InterfaceTable table;
  Kernel kernel(table);
  kernel.Link(2, "nic", true);
  kernel.Link(3, "mesh0", true, RTM_NEWLINK, {"vxlan", "", 0});
  kernel.Link(4, "br", true, RTM_NEWLINK, {"bridge", "", 0});
  kernel.Link(5, "pod", true, RTM_NEWLINK, {"veth", "bridge", 4});
  const auto find = [&](const std::string& name) {
    const auto all = table.Interfaces();
    return *std::find_if(all.begin(), all.end(), [&](const Interface& i) { return i.name == name; });
  };
  EXPECT_EQ(find("nic").kind, "");
  EXPECT_EQ(find("mesh0").kind, "vxlan");
  EXPECT_TRUE(find("mesh0").hardware) << "of bridges alone can be told";
  EXPECT_FALSE(find("br").hardware);
  kernel.Link(2, "nic", true, RTM_NEWLINK, {"", "bridge", 4});
  EXPECT_TRUE(find("br").hardware);
  kernel.Link(2, "nic", true);
  EXPECT_FALSE(find("br").hardware) << "it has left the bridge";
  EXPECT_EQ(find("pod").kind, "veth");
}

TEST(InterfaceTable, AnAddressCountsWhenItIsUsable) {
  InterfaceTable table;
  Kernel kernel(table);
  kernel.Link(2, "ab", true);
  for (uint32_t flags : {uint32_t{IFA_F_TENTATIVE}, uint32_t{IFA_F_DADFAILED}, uint32_t{IFA_F_TEMPORARY}}) {
    kernel.Address(2, "fe80::1", flags);
    EXPECT_THAT(table.Interfaces()[0].addresses, IsEmpty()) << flags;
  }
  kernel.Address(2, "fe80::1", IFA_F_TENTATIVE | IFA_F_OPTIMISTIC);
  EXPECT_THAT(table.Interfaces()[0].addresses, SizeIs(1));
  EXPECT_TRUE(kernel.Address(2, "fe80::1", IFA_F_DADFAILED).lost);
}

TEST(InterfaceTable, ABridgesPortIsEnslavedAVrfsIsNot) {
  InterfaceTable table;
  Kernel kernel(table);
  kernel.Link(2, "a", true, RTM_NEWLINK, {"", "bridge", 0});
  kernel.Link(3, "b", true, RTM_NEWLINK, {"", "bond", 0});
  kernel.Link(4, "c", true, RTM_NEWLINK, {"", "vrf", 0});
  kernel.Link(5, "d", true);
  std::vector<bool> enslaved;
  for (const Interface& interface : table.Interfaces()) enslaved.push_back(interface.enslaved);
  EXPECT_THAT(enslaved, ElementsAre(true, true, false, false));
  kernel.Link(2, "a", true);
  EXPECT_FALSE(table.Interfaces()[0].enslaved);
}

TEST(InterfaceTable, DefaultRoutesOfTheMainTableComeFirst) {
  InterfaceTable table;
  Kernel kernel(table);
  for (int i = 2; i < 5; ++i) kernel.Link(i, "eth" + std::to_string(i), true);
  auto defaults = [&] {
    std::vector<std::string> out;
    for (const Interface& i : table.Interfaces()) {
      if (i.default_route) out.push_back(i.name);
    }
    return out;
  };
  EXPECT_FALSE(kernel.DefaultRoute(4, RT_TABLE_MAIN, 24).routes) << "a subnet's";
  kernel.DefaultRoute(3, 101);
  EXPECT_THAT(defaults(), ElementsAre("eth3")) << "no other table has one";
  EXPECT_TRUE(kernel.DefaultRoute(2).routes);
  EXPECT_THAT(defaults(), ElementsAre("eth2")) << "a rail's own table is for its own sources";
  table.ClearRoutes();
  EXPECT_THAT(defaults(), IsEmpty());
}

// However a message is damaged, what is listed is an interface that some message has named.
RC_GTEST_PROP(InterfaceTableProperty, DamagedMessagesMakeNoInterfaceWithoutIndexAndName, ()) {
  InterfaceTable table;
  Kernel kernel(table);
  kernel.set_damage([](std::vector<std::byte>& message) {
    for (int i = *rc::gen::inRange(0, 3); i > 0; --i) {
      const auto at = *rc::gen::inRange<size_t>(sizeof(nlmsghdr), message.size());
      message[at] = static_cast<std::byte>(*rc::gen::elementOf(std::vector<int>{0, 1, 0x7f, 0x80, 0xff}));
    }
    message.resize(message.size() - *rc::gen::element<size_t>(0, 0, 0, 4, 8));
  });
  for (int i = 0; i < 8; ++i) {
    const int index = *rc::gen::inRange(-1, 4);
    kernel.Link(index, *rc::gen::element<std::string>("", "ab"), true,
                *rc::gen::element<uint16_t>(RTM_NEWLINK, RTM_DELLINK));
    kernel.Address(index, "10.0.0.1");
    kernel.DefaultRoute(index);
  }
  std::set<int> indices;
  for (const Interface& interface : table.Interfaces()) {
    RC_ASSERT(interface.index > 0);
    RC_ASSERT(!interface.name.empty());
    RC_ASSERT(interface.addresses.size() <= 8u);
    RC_ASSERT(indices.insert(interface.index).second);
  }
}

}  // namespace
}  // namespace relay::agent::interface_table
