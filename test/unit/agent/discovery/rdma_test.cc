// What comes of verbs devices: ports' kinds, links' kinds, what NCCL is offered, what an operator is told.
#include <gmock/gmock.h>

#include <algorithm>

#include "agent/node/live_fabric.h"
#include "unit/agent/agents.h"
#include "unit/agent/discovery/network.h"
#include "unit/agent/discovery/verbs_tree.h"

namespace relay::agent::discovery_rdma {
namespace {

using fabric::PortKind;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Status NobodyAsks(const std::string& device) {
  ADD_FAILURE() << "libibverbs is asked for " << device;
  return {};
}

// Node B of a declared chain A-B-C whose ports are all rdma, with a NIC of two ports on it.
class DeclaredRdma : public AgentsTest {
 protected:
  DeclaredRdma() {
    for (fabric::Node& node : chain_.nodes) {
      for (fabric::Port& port : node.ports) port.kind = PortKind::kRdma;
    }
    for (fabric::Link& link : chain_.links) link.kind = PortKind::kRdma;
    chain_.nodes[1].ports[1].name = "bc";  // as a declaration may have it
    for (size_t port : {0, 1}) AddPort(port, "0000:01:00." + std::to_string(port));
  }
  void AddPort(size_t port, const std::string& function) {
    const std::string device = "mlx5_" + std::to_string(port);
    tree_.AddDevice(device, tree_.Function(function));
    tree_.AddPort(device);
    tree_.AddGids(device, "lo", chain_.nodes[1].ports[port].addresses[0].HostText());
  }
  LocalNode NodeB() const {
    LocalNode node = OptionsFor(chain_, 1).node;
    node.verbs_roots = tree_.roots();
    return node;
  }
  std::vector<PortKind> LinkKinds(const LocalNode& node) const {
    std::vector<PortKind> out;
    for (const fabric::Link& link : node.fabric.links) out.push_back(link.kind);
    return out;
  }
  VerbsTree tree_;
  fabric::Fabric chain_ = ChainOnLo(3);
};

TEST_F(DeclaredRdma, APortHasTheDeviceThatHoldsItsAddress) {
  LocalNode node = NodeB();
  EXPECT_EQ(node.VerbsOf(0), std::nullopt) << "nobody has looked yet";
  EXPECT_FALSE(LookUpDeclared(node)) << "it is as declared";
  EXPECT_EQ(node.VerbsOf(0), (VerbsPort{"mlx5_0", 1, false}));
  EXPECT_EQ(node.VerbsOf(1), (VerbsPort{"mlx5_1", 1, false}));
  EXPECT_EQ(node.VerbsOf(2), std::nullopt);
  EXPECT_EQ(fabric::PrintFabric(node.fabric), fabric::PrintFabric(chain_));
}

TEST_F(DeclaredRdma, WithoutADeviceAPortAndItsLinksAreTcpOnThisNode) {
  tree_.Remove("sys/class/infiniband/mlx5_1");
  LocalNode node = NodeB();
  EXPECT_TRUE(LookUpDeclared(node));
  EXPECT_EQ(node.VerbsOf(1), std::nullopt);
  EXPECT_THAT(node.verbs[1].why_not, HasSubstr("mlx5_0 port 1 has GIDs of an interface of this name"));
  EXPECT_EQ(LinkKinds(node), (std::vector<PortKind>{PortKind::kRdma, PortKind::kTcp}));
  EXPECT_EQ(fabric::AgreementHash(node.fabric), fabric::AgreementHash(chain_)) << "to others nothing has changed";
  EXPECT_TRUE(fabric::FindPath(node.fabric, 1, 0)->rdma);
  EXPECT_FALSE(fabric::FindPath(node.fabric, 0, 2)->rdma);
  EXPECT_FALSE(LookUpDeclared(node)) << "nothing new";
  AddPort(1, "0000:01:00.1");
  EXPECT_TRUE(LookUpDeclared(node)) << "it has come back";
  EXPECT_EQ(LinkKinds(node), (std::vector<PortKind>{PortKind::kRdma, PortKind::kRdma}));
}

TEST_F(DeclaredRdma, ANodeWithoutAnyDeviceSaysSo) {
  tree_.Remove("sys/class/infiniband");
  LocalNode node = NodeB();
  EXPECT_TRUE(LookUpDeclared(node));
  EXPECT_EQ(VerbsText("ba", node.verbs[0]), "ba is tcp: no RDMA device is behind the interface lo");
  EXPECT_EQ(LinkKinds(node), (std::vector<PortKind>{PortKind::kTcp, PortKind::kTcp}));
}

TEST_F(DeclaredRdma, WhatTheDeclarationDoesNotSayIsNotUsed) {
  chain_.nodes[1].ports[0].kind = chain_.links[0].kind = PortKind::kTcp;
  chain_.nodes[1].ports[1].infiniband = chain_.nodes[2].ports[0].infiniband = true;
  LocalNode node = NodeB();
  EXPECT_TRUE(LookUpDeclared(node));
  EXPECT_EQ(node.verbs[0].why_not,
            "mlx5_0 port 1 (RoCE) is behind it, but the declared fabric says tcp: give the port \"kind\": \"rdma\"");
  EXPECT_EQ(node.verbs[1].why_not,
            "mlx5_1 port 1 (RoCE) is behind it, but the declared fabric has another link layer: give the port "
            "\"link_layer\": \"ethernet\"");
  EXPECT_EQ(LinkKinds(node), (std::vector<PortKind>{PortKind::kTcp, PortKind::kTcp}));
  EXPECT_EQ(node.VerbsOf(0), std::nullopt);
  EXPECT_EQ(node.VerbsOf(1), std::nullopt);
}

TEST_F(DeclaredRdma, TheKnobTurnsRdmaOff) {
  std::vector<fabric::LocalInterface> here = {{"lo", {}}};
  for (const fabric::Port& port : chain_.nodes[1].ports) here[0].addresses.push_back(port.addresses[0]);
  Knobs knobs;
  knobs.rdma = knob::Automatic::kOff;
  auto node = FindLocalNode(chain_, here, knobs);
  ASSERT_TRUE(node) << node.error().what;
  node->verbs_roots = tree_.roots();
  node->verbs_roots.library = NobodyAsks;
  EXPECT_TRUE(LookUpDeclared(*node));
  EXPECT_EQ(node->VerbsOf(0), std::nullopt);
  EXPECT_EQ(VerbsText("ba", node->verbs[0]),
            "ba is tcp: mlx5_0 port 1 (RoCE) is behind it, but NCCL_RELAY_RDMA is off");
  EXPECT_TRUE(FindLocalNode(chain_, here, Knobs())->rdma);
}

TEST_F(DeclaredRdma, NcclIsOfferedOneDevicePerNic) {
  LocalNode node = NodeB();
  node.fabric.nodes[1].ports[0].speed_mbit = 100000;
  node.fabric.nodes[1].ports[1].speed_mbit = 200000;
  ASSERT_FALSE(LookUpDeclared(node));
  auto devices = DevicesOf(node);
  ASSERT_EQ(devices.size(), 1u) << "two ports of one NIC";
  EXPECT_EQ(devices[0].name, "relay0");
  EXPECT_THAT(devices[0].pci_path, testing::EndsWith("/0000:01:00.0"));
  EXPECT_EQ(devices[0].speed_mbit, 200000u) << "the fastest of its ports";

  node.verbs[0].nic = "another";
  node.verbs[0].pci_path = "/sys/devices/pci0000:c0/0000:c1:00.0";
  devices = DevicesOf(node);
  ASSERT_EQ(devices.size(), 2u);
  std::sort(devices.begin(), devices.end(), [](auto& a, auto& b) { return a.speed_mbit < b.speed_mbit; });
  EXPECT_EQ(devices[0].pci_path, "/sys/devices/pci0000:c0/0000:c1:00.0");
  EXPECT_EQ(devices[0].speed_mbit, 100000u);
  EXPECT_NE(devices[0].name, devices[1].name);

  node.verbs[0].pci_path = std::string(300, 'x');
  EXPECT_EQ(DevicesOf(node).size(), 1u) << "more than a WELCOME carries";
}

TEST_F(DeclaredRdma, NicsWithoutRdmaOrWithoutAPlaceAreOneDeviceForNccl) {
  LocalNode node = NodeB();
  node.fabric.nodes[1].ports[1].speed_mbit = 25000;
  const auto whole = [&] {
    const auto devices = DevicesOf(node);
    return devices.size() == 1 && devices[0].name == "relay0" && devices[0].pci_path.empty() &&
           devices[0].speed_mbit == 25000;
  };
  EXPECT_TRUE(whole());
  ASSERT_FALSE(LookUpDeclared(node));
  EXPECT_FALSE(whole());
  for (PortVerbs& verbs : node.verbs) verbs.pci_path = verbs.nic = "";
  EXPECT_TRUE(whole()) << "soft-RoCE";
  node.rdma = false;
  LookUpDeclared(node);
  EXPECT_TRUE(whole());
}

TEST_F(DeclaredRdma, TheAgentSaysWhetherRdmaReachesAllNodes) {
  const auto welcome_of = [&](const fabric::Fabric& fabric, std::optional<TimePoint> found = {}) {
    AgentOptions options = OptionsFor(fabric, 1);
    options.node.verbs_roots = tree_.roots();
    options.node.declared = !found;
    options.node.settled = found.value_or(TimePoint{});
    Start(options);
    auto welcome = ClientOf("B")->welcome();
    Kill("B");
    return welcome;
  };
  auto welcome = welcome_of(chain_);
  EXPECT_EQ(welcome.rdma_reach, control::RdmaReach::kAll);
  ASSERT_EQ(welcome.verbs.size(), 2u);
  EXPECT_EQ(welcome.verbs[1].name, "mlx5_1");

  const TimePoint now = clock_.Now();
  EXPECT_EQ(welcome_of(chain_, now).rdma_reach, control::RdmaReach::kUnsettled) << "others may be found any moment";
  EXPECT_EQ(welcome_of(chain_, now - std::chrono::hours(1)).rdma_reach, control::RdmaReach::kAll);

  fabric::Fabric half = chain_;  // a far link that is none
  half.nodes.push_back({103, "D", {{"lo", {*SocketAddress::Parse("127.9.9.9")}, 1000, PortKind::kTcp}}});
  half.nodes[2].ports.push_back({"lo:1", {*SocketAddress::Parse("127.9.9.8")}, 1000, PortKind::kTcp});
  half.links.push_back({{2, 1}, {3, 0}, 1000, 0, PortKind::kTcp});
  EXPECT_EQ(welcome_of(half).rdma_reach, control::RdmaReach::kNo);

  tree_.Remove("sys/class/infiniband");
  welcome = welcome_of(chain_);
  EXPECT_EQ(welcome.rdma_reach, control::RdmaReach::kNo);
  EXPECT_TRUE(welcome.verbs.empty());
}

TEST_F(DeclaredRdma, TwoProcessesOfOneNodeMeetAtItsDevice) {
  AgentOptions options = OptionsFor(chain_, 1);
  options.node.verbs_roots = tree_.roots();
  Start(options);
  auto from = ClientOf("B"), to = ClientOf("B");
  for (const bool by_device : {true, false}) {
    const auto connect = To(chain_, 1, RandomValue<Token>());
    ASSERT_TRUE(to->Send({0, control::Register{connect.token}}));
    ASSERT_TRUE(from->Send({9, connect}));
    const auto asked = Next(*from);
    const auto* where = std::get_if<control::Prepare>(&asked.packet.message);
    ASSERT_NE(where, nullptr) << "the process is asked for a queue pair";
    EXPECT_EQ(where->device, "mlx5_0");
    EXPECT_EQ(where->relays, 0u);
    control::Prepared prepared;
    if (by_device) prepared.offer = {std::byte{7}};
    if (!by_device) prepared.why_not = "no memory";
    ASSERT_TRUE(from->Send({asked.packet.request, prepared}));
    auto arrived = Next(*to);
    const auto* message = std::get_if<control::Arrived>(&arrived.packet.message);
    ASSERT_NE(message, nullptr);
    EXPECT_TRUE(message->open.route.empty());
    EXPECT_EQ(message->open.offer, prepared.offer);
    EXPECT_EQ(message->device, by_device ? "mlx5_0" : "");
    ASSERT_TRUE(WriteWhole(arrived.fd.get(), EncodeOpened({message->open.name, {}})));
    const auto connected = Next(*from);
    const auto* opened = std::get_if<control::Connected>(&connected.packet.message);
    ASSERT_NE(opened, nullptr);
    EXPECT_EQ(opened->note, by_device ? "" : "path B is used without RDMA: no memory");
  }
}

TEST_F(DeclaredRdma, TheAgentTellsItsClientsAndItsOperator) {
  tree_.Remove("dev/infiniband/uverbs1");
  AgentOptions options = OptionsFor(chain_, 1);
  options.node.verbs_roots = tree_.roots();
  Start(options);
  const auto client = ClientOf("B");
  ASSERT_EQ(client->welcome().devices.size(), 1u);
  EXPECT_THAT(client->welcome().devices[0].pci_path, testing::EndsWith("/0000:01:00.0"));
  EXPECT_EQ(client->welcome().agreement, fabric::AgreementHash(chain_));
  const auto seen = fabric::ParseFabric(Ask("B", "fabric"), "answer");
  ASSERT_TRUE(seen) << seen.error().what;
  EXPECT_EQ(seen->links[0].kind, PortKind::kRdma);
  EXPECT_EQ(seen->links[1].kind, PortKind::kTcp);
  EXPECT_THAT(Ask("B", "status"),
              AllOf(HasSubstr(R"("kind":"rdma","last_resort":false,"device":"mlx5_0","device_port":1,)"
                              R"("link_layer":"ethernet")"),
                    HasSubstr(R"("why_tcp":"mlx5_1 port 1 is behind it, but this process cannot open )")));
  EXPECT_THAT(Ask("B", "discovery"),
              AllOf(HasSubstr("lo is rdma: mlx5_0 port 1 (RoCE)\n"), HasSubstr("bc is tcp: mlx5_1 port 1 is behind it"),
                    HasSubstr("--device /dev/infiniband, --cap-add IPC_LOCK, --ulimit memlock=-1")));
}

// The own node of a discovered fabric, in a network of its own.
struct Discovered {
  explicit Discovered(bool rdma = true) {
    EXPECT_EQ(system("ip link set lo up && ip link add name ab type veth peer name ba && "
                     "ip addr add 10.1.0.1/30 dev ab && ip link set ab up && ip link set ba up"),
              0);
    LiveFabric::Options options;
    options.identity = {.node = 7, .incarnation = 1, .kept = false};
    options.name = "A";
    options.ifname = "=ab";
    options.rdma = rdma;
    options.verbs_roots = tree.roots();
    if (!rdma) options.verbs_roots.library = NobodyAsks;
    node.port = 21517;
    LiveFabric::Hooks hooks;
    hooks.ports = [] {};
    hooks.fabric = [](const fabric::Fabric&) {};
    hooks.answer = [](const std::string&) { return std::string(); };
    AddDevice();
    auto started = LiveFabric::Start(loop, node, std::move(options), counters, std::move(hooks));
    EXPECT_TRUE(started) << started.error().what;
    if (started) live = std::move(*started);
    // A new cable may take a moment until its ends see each other.
    EXPECT_TRUE(live && Until([&] { return !live->records().Find(7)->ports.empty(); }));
  }
  void AddDevice() {
    tree.AddDevice("rxe_ab");
    tree.AddPort("rxe_ab");
    tree.AddGid("rxe_ab", {1, 1}, "10.1.0.1", "ab");
  }
  const fabric::Port& Recorded() const { return live->records().Find(7)->ports.at(0); }
  bool Until(const std::function<bool()>& condition) {
    return Eventually([&] {
      loop.RunOnce(std::chrono::milliseconds(5));
      return condition();
    });
  }

  VerbsTree tree;
  SystemClock clock;
  EventLoop loop{clock};
  LocalNode node;
  Counters counters;
  std::unique_ptr<LiveFabric> live;
};

TEST(DiscoveredRdma, TheRecordFollowsTheDevice) {
  InOwnNetwork([] {
    Discovered here;
    ASSERT_TRUE(here.live);
    EXPECT_EQ(here.Recorded().kind, PortKind::kRdma) << "at once: NCCL asks for devices only once";
    EXPECT_EQ(here.node.VerbsOf(0), (VerbsPort{"rxe_ab", 1, false}));
    EXPECT_EQ(here.node.node().ports.at(0).kind, PortKind::kRdma);
    EXPECT_THAT(here.live->Describe(), HasSubstr("ab is rdma: rxe_ab port 1 (RoCE)"));
    const auto edition = here.live->records().Find(7)->edition;

    here.tree.Remove("sys/class/infiniband/rxe_ab");
    ASSERT_TRUE(here.Until([&] { return here.Recorded().kind == PortKind::kTcp; }));
    EXPECT_GT(here.live->records().Find(7)->edition, edition) << "neighbours are told";
    ASSERT_TRUE(here.Until([&] { return here.node.node().ports.at(0).kind == PortKind::kTcp; }));
    EXPECT_EQ(here.node.VerbsOf(0), std::nullopt);
    EXPECT_THAT(here.live->Describe(), Not(HasSubstr("rdma")));

    here.AddDevice();
    ASSERT_TRUE(here.Until([&] { return here.node.node().ports.at(0).kind == PortKind::kRdma; }));
    EXPECT_TRUE(here.node.VerbsOf(0));
  });
}

TEST(DiscoveredRdma, AGidThatComesAfterItsAddressIsSeen) {
  InOwnNetwork([] {
    Discovered here;
    ASSERT_TRUE(here.live);
    here.tree.Remove(here.tree.PortFolder("rxe_ab") + "/gids/1");
    ASSERT_EQ(system("ip addr del 10.1.0.1/30 dev ab && ip addr add 10.1.0.5/30 dev ab"), 0);
    const auto has = [&](const char* address) {
      const auto& addresses =
          here.node.node().ports.empty() ? std::vector<SocketAddress>() : here.node.node().ports[0].addresses;
      return std::any_of(addresses.begin(), addresses.end(),
                         [&](const SocketAddress& a) { return a.HostText() == address; });
    };
    ASSERT_TRUE(here.Until([&] { return has("10.1.0.5"); }));
    EXPECT_EQ(here.Recorded().kind, PortKind::kTcp);
    here.tree.AddGid("rxe_ab", {1, 1}, "10.1.0.5", "ab");
    EXPECT_TRUE(here.Until([&] { return here.Recorded().kind == PortKind::kRdma; }));
  });
}

TEST(DiscoveredRdma, TheKnobTurnsRdmaOff) {
  InOwnNetwork([] {
    Discovered here(false);
    ASSERT_TRUE(here.live);
    EXPECT_EQ(here.Recorded().kind, PortKind::kTcp);
    EXPECT_EQ(here.node.VerbsOf(0), std::nullopt);
    EXPECT_THAT(here.live->Describe(),
                HasSubstr("ab is tcp: rxe_ab port 1 (RoCE) is behind it, but NCCL_RELAY_RDMA is off"));
  });
}

}  // namespace
}  // namespace relay::agent::discovery_rdma
