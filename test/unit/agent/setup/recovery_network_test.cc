// What an agent tells its processes when cables, hosts and agents fail, over real cables.
#include "agent/discovery/hello_schedule.h"
#include "base/random.h"
#include "unit/agent/agent_network.h"

namespace relay::agent::recovery_network {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

// Nodes A, B, C, ... with a cable from each to the next: A/ab to B/ba and so on.
struct Chain {
  explicit Chain(size_t count, bool closed = false) {
    for (size_t i = 0; i < count; ++i) nodes.push_back(&network.Add(std::string(1, static_cast<char>('A' + i))));
    for (size_t i = 0; i + 1 < count; ++i) Cable(i, i + 1);
    if (closed) Cable(0, count - 1);
  }
  void Cable(size_t from, size_t to) {
    const std::string there = PortOf(from, to), back = PortOf(to, from);
    network.Cable(*nodes[from], there, "", *nodes[to], back, "");
    ++links;
  }
  static std::string PortOf(size_t at, size_t to) { return {static_cast<char>('a' + at), static_cast<char>('a' + to)}; }
  void Start() {
    for (NetworkNode* node : nodes) network.StartAgent(*node);
    ASSERT_TRUE(network.UntilAllKnow(links));
  }
  NetworkClient Client(size_t node) { return NetworkClient(network, *nodes[node]); }
  control::Connect To(size_t node) const { return {nodes[node]->id, token, {RandomValue<uint64_t>(), 1}, 0}; }
  control::Watch Watching(const AgentNetwork::Circuit& circuit, bool source) const {
    const OpenMessage& open = circuit.arrived.open;
    return {open.name.connection, source ? open.route.back().to : open.source, source, circuit.connected.route};
  }

