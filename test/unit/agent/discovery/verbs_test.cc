// Which verbs device stands behind which interface, on trees as kernels lay them out.
#include <gmock/gmock.h>
#include <rapidcheck/gtest.h>

#include "unit/agent/discovery/verbs_tree.h"

namespace relay::agent::discovery_verbs {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

VerbsPort PortOf(const std::string& device, uint8_t port = 1, bool infiniband = false) {
  return {device, port, infiniband};
}

TEST(VerbsPorts, WithoutDevicesThereIsNothingToSay) {
  VerbsTree tree;
  tree.AddInterface("eth0", tree.Function("0000:01:00.0"));
  const VerbsPorts devices = tree.Read();
  EXPECT_TRUE(devices.empty());
  EXPECT_EQ(VerbsSummary(tree.roots()), "");
  const PortVerbs none = devices.Behind("eth0", AddressList({"10.0.0.1"}));
  EXPECT_EQ(none.port, std::nullopt);
  EXPECT_EQ(none.why_not, "");
  EXPECT_THAT(devices.WithoutInterface(), IsEmpty());
}

// The two functions of one ConnectX-7, each with its own place on PCI, as a DGX Spark has them.
class Twins : public testing::Test {
 protected:
  Twins() {
    const char* const image = "4cbb:4703:0012:3456";
    first_ = tree_.Function("0000:01:00.0");
    second_ = tree_.Function("0002:01:00.0");
    tree_.AddInterface("enp1s0f0np0", first_);
    tree_.AddInterface("enP2p1s0f0np0", second_);
    tree_.AddDevice("rocep1s0f0", first_, image);
    tree_.AddDevice("roceP2p1s0f0", second_, image);
    for (const char* device : {"rocep1s0f0", "roceP2p1s0f0"}) tree_.AddPort(device, 1, "Ethernet", "200 Gb/sec");
    tree_.AddGids("rocep1s0f0", "enp1s0f0np0", "192.168.100.1");
    tree_.AddGids("roceP2p1s0f0", "enP2p1s0f0np0", "192.168.100.2");
  }
  VerbsTree tree_;
  std::string first_, second_;
};

TEST_F(Twins, AreTwoDevicesOfOneNic) {
  const VerbsPorts devices = tree_.Read();
  const PortVerbs a = devices.Behind("enp1s0f0np0", AddressList({"192.168.100.1"}));
  const PortVerbs b = devices.Behind("enP2p1s0f0np0", AddressList({"192.168.100.2", "fe80::9"}));
  EXPECT_EQ(a.port, PortOf("rocep1s0f0"));
  EXPECT_EQ(b.port, PortOf("roceP2p1s0f0"));
  EXPECT_EQ(a.why_not + b.why_not, "");
  EXPECT_EQ(a.Text(), "rocep1s0f0 port 1 (RoCE)");
  EXPECT_EQ(a.pci_path, first_);
  EXPECT_EQ(b.pci_path, second_);
  EXPECT_EQ(a.nic, b.nic);
  EXPECT_NE(a.nic, "");
  EXPECT_THAT(devices.WithoutInterface(), IsEmpty());
}

TEST_F(Twins, WhatTheLibraryDoesNotServeIsNotUsedAndWhySoIsSaid) {
  VerbsRoots roots = tree_.roots();
  roots.library = [](const std::string& device) -> Status {
    if (device == "rocep1s0f0") return {};
    return Fail(ErrorCode::kSystem, "libibverbs does not find it");
  };
  const VerbsPorts devices(roots);
  EXPECT_EQ(devices.Behind("enp1s0f0np0", AddressList({"192.168.100.1"})).port, PortOf("rocep1s0f0"));
  const PortVerbs other = devices.Behind("enP2p1s0f0np0", AddressList({"192.168.100.2"}));
  EXPECT_EQ(other.port, std::nullopt);
  EXPECT_EQ(other.why_not, "roceP2p1s0f0 port 1 is behind it, but libibverbs does not find it");
}

TEST_F(Twins, ALinkLocalAddressIsEnough) {
  EXPECT_EQ(tree_.Read().Behind("enp1s0f0np0", AddressList({"fe80::1:1"})).port, PortOf("rocep1s0f0"));
}

TEST_F(Twins, AVlanAndABondAreOnTheDeviceBelow) {
  tree_.AddInterface("enp1s0f0np0.100");
  tree_.AddGid("rocep1s0f0", {1, 4}, "10.100.0.1", "enp1s0f0np0.100", "IB/RoCE v1");
  tree_.AddGid("rocep1s0f0", {1, 5}, "10.100.0.1", "enp1s0f0np0.100");
  tree_.AddInterface("bond0");
  tree_.AddGid("roceP2p1s0f0", {1, 4}, "10.200.0.1", "bond0");
  const VerbsPorts devices = tree_.Read();
  const PortVerbs vlan = devices.Behind("enp1s0f0np0.100", AddressList({"10.100.0.1"}));
  EXPECT_EQ(vlan.port, PortOf("rocep1s0f0"));
  EXPECT_EQ(vlan.pci_path, first_);
  EXPECT_EQ(devices.Behind("bond0", AddressList({"10.200.0.1"})).port, PortOf("roceP2p1s0f0"));
  EXPECT_EQ(devices.Behind("enp1s0f0np0", AddressList({"192.168.100.1"})).port, PortOf("rocep1s0f0"));
}

TEST_F(Twins, OfSeveralDevicesBehindABondTheFastestOneThatWorksIsTaken) {
  tree_.AddInterface("bond0");
  tree_.AddGid("rocep1s0f0", {1, 4}, "10.200.0.1", "bond0");
  tree_.AddGid("roceP2p1s0f0", {1, 4}, "10.200.0.1", "bond0");
  const auto taken = [&] { return tree_.Read().Behind("bond0", AddressList({"10.200.0.1"})).port; };
  tree_.Write(tree_.PortFolder("roceP2p1s0f0") + "/rate", "400 Gb/sec (4X NDR)");
  EXPECT_EQ(taken(), PortOf("roceP2p1s0f0"));
  tree_.Write(tree_.PortFolder("roceP2p1s0f0") + "/state", "1: DOWN");
  EXPECT_EQ(taken(), PortOf("rocep1s0f0"));
}

TEST_F(Twins, TheTwoPortsOfANicWithoutAnImageAreOneByTheirFunctions) {
  for (const char* device : {"rocep1s0f0", "roceP2p1s0f0"}) tree_.Remove("sys/class/infiniband/" + std::string(device));
  for (const char* function : {"0000:81:00.0", "0000:81:00.1"}) {
    const std::string digit(1, function[11]);
    const std::string parent = tree_.Function(function);
    tree_.AddInterface("ens" + digit, parent);
    tree_.AddDevice("mlx5_" + digit, parent);
    tree_.AddPort("mlx5_" + digit);
    tree_.AddGids("mlx5_" + digit, "ens" + digit, "10.0." + digit + ".1");
  }
  const VerbsPorts devices = tree_.Read();
  const PortVerbs a = devices.Behind("ens0", AddressList({"10.0.0.1"}));
  const PortVerbs b = devices.Behind("ens1", AddressList({"10.0.1.1"}));
  ASSERT_TRUE(a.port && b.port);
  EXPECT_EQ(a.nic, b.nic);
  EXPECT_THAT(a.pci_path, EndsWith("/0000:81:00.0"));
  EXPECT_THAT(b.pci_path, EndsWith("/0000:81:00.1"));
}

TEST_F(Twins, APartOfAFunctionIsOnThatFunction) {
  const std::string part = first_ + "/mlx5_core.sf.4";
  const std::string relative = part.substr(part.find("/sys/") + 1);
  tree_.Link(relative + "/subsystem", "sys/bus/auxiliary");
  tree_.AddDevice("mlx5_4", part);
  tree_.AddPort("mlx5_4");
  tree_.AddGids("mlx5_4", "enp1s0f0s4", "10.4.0.1");
  EXPECT_EQ(tree_.Read().Behind("enp1s0f0s4", AddressList({"10.4.0.1"})).pci_path, first_);
}

TEST_F(Twins, GidsThatAreGoneLeavePlacesFree) {
  tree_.AddGid("rocep1s0f0", {1, 60}, "10.60.0.1", "vlan60");
  tree_.AddGid("rocep1s0f0", {1, 600}, "10.61.0.1", "vlan61");
  EXPECT_EQ(tree_.Read().Behind("vlan60", AddressList({"10.60.0.1"})).port, PortOf("rocep1s0f0"));
  EXPECT_EQ(tree_.Read().Behind("vlan61", AddressList({"10.61.0.1"})).port, std::nullopt)
      << "no table has hundreds of free places before its last GID";
}

TEST_F(Twins, AnInterfaceOfTheSameNameInAnotherNamespaceIsNotTakenForThisOne) {
  const PortVerbs found = tree_.Read().Behind("enp1s0f0np0", AddressList({"172.17.0.2"}));
  EXPECT_EQ(found.port, std::nullopt);
  EXPECT_TRUE(found.doubtful);
  EXPECT_EQ(found.why_not,
            "rocep1s0f0 port 1 has GIDs of an interface of this name, but no address of this one is among them");
}

struct Spoilt {
  const char* name;
  void (*spoil)(VerbsTree& tree);
  const char* why;
};

class Unusable : public Twins, public testing::WithParamInterface<Spoilt> {};

TEST_P(Unusable, WhyADeviceCannotBeUsedIsSaid) {
  GetParam().spoil(tree_);
  const PortVerbs found = tree_.Read().Behind("enp1s0f0np0", AddressList({"192.168.100.1"}));
  EXPECT_EQ(found.port, std::nullopt);
  EXPECT_FALSE(found.doubtful);
  EXPECT_THAT(found.why_not, HasSubstr(GetParam().why));
  EXPECT_THAT(found.why_not, testing::StartsWith("rocep1s0f0 port 1 is behind it, but "));
  EXPECT_EQ(found.pci_path, "");
  EXPECT_EQ(tree_.Read().Behind("enP2p1s0f0np0", AddressList({"192.168.100.2"})).port, PortOf("roceP2p1s0f0"))
      << "the other one is not concerned";
}

INSTANTIATE_TEST_SUITE_P(
    Reasons, Unusable,
    testing::Values(
        Spoilt{"NoNode", [](VerbsTree& tree) { tree.Remove("dev/infiniband/uverbs0"); },
               "uverbs0 (No such file or directory): start the container with --device /dev/infiniband, --cap-add "
               "IPC_LOCK, --ulimit memlock=-1"},
        Spoilt{"NodeOfNoUse",
               [](VerbsTree& tree) {
                 tree.Remove("dev/infiniband/uverbs0");
                 tree.Write("dev/infiniband/uverbs0/folder", "");
               },
               "uverbs0 (Is a directory): start the container with"},
        Spoilt{"NotForPrograms", [](VerbsTree& tree) { tree.Remove("sys/class/infiniband_verbs/uverbs0"); },
               "the kernel offers it to no program: modprobe ib_uverbs"},
        Spoilt{"Down", [](VerbsTree& tree) { tree.Write(tree.PortFolder("rocep1s0f0") + "/state", "1: DOWN"); },
               "its state is DOWN"},
        Spoilt{"StateUnreadable", [](VerbsTree& tree) { tree.Remove(tree.PortFolder("rocep1s0f0") + "/state"); },
               "its state is unknown"},
        Spoilt{"Roce1",
               [](VerbsTree& tree) {
                 tree.Remove(tree.PortFolder("rocep1s0f0") + "/gid_attrs/types/3");
                 tree.Write(tree.PortFolder("rocep1s0f0") + "/gid_attrs/types/3", "IB/RoCE v1");
               },
               "but has GIDs of RoCE v1 alone, and RoCE v2 is needed"},
        Spoilt{"Iwarp", [](VerbsTree& tree) { tree.Write("sys/class/infiniband/rocep1s0f0/node_type", "4: RNIC"); },
               "its kind is RNIC, neither InfiniBand nor RoCE"}),
    [](const auto& instance) { return instance.param.name; });

TEST(VerbsPorts, SoftRoceIsRdmaButNoPciDevice) {
  VerbsTree tree;
  const std::string nic = tree.Function("0000:00:03.0");
  tree.AddInterface("r0");
  tree.AddInterface("eth0", nic);
  tree.AddDevice("rxe_r0");
  // Some kernels hang soft-RoCE below the device of its interface.
  tree.AddDevice("rxe_eth0", nic);
  for (const char* name : {"r0", "eth0"}) {
    const std::string device = "rxe_" + std::string(name);
    tree.Write("sys/class/infiniband/" + device + "/parent", name);
    tree.AddPort(device, 1, "Ethernet", "2.5 Gb/sec (1X SDR)");
    tree.AddGid(device, {1, 0}, "fe80::5054:ff:fe00:1", name);
    tree.AddGid(device, {1, 1}, std::string("10.77.0.") + (name[0] == 'r' ? "1" : "5"), name);
  }
  const VerbsPorts devices = tree.Read();
  for (const auto& [interface, address] : {std::pair("r0", "10.77.0.1"), std::pair("eth0", "10.77.0.5")}) {
    const PortVerbs found = devices.Behind(interface, AddressList({address}));
    EXPECT_EQ(found.port, PortOf("rxe_" + std::string(interface)));
    EXPECT_EQ(found.pci_path + found.nic, "");
    EXPECT_EQ(found.speed_mbit, 0u) << "its rate says nothing of the wire";
  }
}

// One device of two ports, as older adapters have; each with an IPoIB interface, and a bond of the two.
TEST(VerbsPorts, IpoibCountsPortsFromZero) {
  VerbsTree tree;
  const std::string hca = tree.Function("0000:41:00.0");
  tree.AddInterface("ib0", hca, 32, 0);
  tree.AddInterface("ib1", hca, 32, 1);
  tree.AddDevice("mlx4_0", hca, "f452:1403:0010:20b0");
  tree.AddPort("mlx4_0", 1, "InfiniBand", "56 Gb/sec (4X FDR)");
  tree.AddPort("mlx4_0", 2, "InfiniBand", "2.5 Gb/sec (1X SDR)");
  tree.AddPort("mlx4_0", 3, "InfiniBand");
  tree.AddInterface("bond0", "", 32);
  tree.Write("sys/class/net/bond0/bonding/active_slave", "ib1");
  const VerbsPorts devices = tree.Read();
  const PortVerbs first = devices.Behind("ib0", AddressList({"10.0.0.1"}));
  EXPECT_EQ(first.port, PortOf("mlx4_0", 1, true));
  EXPECT_EQ(first.speed_mbit, 56000u);
  EXPECT_EQ(first.pci_path, hca);
  EXPECT_EQ(first.Text(), "mlx4_0 port 1 (InfiniBand)");
  EXPECT_EQ(devices.Behind("ib1", {}).port, PortOf("mlx4_0", 2, true));
  EXPECT_EQ(devices.Behind("ib1", {}).speed_mbit, 2500u);
  EXPECT_EQ(devices.Behind("bond0", {}).port, PortOf("mlx4_0", 2, true));
  EXPECT_THAT(devices.WithoutInterface(), ElementsAre("mlx4_0 port 3 has no network interface: modprobe ib_ipoib"));
  tree.Write("sys/class/net/bond0/bonding/active_slave", "ib0");
  EXPECT_EQ(tree.Read().Behind("bond0", {}).port, PortOf("mlx4_0", 1, true));
}

TEST(VerbsPorts, APortWithoutInterfaceIsNamed) {
  VerbsTree tree;
  tree.AddDevice("mlx5_3", tree.Function("0000:01:00.3"));
  tree.AddPort("mlx5_3");
  EXPECT_THAT(tree.Read().WithoutInterface(), ElementsAre("mlx5_3 port 1 has no network interface"));
  EXPECT_EQ(tree.Read().Behind("eth0", AddressList({"10.0.0.1"})).why_not, "");
}

TEST_F(Twins, TheSummaryChangesWithDevicesStatesAndNodes) {
  std::string last = VerbsSummary(tree_.roots());
  const auto changed = [&] {
    std::string before = std::exchange(last, VerbsSummary(tree_.roots()));
    return before != last;
  };
  EXPECT_FALSE(changed());
  tree_.Write(tree_.PortFolder("rocep1s0f0") + "/state", "1: DOWN");
  EXPECT_TRUE(changed());
  tree_.Remove("dev/infiniband/uverbs1");
  EXPECT_TRUE(changed());
  tree_.Remove("sys/class/infiniband/roceP2p1s0f0");
  EXPECT_TRUE(changed());
  EXPECT_FALSE(changed());
}

// Whatever a driver writes: there is a port or there is none, and nothing worse.
RC_GTEST_PROP(VerbsPortsProperty, NoFileDoesHarm, ()) {
  VerbsTree tree;
  const std::string nic = tree.Function("0000:01:00.0");
  tree.AddInterface("eth0", nic);
  tree.AddDevice("mlx5_0", nic);
  tree.AddPort("mlx5_0");
  tree.AddGids("mlx5_0", "eth0", "10.0.0.1");
  const std::vector<std::string> files = {
      "/rate",   "/state",           "/link_layer", "/gids/3", "/gid_attrs/ndevs/3", "/gid_attrs/types/3",
      "/gids/x", "/gids/99999999999"};
  const std::vector<std::string> texts = {
      "",     "nan Gb/sec",           "1e300 Gb/sec",    "-5 Gb/sec",  ": ",      "4:",
      "\n\n", std::string(5000, 'x'), "::ffff:10.0.0.1", "InfiniBand", "RoCE v2", "eth0"};
  for (int i = 0; i < 3; ++i) {
    tree.Write(tree.PortFolder("mlx5_0") + *rc::gen::elementOf(files), *rc::gen::elementOf(texts));
  }
  const PortVerbs found = tree.Read().Behind("eth0", AddressList({"10.0.0.1"}));
  RC_ASSERT(!found.port || (found.why_not.empty() && found.port->device == "mlx5_0"));
  RC_ASSERT(found.why_not.empty() || found.why_not.starts_with("mlx5_0 port 1"));
}

}  // namespace
}  // namespace relay::agent::discovery_verbs
