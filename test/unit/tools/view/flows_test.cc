// From an agent's answer to a screen: readings, rates, loads of links, and one frame of top.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "view/load.h"
#include "view/quantity.h"
#include "view/status_text.h"
#include "view/top_frame.h"

namespace relay::view {
namespace {

TEST(Quantity, HasThreeDigitsAndAUnit) {
  EXPECT_EQ(RateText(0), "0");
  EXPECT_EQ(RateText(0.4), "0");
  EXPECT_EQ(RateText(999), "999 bit/s");
  EXPECT_EQ(RateText(999.7e3), "1 Mbit/s");
  EXPECT_EQ(RateText(940.4e6), "940 Mbit/s");
  EXPECT_EQ(RateText(9.412e9), "9.41 Gbit/s");
  EXPECT_EQ(RateText(-5), "0");
  EXPECT_EQ(SpeedText(0), "unknown speed");
  EXPECT_EQ(SpeedText(2500), "2.5 Gbit/s");
  EXPECT_EQ(SpeedText(400000), "400 Gbit/s");
  EXPECT_EQ(BytesText(17), "17 B");
  EXPECT_EQ(BytesText(1180000000), "1.18 GB");
  EXPECT_EQ(BytesText(UINT64_MAX), "1.84e+04 PB");
  EXPECT_EQ(AgeText(340), "0.3 s");
  EXPECT_EQ(AgeText(59999), "59 s");
  EXPECT_EQ(AgeText(185000), "3 min 5 s");
  EXPECT_EQ(AgeText(7800000), "2 h 10 min");
  EXPECT_EQ(AgeText(443000000), "5 d 3 h");
  EXPECT_EQ(MicrosText(0), "-");
  EXPECT_EQ(MicrosText(999), "999 us");
  EXPECT_EQ(MicrosText(1234), "1.23 ms");
}

TEST(Reading, TakesAnythingWithoutHarm) {
  for (const char* bad : {"", "{", "[]", "null", "{}", "{\"name\":1}", "\"x\"", "{\"name\":\"\"}"}) {
    EXPECT_FALSE(ParseReading(bad)) << bad;
  }
  EXPECT_FALSE(ParseSurvey("{}"));
  EXPECT_EQ(ParseSurvey("[1,{},{\"name\":\"A\"},[]]")->size(), 1u);
  const auto odd = ParseReading(
      "{\"name\":\"A\",\"ports\":{\"a\":1},\"circuits\":[3,{\"hops\":[null,{\"rtt_us\":-4}]}],\"monotonic_ns\":1.5}");
  ASSERT_TRUE(odd) << odd.error().what;
  EXPECT_TRUE(odd->ports.empty());
  EXPECT_EQ(odd->circuits.size(), 2u);
  EXPECT_EQ(odd->circuits[1].hops.size(), 2u);
  EXPECT_EQ(odd->circuits[1].hops[1].rtt_us, 0u);
  const std::string deep = "{\"name\":\"A\",\"x\":" + std::string(100000, '[') + std::string(100000, ']') + "}";
  EXPECT_TRUE(ParseReading(deep));
}

HopReading Hop(const std::string& neighbour, const std::string& port, uint64_t received, uint64_t sent) {
  HopReading out;
  out.neighbour = neighbour;
  out.port = port;
  out.told = true;
  out.received_bytes = received;
  out.sent_bytes = sent;
  out.rtt_us = 100;
  return out;
}

CircuitReading Circuit(Role role, std::vector<HopReading> hops) {
  CircuitReading out;
  out.connection = "00000000000000aa";
  out.epoch = 1;
  out.role = role;
  out.path = "A ab--ba B bc--cb C";
  out.from = "A";
  out.to = "C";
  out.hops = std::move(hops);
  return out;
}

PortReading Port(const std::string& name, uint64_t received, uint64_t sent) {
  return {name, true, true, received, sent, 0, 0};
}

// The relay of a chain, at a second and a half: 1 MB came from A and went to C, 1 kB came back.
struct Relay {
  NodeReading before, now;
  Relay() {
    before.node = now.node = "0b";
    before.name = now.name = "B";
    before.monotonic_ns = 1'000'000'000;
    now.monotonic_ns = 2'500'000'000;
    before.ports = {Port("ba", 500, 100), Port("bc", 100, 500)};
    now.ports = {Port("ba", 1500500, 1600), Port("bc", 1600, 1500500)};
    before.circuits = {Circuit(Role::kRelay, {Hop("A", "ba", 0, 0), Hop("C", "bc", 0, 0)})};
    now.circuits = {Circuit(Role::kRelay, {Hop("A", "ba", 1000000, 1000), Hop("C", "bc", 1000, 1000000)})};
    now.circuits[0].hops[1].retransmits = 3;
    now.circuits_total = 1;
  }
};

TEST(Rates, AreTheDifferenceOverTheAgentsTime) {
  const Relay relay;
  const NodeRates rates = RatesBetween(&relay.before, relay.now);
  EXPECT_DOUBLE_EQ(rates.ports[0].in_bits_s, 8e6);
  EXPECT_DOUBLE_EQ(rates.ports[0].out_bits_s, 8e3);
  EXPECT_DOUBLE_EQ(rates.ports[1].retransmits_s, 2);
  EXPECT_EQ(rates.ports[1].rtt_us, 100u);
  EXPECT_DOUBLE_EQ(rates.circuits[0].forward_bits_s, 8e6 / 1.5);
  EXPECT_DOUBLE_EQ(rates.circuits[0].backward_bits_s, 8e3 / 1.5);
  EXPECT_EQ(rates.circuits[0].forward_bytes, 1000000u);
}

TEST(Rates, NothingIsToldOfWhatIsNewRestartedOrOfAnotherTime) {
  const Relay relay;
  for (const NodeRates& rates : {RatesBetween(nullptr, relay.now), RatesBetween(&relay.now, relay.now),
                                 RatesBetween(&relay.now, relay.before)}) {
    EXPECT_EQ(rates.ports[0].in_bits_s, 0);
    EXPECT_EQ(rates.circuits[0].forward_bits_s, 0);
  }
  Relay fresh;
  fresh.before.circuits.clear();
  EXPECT_EQ(RatesBetween(&fresh.before, fresh.now).circuits[0].forward_bits_s, 0);
  EXPECT_EQ(RatesBetween(&fresh.before, fresh.now).circuits[0].forward_bytes, 1000000u);
  // The same name with a smaller count is another life of the interface.
  Relay again;
  again.now.ports[0].received_bytes = 3;
  EXPECT_EQ(RatesBetween(&again.before, again.now).ports[0].in_bits_s, 0);
}

TEST(Rates, EachRoleKnowsWhichWayIsForward) {
  for (Role role : {Role::kSource, Role::kDestination}) {
    NodeReading before, now;
    now.monotonic_ns = 1'000'000'000;
    before.circuits = {Circuit(role, {Hop("B", "x", 0, 0)})};
    now.circuits = {Circuit(role, {Hop("B", "x", 1000, 9000)})};
    before.name = now.name = "A";
    before.monotonic_ns = 1;
    const CircuitRate circuit = RatesBetween(&before, now).circuits[0];
    EXPECT_EQ(circuit.forward_bytes, role == Role::kSource ? 9000u : 1000u);
    EXPECT_EQ(circuit.backward_bytes, role == Role::kSource ? 1000u : 9000u);
  }
}

fabric::Fabric Chain() {
  fabric::Fabric out;
  out.name = "chain-3";
  for (const char* name : {"A", "B", "C"}) {
    fabric::Node node;
    node.name = name;
    out.nodes.push_back(node);
  }
  const auto port = [](const char* name) { return fabric::Port{name, {}, 100, fabric::PortKind::kTcp, false}; };
  out.nodes[0].ports = {port("ab")};
  out.nodes[1].ports = {port("ba"), port("bc")};
  out.nodes[2].ports = {port("cb")};
  fabric::Link link;
  link.speed_mbit = 100;
  link.a = {0, 0};
  link.b = {1, 0};
  out.links.push_back(link);
  link.a = {2, 0};  // declared from its far end
  link.b = {1, 1};
  out.links.push_back(link);
  return out;
}

TEST(Load, OneNodeTellsOfAllItsLinksAndOfThePathsThatCrossIt) {
  const Relay relay;
  const FabricLoad load = LoadOf(Chain(), {RatesBetween(&relay.before, relay.now)});
  EXPECT_TRUE(load.links[0].known && load.links[1].known);
  EXPECT_DOUBLE_EQ(load.links[0].a_to_b_bits_s, 8e6);  // A to B
  EXPECT_DOUBLE_EQ(load.links[1].b_to_a_bits_s, 8e6);  // B to C
  EXPECT_DOUBLE_EQ(load.links[1].a_to_b_bits_s, 8e3);
  EXPECT_EQ(load.links[0].circuits, 1u);
  EXPECT_EQ(load.silent, (std::vector<std::string>{"A", "C"}));
  ASSERT_EQ(load.paths.size(), 1u);
  EXPECT_DOUBLE_EQ(load.paths[0].forward_bits_s, 8e6 / 1.5);
}

TEST(Load, ACircuitThatSeveralNodesTellOfCountsOnce) {
  const Relay relay;
  NodeReading a = relay.now, a0 = relay.before;
  a.name = a0.name = "A";
  a.node = a0.node = "0a";
  a0.circuits = {Circuit(Role::kSource, {Hop("B", "ab", 0, 0)})};
  a.circuits = {Circuit(Role::kSource, {Hop("B", "ab", 1000, 1000000)})};
  a0.ports = {Port("ab", 0, 0)};
  a.ports = {Port("ab", 0, 3000000)};
  const FabricLoad load = LoadOf(Chain(), RatesBetween({relay.before, a0}, {relay.now, a}));
  EXPECT_EQ(load.links[0].circuits, 1u);
  EXPECT_EQ(load.paths[0].circuits, 1u);
  EXPECT_DOUBLE_EQ(load.links[0].a_to_b_bits_s, 16e6) << "the sender's word";
  EXPECT_EQ(load.silent, (std::vector<std::string>{"C"}));
}

TEST(Load, APortWithSeveralLinksIsToldApartByItsCircuits) {
  fabric::Fabric fabric = Chain();
  fabric.links[1].b = {1, 0};  // both cables of B end in a switch at ba
  Relay relay;
  for (NodeReading* reading : {&relay.before, &relay.now}) {
    for (HopReading& hop : reading->circuits[0].hops) hop.port = "ba";
  }
  const FabricLoad load = LoadOf(fabric, {RatesBetween(&relay.before, relay.now)});
  EXPECT_DOUBLE_EQ(load.links[0].a_to_b_bits_s, 8e6 / 1.5);
  EXPECT_DOUBLE_EQ(load.links[1].b_to_a_bits_s, 8e6 / 1.5);
}

TEST(Load, ALinkWithoutCarrierAtOneEndIsDown) {
  Relay relay;
  relay.now.ports[1].up = false;
  const FabricLoad load = LoadOf(Chain(), {RatesBetween(&relay.before, relay.now)});
  EXPECT_FALSE(load.links[0].down);
  EXPECT_TRUE(load.links[1].down);
}

// ---- top
// -------------------------------------------------------------------------------------------------------------

TopView ViewOf(size_t circuits) {
  const Relay relay;
  TopView view;
  view.self = "B";
  view.fabric = Chain();
  view.rates = RatesBetween(&relay.before, relay.now);
  const CircuitRate one = view.rates.circuits[0];
  view.rates.circuits.assign(circuits, one);
  view.rates.circuits_total = circuits;
  return view;
}

TEST(Top, ShowsPortsAndCircuits) {
  const auto lines = TopFrame(ViewOf(1), {100, 24}, Glyphs::kAscii);
  ASSERT_EQ(lines.size(), 8u);
  EXPECT_EQ(lines[0], "nccl-relay top: node B of chain-3, 1 circuit: 0 start here, 0 end here, 1 pass");
  EXPECT_EQ(lines[2], "PORT  TO         SPEED        IN       OUT  USED     RTT  RETRANSMITS/s");
  EXPECT_EQ(lines[3], "ba    A/ab  100 Mbit/s  8 Mbit/s  8 kbit/s   8 %  100 us              0");
  EXPECT_EQ(lines[4], "bc    C/cb  100 Mbit/s  8 kbit/s  8 Mbit/s   8 %  100 us              2");
  EXPECT_EQ(lines[6], "ROLE   PATH                       FORWARD           BACK  TOTAL     RTT    AGE  CONNECTION");
  EXPECT_EQ(lines[7], "relay  A ab--ba B bc--cb C  5.33 Mbit/s >  5.33 kbit/s <   1 MB  100 us  0.0 s  00000000.0");
}

TEST(Top, FitsAnyScreenAndCountsWhatItLeavesOut) {
  for (size_t circuits : {0, 1, 7, 500}) {
    TopView view = ViewOf(circuits);
    for (size_t ports = 2; ports < 40; ports += 9) {
      view.rates.ports.resize(ports, view.rates.ports[0]);
      for (size_t columns : {1, 10, 40, 80, 200}) {
        for (size_t rows : {1, 2, 5, 10, 24, 60}) {
          const auto lines = TopFrame(view, {columns, rows}, Glyphs::kUnicode);
          EXPECT_LE(lines.size(), rows);
          for (const std::string& line : lines) {
            const auto shown = std::count_if(line.begin(), line.end(),
                                             [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
            EXPECT_LE(static_cast<size_t>(shown), columns) << line;
          }
        }
      }
    }
  }
  const auto lines = TopFrame(ViewOf(500), {100, 24}, Glyphs::kAscii);
  EXPECT_EQ(lines.size(), 24u);
  EXPECT_EQ(lines.back(), "and 484 circuits with less");
}

TEST(Top, SaysThatTheAgentIsGone) {
  TopView view = ViewOf(1);
  view.complaint = "the agent of this node is gone";
  EXPECT_EQ(TopFrame(view, {80, 24}, Glyphs::kAscii)[1], "!! the agent of this node is gone");
}

TEST(Top, JsonIsOneLineWithTheSameFigures) {
  const std::string line = TopJson(ViewOf(2));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["node"], "B");
  EXPECT_EQ(json["ports"][0]["to"], "A/ab");
  EXPECT_DOUBLE_EQ(json["ports"][0]["used"], 0.08);
  EXPECT_EQ(json["circuits"].size(), 2u);
  EXPECT_EQ(json["circuits"][0]["role"], "relay");
  EXPECT_EQ(json["circuits"][0]["forward_bytes"], 1000000);
}

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