  AgentNetwork network;
  std::vector<NetworkNode*> nodes;
  const Token token = RandomValue<Token>();
  size_t links = 0;
};

TEST(RecoveryNetwork, ACutTwoHopsAwayIsHeardOfAtOnceByBothEndsAndTheRelaysEndTheCircuit) {
  InOwnNetwork([] {
    Chain chain(4);
    chain.Start();
    auto a = chain.Client(0), d = chain.Client(3), c = chain.Client(2);
    auto circuit = chain.network.Open(a, d, chain.To(3));
    ASSERT_EQ(circuit.connected.route.size(), 3u);
    a.Send(0, chain.Watching(circuit, true));
    d.Send(0, chain.Watching(circuit, false));
    ASSERT_TRUE(chain.network.Carries(circuit.source, circuit.destination));
    chain.network.For(milliseconds(1500));  // within a second of one event of a carrier, kernels may delay the next
    const SystemClock clock;
    chain.network.Ip(*chain.nodes[2], "link set cd down");
    const TimePoint cut = clock.Now();
    const auto told = a.Next<control::LinkLost>(milliseconds(200));
    printf("a link two hops away is told of %.1f ms after it went down\n", Seconds(clock.Now() - cut) * 1e3);
    EXPECT_EQ(told.connection, circuit.arrived.open.name.connection);
    EXPECT_EQ(told.sentence, "link C-D (C/cd to D/dc) is down: C no longer reports it");
    EXPECT_EQ(d.Next<control::LinkLost>(milliseconds(200)).sentence, "link C-D (C/cd to D/dc) is down: no carrier");
    EXPECT_TRUE(chain.network.UntilEnd(circuit.source, milliseconds(200)));
    EXPECT_EQ(chain.network.Counter(*chain.nodes[0], &Counters::links_lost_told), 1u);
    // Who asks now hears of it too.
    a.Send(5, chain.To(3));
    EXPECT_THAT(a.Next<control::Failed>().refused.sentence,
                HasSubstr("; the last of link C-D: C no longer reports it, 0 s ago"));
    // One that watches only now hears of it at once; a link that is there is not told of.
    c.Send(0, chain.Watching(circuit, true));
    EXPECT_EQ(c.Next<control::LinkLost>().sentence, "link C-D (C/cd to D/dc) is down: no carrier");
    chain.network.Ip(*chain.nodes[2], "link set cd up");
    ASSERT_TRUE(chain.network.UntilAllKnow(3));
    EXPECT_EQ(a.Count<control::LinkLost>(), 0u) << "once per loss";
    chain.network.For(milliseconds(1500));
    chain.network.Ip(*chain.nodes[2], "link set cd down");
    EXPECT_THAT(a.Next<control::LinkLost>(milliseconds(200)).sentence, HasSubstr("C-D"));
  });
}

TEST(RecoveryNetwork, AHostThatFallsSilentIsMissedInTimeAndItsCircuitsEnd) {
  InOwnNetwork([] {
    AgentNetwork network;
    NetworkNode &a = network.Add("A"), &b = network.Add("B"), &c = network.Add("C"), &middle = network.Add("switch");
    network.Cable(a, "ab", "", b, "ba", "");
    network.Ip(middle, "link add name sw type bridge");
    network.Ip(middle, "link set sw up");
    network.Cable(b, "bc", "", middle, "p1", "");
    network.Cable(c, "cb", "", middle, "p2", "");
    for (const char* port : {"p1", "p2"}) network.Ip(middle, "link set " + std::string(port) + " master sw");
    for (NetworkNode* node : {&a, &b, &c}) network.StartAgent(*node);
    ASSERT_TRUE(network.UntilAllKnow(2));
    NetworkClient from(network, a), to(network, c);
    const Token token = RandomValue<Token>();
    auto circuit = network.Open(from, to, {c.id, token, {1, 1}, 0});
    from.Send(0, control::Watch{1, c.id, true, circuit.connected.route});
    ASSERT_TRUE(network.Carries(circuit.source, circuit.destination));
    network.For(seconds(3));  // a ping has gone and was acknowledged
    network.Ip(middle, "link set p2 nomaster");
    const SystemClock clock;
    const TimePoint cut = clock.Now();
    ASSERT_TRUE(network.Until([&] { return from.Count<control::LinkLost>() > 0; }, kSilence + milliseconds(300)));
    printf("a silent host is missed after %.2f s\n", Seconds(clock.Now() - cut));
    EXPECT_EQ(from.Next<control::LinkLost>().sentence, "link B-C (B/bc to C/cb) is down: B no longer reports it");
    EXPECT_TRUE(network.UntilEnd(circuit.source, milliseconds(200))) << "B ends what crosses the link";
    from.Send(5, control::Connect{c.id, token, {1, 2}, 0});
    EXPECT_THAT(from.Next<control::Failed>().refused.sentence,
                HasSubstr("the last of link B-C: B no longer reports it"));
    NetworkClient at_b(network, b);
    at_b.Send(0, control::Watch{1, c.id, true, {circuit.connected.route[1]}});
    EXPECT_EQ(at_b.Next<control::LinkLost>().sentence,
              "link B-C (B/bc to C/cb) is down: node C has been silent for 3.5 s");
  });
}

TEST(RecoveryNetwork, AStoppedAgentIsMissedAndComesBackAndCircuitsThatDoNotNeedItGoOn) {
  InOwnNetwork([] {
    Chain chain(3);
    chain.Start();
    auto a = chain.Client(0), b = chain.Client(1), c = chain.Client(2);
    auto circuit = chain.network.Open(a, c, chain.To(2));
    a.Send(0, chain.Watching(circuit, true));
    b.Send(0, control::Watch{9, chain.nodes[2]->id, true, {circuit.connected.route[1]}});
    chain.network.For(seconds(3));
    chain.nodes[2]->stopped = true;
    EXPECT_EQ(a.Next<control::LinkLost>(kSilence + milliseconds(300)).sentence,
              "link B-C (B/bc to C/cb) is down: B no longer reports it");
    EXPECT_EQ(b.Next<control::LinkLost>().sentence,
              "link B-C (B/bc to C/cb) is down: the agent of C has been silent for 3.5 s, but its host answers");
    EXPECT_TRUE(chain.network.Carries(circuit.source, circuit.destination)) << "C's process and B live";
    chain.nodes[2]->stopped = false;
    EXPECT_TRUE(chain.network.UntilAllKnow(2, seconds(3)));
    EXPECT_TRUE(chain.network.Carries(circuit.destination, circuit.source));
  });
}

TEST(RecoveryNetwork, AStoppedAgentTakesItsOwnSleepForNobodysSilence) {
  InOwnNetwork([] {
    Chain chain(2);
    chain.Start();
    auto a = chain.Client(0);
    a.Send(0, control::Watch{9, chain.nodes[1]->id, true, {{1, 2, "ab", "ba"}}});
    chain.network.For(seconds(1));
    for (NetworkNode* node : chain.nodes) node->stopped = true;
    chain.network.For(seconds(4));
    for (NetworkNode* node : chain.nodes) node->stopped = false;
    chain.network.For(seconds(2));
    EXPECT_EQ(a.Count<control::LinkLost>(), 0u) << "a host that was suspended as a whole";
  });
}

TEST(RecoveryNetwork, AnAgentThatIsStartedAnewEndsNoCircuitOfOthers) {
  InOwnNetwork([] {
    Chain chain(3);
    chain.Start();
    auto a = chain.Client(0), b = chain.Client(1), c = chain.Client(2);
    auto circuit = chain.network.Open(a, c, chain.To(2));
    b.Send(0, control::Watch{9, chain.nodes[2]->id, true, {circuit.connected.route[1]}});
    chain.network.EndAgent(*chain.nodes[2]);
    EXPECT_EQ(b.Next<control::LinkLost>().sentence, "link B-C (B/bc to C/cb) is down: the agent of C ended");
    chain.network.StartAgent(*chain.nodes[2], 2);
    ASSERT_TRUE(chain.network.UntilAllKnow(2));
    EXPECT_TRUE(chain.network.Carries(circuit.source, circuit.destination));
    EXPECT_TRUE(chain.network.Carries(circuit.destination, circuit.source));
  });
}

TEST(RecoveryNetwork, AnAgentThatDrainsKeepsItsLinksUntilItsCircuitsHaveEnded) {
  InOwnNetwork([] {
    Chain chain(3);
    chain.Start();
    auto a = chain.Client(0), c = chain.Client(2);
    auto circuit = chain.network.Open(a, c, chain.To(2));
    a.Send(0, chain.Watching(circuit, true));
    chain.network.agent(*chain.nodes[1]).Drain(seconds(20));
    ASSERT_TRUE(
        chain.network.Until([&] { return chain.network.agent(*chain.nodes[0]).node().fabric.nodes[1].draining; }));
    chain.network.For(seconds(1));
    EXPECT_EQ(a.Count<control::LinkLost>(), 0u);
    EXPECT_TRUE(chain.network.Carries(circuit.source, circuit.destination));
    circuit = {};
    EXPECT_EQ(a.Next<control::LinkLost>(seconds(1)).sentence, "link A-B (A/ab to B/ba) is down: the agent of B ended");
  });
}

TEST(RecoveryNetwork, ABetterPathIsToldOfWhenItHasBeenThereForAWhile) {
  InOwnNetwork([] {
    Chain chain(3, true);
    chain.network.hold_down = seconds(1);
    chain.Start();
    chain.network.Ip(*chain.nodes[0], "link set ac down");
    ASSERT_TRUE(chain.network.UntilAllKnow(2));
    auto a = chain.Client(0), c = chain.Client(2);
    const auto connect = chain.To(2);
    auto circuit = chain.network.Open(a, c, connect);
    EXPECT_EQ(circuit.connected.path, "A ab--ba B bc--cb C");
    a.Send(0, chain.Watching(circuit, true));
    c.Send(0, chain.Watching(circuit, false));
    const SystemClock clock;
    chain.network.For(milliseconds(1500));
    EXPECT_EQ(a.Count<control::BetterPath>(), 0u) << "there is none";
    chain.network.Ip(*chain.nodes[0], "link set ac up");
    ASSERT_TRUE(chain.network.UntilAllKnow(3, seconds(4)));
    const TimePoint there = clock.Now();
    EXPECT_EQ(a.Next<control::BetterPath>(seconds(3)).path, "A ac--ca C");
    EXPECT_GE(clock.Now() - there, milliseconds(900));
    EXPECT_EQ(a.Count<control::BetterPath>(), 0u);
    a.Next<control::BetterPath>(seconds(4));
    EXPECT_GE(clock.Now() - there, milliseconds(2900)) << "again, but not so soon";
    EXPECT_EQ(c.Count<control::BetterPath>(), 0u) << "only the source moves";
    // And it is there for the asking.
    control::Connect again = connect;
    again.name.epoch = 2;
    again.purpose = control::Purpose::kOpenBetter;
    again.avoid = circuit.connected.route;
    auto moved = chain.network.Open(a, c, again);
    EXPECT_EQ(moved.connected.path, "A ac--ca C");
    a.Send(0, chain.Watching(moved, true));
    again.avoid = moved.connected.route;
    a.Send(6, again);
    EXPECT_EQ(a.Next<control::Failed>().refused.sentence, "no path from A to C is better than A ac--ca C");
    chain.network.For(seconds(2));
    EXPECT_EQ(a.Count<control::BetterPath>(), 0u);
  });
}

TEST(RecoveryNetwork, APathThatFlapsIsNotBetterUntilItStays) {
  InOwnNetwork([] {
    Chain chain(3, true);
    chain.network.hold_down = seconds(3);
    chain.Start();
    auto a = chain.Client(0);
    chain.network.Ip(*chain.nodes[0], "link set ac down");
    ASSERT_TRUE(chain.network.UntilAllKnow(2));
    a.Send(0, control::Watch{9, chain.nodes[2]->id, true, {{1, 2, "ab", "ba"}, {2, 3, "bc", "cb"}}});
    for (int i = 0; i < 3; ++i) {
      chain.network.Ip(*chain.nodes[0], "link set ac up");
      ASSERT_TRUE(chain.network.UntilAllKnow(3, seconds(4)));
      chain.network.For(milliseconds(1200));
      EXPECT_EQ(a.Count<control::BetterPath>(), 0u);
      chain.network.Ip(*chain.nodes[0], "link set ac down");
      ASSERT_TRUE(chain.network.UntilAllKnow(2));
    }
    EXPECT_EQ(a.Count<control::LinkLost>(), 0u) << "what flaps is not on its path";
  });
}

TEST(RecoveryNetwork, AnAttemptWhosePathLosesALinkGoesOnOverAnotherAtOnce) {
  InOwnNetwork([] {
    Chain chain(4, true);  // A-B-C-D-A
    chain.Start();
    auto a = chain.Client(0), c = chain.Client(2);
    c.Send(0, control::Register{chain.token});
    a.Send(5, chain.To(2));
    Fd first, second;
    const auto arrived = c.Next<control::Arrived>(seconds(5), &first);  // and is not answered
    ASSERT_EQ(arrived.open.route.size(), 2u);
    const bool by_b = arrived.path.find(" B ") != std::string::npos;
    chain.network.For(milliseconds(1500));
    // The far one of its links: this node's agent hears of it from afar.
    chain.network.Ip(*chain.nodes[2], std::string("link set ") + (by_b ? "cb" : "cd") + " down");
    const auto other = c.Next<control::Arrived>(milliseconds(200), &second);
    EXPECT_NE(other.path, arrived.path);
    ASSERT_TRUE(WriteWhole(second.get(), EncodeOpened({other.open.name, {}})));
    Fd source;
    const auto connected = a.Next<control::Connected>(seconds(1), &source);
    EXPECT_THAT(connected.note, HasSubstr("does not serve: link " + std::string(by_b ? "B-C" : "C-D")));
    EXPECT_TRUE(chain.network.Carries(source, second));
    const NetworkNode& relay = *chain.nodes[by_b ? 1 : 3];
    EXPECT_TRUE(chain.network.Until([&] {
      return chain.network.agent(relay).Status().find("\"half_open\":0,") != std::string::npos;
    })) << "the first attempt is given up";
  });
}

// A triangle as a file describes it.
TEST(RecoveryNetwork, InADeclaredFabricCarriersAreWatchedToo) {
  InOwnNetwork([] {
    AgentNetwork network;
    NetworkNode &a = network.Add("A"), &b = network.Add("B"), &c = network.Add("C");
    network.Cable(a, "ab", "10.1.0.1/30", b, "ba", "10.1.0.2/30");
    network.Cable(b, "bc", "10.2.0.1/30", c, "cb", "10.2.0.2/30");
    network.Cable(a, "ac", "10.3.0.1/30", c, "ca", "10.3.0.2/30");
    const auto port = [](const char* name, const char* address) {
      return fabric::Port{name, {*SocketAddress::Parse(address)}, 1000, fabric::PortKind::kTcp};
    };
    fabric::Fabric declared{"triangle",
                            {{a.id, "A", {port("ab", "10.1.0.1"), port("ac", "10.3.0.1")}},
                             {b.id, "B", {port("ba", "10.1.0.2"), port("bc", "10.2.0.1")}},
                             {c.id, "C", {port("cb", "10.2.0.2"), port("ca", "10.3.0.2")}}},
                            {{{0, 0}, {1, 0}, 1000}, {{1, 1}, {2, 0}, 1000}, {{0, 1}, {2, 1}, 1000}}};
    for (NetworkNode* node : {&a, &b, &c}) network.StartDeclared(*node, declared);
    NetworkClient from(network, a), at_b(network, b), to(network, c);
    const Token token = RandomValue<Token>();
    control::Connect connect{c.id, token, {1, 1}, 0};
    connect.avoid = {{a.id, c.id, "ac", "ca"}};
    const auto circuit = network.Open(from, to, connect);
    ASSERT_EQ(circuit.connected.path, "A ab--ba B bc--cb C");
    at_b.Send(0, control::Watch{9, c.id, true, {circuit.connected.route[1]}});
    network.For(milliseconds(1500));
    network.Ip(b, "link set dev bc down");
    EXPECT_TRUE(network.UntilEnd(circuit.source, milliseconds(200)));
    EXPECT_EQ(at_b.Next<control::LinkLost>(milliseconds(200)).sentence, "link B-C (B/bc to C/cb) is down: no carrier");
    // The own cable is out too: no time is lost on it, and B says at once why its way does not serve.
    network.Ip(a, "link set dev ac down");
    ASSERT_TRUE(network.Until([&] {
      from.Send(5, connect);
      return from.Next<control::Failed>(milliseconds(500))
          .refused.sentence.starts_with("link B-C (B/bc to C/cb) is down: no carrier: it is on the way from A to C");
    }));
    network.Ip(b, "link set dev bc up");
    connect.avoid.clear();
    connect.name.epoch = 2;
    Fd destination;
    ASSERT_TRUE(network.Until([&] {
      from.Send(6, connect);
      return network.Until([&] { return to.Count<control::Arrived>() > 0; }, milliseconds(300));
    }));
    EXPECT_EQ(to.Next<control::Arrived>(seconds(1), &destination).path, "A ab--ba B bc--cb C");
  });
}

}  // namespace
}  // namespace relay::agent::recovery_network
