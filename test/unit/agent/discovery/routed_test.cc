// Agents beyond routers: whom they answer, what they believe, and when they fall silent. Time is turned by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "agent/discovery/address_range.h"
#include "agent/discovery/routed_adjacencies.h"

namespace relay::agent::discovery_routed {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

SocketAddress At(const std::string& host) { return SocketAddress::Parse(host)->WithPort(21517); }

// Agents with an address each, and the routers between any two of them.
class Internet {
 public:
  struct Agent {
    SocketAddress address;
    HelloCounts counts;
    std::unique_ptr<RoutedAdjacencies> machine;
    bool runs = true, open = true;
    uint64_t sequence = 0, sent = 0;
    std::vector<Adjacent> adjacent;
    std::vector<std::string> lost, warned;
    std::set<std::string> own_fabric;
    std::set<NodeId> on_wire;
    TimePoint due{};
  };
  // The addresses of the routers between two agents, in the direction of travel. Empty: on one wire.
  std::function<std::vector<std::string>(size_t from, size_t to)> routers = [](size_t, size_t) {
    return std::vector<std::string>{"10.0.0.1", "10.0.0.2"};
  };

  explicit Internet(std::initializer_list<const char*> hosts) {
    for (const char* host : hosts) Add(host);
  }
  Agent& agent(size_t i) { return *agents_[i]; }
  RoutedAdjacencies& machine(size_t i) { return *agents_[i]->machine; }
  TimePoint now() const { return now_; }
  void Probe(size_t from, size_t to) {
    machine(from).Probe(to + 1, {agent(to).address}, now_);
    agent(from).due = now_;
  }
  bool Linked(size_t a, size_t b) const {
    return std::any_of(agents_[a]->adjacent.begin(), agents_[a]->adjacent.end(),
                       [&](const Adjacent& found) { return found.far.node == b + 1; });
  }
  bool Until(const std::function<bool()>& condition, Duration limit) {
    const TimePoint end = now_ + limit;
    while (!condition()) {
      TimePoint next = end;
      if (!flying_.empty()) next = std::min(next, flying_.begin()->first);
      for (auto& agent : agents_) next = std::min(next, agent->due);
      now_ = std::max(now_, next);
      if (now_ >= end) return condition();
      Step();
    }
    return true;
  }
  void For(Duration d) {
    Until([] { return false; }, d);
  }

 private:
  void Add(const char* host) {
    const size_t index = agents_.size();
    agents_.push_back(std::make_unique<Agent>());
    Agent& agent = *agents_.back();
    agent.address = At(host);
    agent.due = now_;
    RoutedAdjacencies::Hooks hooks;
    hooks.send = [this, index](const SocketAddress& to, const SocketAddress&, const Hello& hello) {
      Send(index, to, hello);
    };
    hooks.route = [this, index](const SocketAddress& to) { return Route(index, to); };
    hooks.is_own_fabric = [&agent](const SocketAddress& a) { return agent.own_fabric.contains(a.HostText()); };
    hooks.on_wire = [&agent](const std::string&, NodeId node) { return agent.on_wire.contains(node); };
    hooks.open = [&agent] { return agent.open; };
    hooks.found = [&agent](const Adjacent& a) {
      std::erase_if(agent.adjacent, [&](const Adjacent& b) { return a.near_port == b.near_port && a.far == b.far; });
      agent.adjacent.push_back(a);
    };
    hooks.lost = [&agent](const Adjacent& a, const Loss& loss) {
      EXPECT_EQ(std::erase_if(agent.adjacent, [&](const Adjacent& b) { return a == b; }), 1U);
      agent.lost.push_back(loss.why);
    };
    hooks.warn = [&agent](const std::string&, const std::string& line, TimePoint) { agent.warned.push_back(line); };
    const WireAdjacencies::Self self{index + 1, 1, "n" + std::to_string(index + 1), 21517};
    agent.machine = std::make_unique<RoutedAdjacencies>(self, hooks, agent.counts);
  }
  std::optional<size_t> Find(const SocketAddress& address) const {
    for (size_t i = 0; i < agents_.size(); ++i) {
      if (agents_[i]->address.SameHost(address)) return i;
    }
    return std::nullopt;
  }
  std::optional<KernelRoute> Route(size_t from, const SocketAddress& to) {
    auto there = Find(to);
    if (there == from) return KernelRoute{"lo", {}, agents_[from]->address, true};
    const auto way = there ? routers(from, *there) : std::vector<std::string>{"10.0.0.1"};
    return KernelRoute{"eth" + std::to_string(from), way.empty() ? SocketAddress() : At(way[0]), {}, false};
  }
  void Send(size_t from, const SocketAddress& to, Hello hello) {
    Agent& sender = *agents_[from];
    ++sender.sent;
    hello.sequence = ++sender.sequence;
    const auto there = Find(to);
    if (!there || !agents_[*there]->runs) return;
    const auto way = routers(from, *there);
    if (hello.ttl <= way.size()) {
      const SocketAddress router = At(way[hello.ttl - size_t{1}]);
      flying_.emplace(now_ + milliseconds(1), [this, from, to, router] { machine(from).RouterSeen(to, router, now_); });
      return;
    }
    const HelloArrival arrival{"", sender.address, to, static_cast<int>(hello.ttl - way.size()),
                               "eth" + std::to_string(*there)};
    flying_.emplace(now_ + milliseconds(2), [this, there = *there, arrival, hello] {
      if (!agents_[there]->runs) return;
      machine(there).Receive(arrival, hello, now_);
      agents_[there]->due = now_;
    });
  }
  void Step() {
    while (!flying_.empty() && flying_.begin()->first <= now_) flying_.extract(flying_.begin()).mapped()();
    for (auto& agent : agents_) {
      if (agent->due <= now_) agent->due = agent->runs ? agent->machine->Tick(now_) : TimePoint::max();
    }
  }

  TimePoint now_{std::chrono::hours(1)};
  std::vector<std::unique_ptr<Agent>> agents_;
  std::multimap<TimePoint, std::function<void()>> flying_;
};

TEST(RoutedAdjacencies, AProbeFindsBothWaysAfterTheCheckOfTheWay) {
  Internet net({"10.1.0.1", "10.2.0.1"});
  net.Probe(0, 1);
  ASSERT_TRUE(net.Until([&] { return net.Linked(0, 1) && net.Linked(1, 0); }, seconds(3)));
  EXPECT_GE(net.now() - TimePoint(std::chrono::hours(1)), WayCheck::kTime);
  const Adjacent& found = net.agent(0).adjacent[0];
  EXPECT_TRUE(found.routed);
  EXPECT_EQ(found.near_port, "eth0");
  EXPECT_EQ(found.far.port, "eth1");
  net.For(minutes(10));
  EXPECT_THAT(net.agent(0).lost, IsEmpty());
  EXPECT_LE(net.agent(0).sent, 1100U) << "a hello a second, and a check of the way every thirty";
}

TEST(RoutedAdjacencies, AWayThroughTheOwnFabricIsRefusedByWhoeverKnows) {
  for (size_t knows : {0U, 1U}) {
    for (const char* router : {"10.0.0.1", "10.0.0.2"}) {
      Internet net({"10.1.0.1", "10.2.0.1"});
      net.agent(knows).own_fabric.insert(router);
      net.Probe(0, 1);
      net.For(seconds(30));
      EXPECT_FALSE(net.Linked(0, 1) || net.Linked(1, 0)) << knows << router;
      EXPECT_EQ(net.agent(knows).counts.refused_through_fabric, 1U);
      EXPECT_THAT(net.agent(knows).warned, testing::Contains(HasSubstr(router)));
    }
  }
}

TEST(RoutedAdjacencies, AnAdjacencyThatTurnsOutToLeadThroughTheFabricEnds) {
  Internet net({"10.1.0.1", "10.2.0.1"});
  net.Probe(0, 1);
  ASSERT_TRUE(net.Until([&] { return net.Linked(0, 1) && net.Linked(1, 0); }, seconds(3)));
  net.agent(0).own_fabric.insert("10.0.0.2");
  EXPECT_TRUE(net.Until([&] { return !net.Linked(0, 1) && !net.Linked(1, 0); }, seconds(3)));
  EXPECT_THAT(net.agent(0).lost[0], HasSubstr("a node of this fabric"));
  net.agent(0).own_fabric.clear();
  net.Probe(0, 1);
  EXPECT_TRUE(net.Until([&] { return net.Linked(0, 1) && net.Linked(1, 0); }, seconds(45))) << "and comes back";
}

TEST(RoutedAdjacencies, AnAgentOnTheWayIsFoundByAsking) {
  // The second router on the way from 0 to 1 is agent 2; nobody knows its address.
  Internet net({"10.1.0.1", "10.2.0.1", "10.3.0.1"});
  net.routers = [](size_t from, size_t to) {
    if (from + to == 1) return std::vector<std::string>{"10.0.0.1", "10.3.0.1"};
    return std::vector<std::string>{"10.0.0.1"};
  };
  net.Probe(0, 1);
  net.For(seconds(40));
  EXPECT_FALSE(net.Linked(0, 1) || net.Linked(1, 0));
  EXPECT_THAT(net.agent(0).warned, testing::Contains(HasSubstr("10.3.0.1")));
}

TEST(RoutedAdjacencies, AProbeWithoutAnAnswerEnds) {
  Internet net({"10.1.0.1", "10.2.0.1"});
  net.agent(1).runs = false;
  net.Probe(0, 1);
  net.For(seconds(70));
  const uint64_t sent = net.agent(0).sent;
  EXPECT_GE(sent, 10U);
  EXPECT_LE(sent, 25U);
  net.For(minutes(10));
  EXPECT_EQ(net.agent(0).sent, sent);
  EXPECT_EQ(net.machine(0).Describe(), "");
}

TEST(RoutedAdjacencies, AListedPeerIsAskedForEver) {
  Internet net({"10.1.0.1", "10.2.0.1"});
  net.agent(1).runs = false;
  net.machine(0).SetListed({net.agent(1).address}, net.now());
  net.agent(0).due = net.now();
  net.For(minutes(30));
  net.agent(1).runs = true;
  net.agent(1).due = net.now();
  EXPECT_TRUE(net.Until([&] { return net.Linked(0, 1) && net.Linked(1, 0); }, seconds(8)));
  net.machine(0).SetListed({}, net.now());
  net.For(seconds(5));
  EXPECT_TRUE(net.Linked(0, 1)) << "what stands is kept";
  net.agent(1).runs = false;
  EXPECT_TRUE(net.Until([&] { return !net.Linked(0, 1); }, seconds(4)));
  EXPECT_THAT(net.agent(0).lost, ElementsAre(HasSubstr("silent")));
}

TEST(RoutedAdjacencies, TwoThatCannotBelieveEachOtherFallSilent) {
  Internet net({"10.1.0.1", "10.2.0.1"});
  net.agent(0).own_fabric.insert("10.0.0.1");
  net.Probe(0, 1);
  net.For(seconds(90));
  const uint64_t sent = net.agent(0).sent + net.agent(1).sent;
  EXPECT_LE(sent, 450U);
  net.For(minutes(5));
  EXPECT_EQ(net.agent(0).sent + net.agent(1).sent, sent);
}

TEST(RoutedAdjacencies, ANodeOnTheSameWireIsNotNeededTwice) {
  Internet net({"10.1.0.1", "10.1.0.2"});
  net.routers = [](size_t, size_t) { return std::vector<std::string>(); };
  net.agent(0).on_wire.insert(2);
  net.agent(1).on_wire.insert(1);
  net.Probe(0, 1);
  net.For(seconds(10));
  EXPECT_EQ(net.agent(0).sent, 0U) << "not even asked";
  net.machine(0).SetListed({net.agent(1).address}, net.now());
  net.agent(0).due = net.now();
  net.For(seconds(10));
  EXPECT_FALSE(net.Linked(0, 1) || net.Linked(1, 0));
  net.agent(0).on_wire.clear();
  net.agent(1).on_wire.clear();
  EXPECT_TRUE(net.Until([&] { return net.Linked(0, 1) && net.Linked(1, 0); }, seconds(10)))
      << "where multicast does not work, the same wire by unicast";
}

TEST(RoutedAdjacencies, TheOtherNodeAtAProbedAddressIsNoneOfOurs) {
  Internet net({"10.1.0.1", "10.2.0.1"});
  net.machine(0).Probe(77, {net.agent(1).address}, net.now());
  net.agent(0).due = net.now();
  net.For(seconds(10));
  EXPECT_FALSE(net.Linked(0, 1) || net.Linked(1, 0));
}

TEST(RoutedAdjacencies, StrangersAreAnsweredByTheirAddressUnlessTheyProveTheKey) {
  struct Case {
    const char* from;
    bool open, answered;
  };
  for (const auto& [from, open, answered] : {Case{"198.51.100.7", true, false}, Case{"10.9.0.1", true, true},
                                             Case{"198.51.100.7", false, true}, Case{"fd00::1", true, true}}) {
    Internet net({"10.1.0.1", from});
    net.agent(0).open = open;
    net.Probe(1, 0);
    net.For(seconds(5));
    EXPECT_EQ(net.Linked(1, 0), answered) << from << open;
    EXPECT_EQ(net.agent(0).counts.refused_stranger == 0, answered) << from;
  }
}

TEST(RoutedAdjacencies, StrangersFromPrivateRangesAreAnsweredAtABoundedRate) {
  Internet net({"10.1.0.1"});
  Hello hello;
  hello.node = 9;
  hello.port = "x";
  hello.agent_port = 1;
  hello.answer_wanted = true;
  for (int i = 0; i < 5000; ++i) {
    const std::string host = "10.200." + std::to_string(i / 250) + "." + std::to_string(i % 250);
    net.machine(0).Receive({"", At(host), net.agent(0).address, 250, "eth0"}, hello, net.now());
    net.agent(0).due = net.now();
    net.For(milliseconds(1));
  }
  EXPECT_GT(net.agent(0).counts.refused_stranger, 4000U);
  EXPECT_LE(net.agent(0).sent, 256U * 20)
      << "callers are few, and answered once a second with a few hellos along the way";
}

TEST(RoutedAdjacencies, LeavingEndsAnAdjacency) {
  Internet net({"10.1.0.1", "10.2.0.1"});
  net.Probe(0, 1);
  ASSERT_TRUE(net.Until([&] { return net.Linked(0, 1); }, seconds(3)));
  net.machine(1).Leave(net.now());
  EXPECT_TRUE(net.Until([&] { return !net.Linked(0, 1); }, milliseconds(10)));
}

TEST(AddressRange, PrivateIsWhatNoPublicRouterCarries) {
  for (const char* text : {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.0.1",
                           "169.254.1.1", "127.0.0.1", "fc00::1", "fdff::1", "fe80::1", "::1"}) {
    EXPECT_TRUE(IsPrivateAddress(*SocketAddress::Parse(text))) << text;
  }
  for (const char* text :
       {"8.8.8.8", "172.32.0.1", "172.15.0.1", "192.169.0.1", "100.128.0.1", "100.63.0.1", "2001:db8::1", "fec0::1"}) {
    EXPECT_FALSE(IsPrivateAddress(*SocketAddress::Parse(text))) << text;
  }
}

}  // namespace
}  // namespace relay::agent::discovery_routed
