// Adjacencies on wires that lose, repeat and delay, with time turned by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>

#include "agent/discovery/hello_socket.h"
#include "agent/discovery/wire_adjacencies.h"

namespace relay::agent::discovery_wire {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const TimePoint kStart{std::chrono::hours(1)};

SocketAddress Address(int family, size_t node, size_t port) {
  const std::string tail = std::to_string(node + 1);
  return *SocketAddress::Parse(family == AF_INET ? "10." + std::to_string(port) + ".0." + tail
                                                 : "fe80::" + std::to_string(port + 1) + ":" + tail);
}

// Agents and the wires between them. What is sent arrives a moment later at every other end of the wire, unless lost.
class Wires {
 public:
  struct End {
    size_t node;
    std::string port;
    auto operator<=>(const End&) const = default;
  };
  struct Agent {
    HelloCounts counts;
    std::unique_ptr<HelloGate> gate;
    std::unique_ptr<WireAdjacencies> machine;
    uint64_t sequence = 0;
    std::map<std::string, uint64_t> sent;  // by port
    std::set<TimePoint> moments;           // when any was
    std::map<std::pair<std::string, PortName>, Adjacent> adjacent;
    std::vector<std::string> lost, warned;
    TimePoint due = kStart;
    std::vector<int> families = {AF_INET6, AF_INET};
  };

  explicit Wires(uint64_t seed) : random_(seed * 2 + 1) {}

  Agent& Add(NodeId id, uint64_t incarnation = 1) {
    const size_t index = agents_.size();
    agents_.push_back(std::make_unique<Agent>());
    Restart(index, id, incarnation);
    return *agents_.back();
  }
  void Restart(size_t index, NodeId id, uint64_t incarnation) {
    Agent& agent = *agents_[index];
    agent.sequence = 0;
    agent.adjacent.clear();
    agent.gate = std::make_unique<HelloGate>(
        id, incarnation,
        HelloGate::Hooks{[](auto) { return fabric::Mac{}; }, [](auto, const auto&) { return true; },
                         [&agent](const std::string& line) { agent.warned.push_back(line); }},
        agent.counts);
    agent.machine = std::make_unique<WireAdjacencies>(
        WireAdjacencies::Self{id, incarnation, "n" + std::to_string(id), 21517},
        WireAdjacencies::Hooks{[this, index](const std::string& port, const Hello& hello) { Send(index, port, hello); },
                               [this, index](const std::string& port, const Hello& hello, uint32_t packet) {
                                 SendPadded(index, port, hello, packet);
                               },
                               [&agent](const Adjacent& a) {
                                 agent.adjacent[{a.near_port, a.far}] = a;
                               },
                               [&agent](const Adjacent& a, const Loss& how) {
                                 const std::pair key(a.near_port, a.far);
                                 EXPECT_EQ(agent.adjacent.erase(key), 1U);
                                 agent.lost.push_back(how.why);
                               }},
        agent.counts);
    agent.due = now_;
  }
  void Wire(std::vector<End> ends) {
    for (const End& end : ends) {
      agents_[end.node]->machine->PortUp(end.port, {true, mtu}, now_);
      agents_[end.node]->due = now_;
    }
    wires_.push_back(std::move(ends));
  }
  // Runs until `condition` holds; false after `limit`.
  bool Until(const std::function<bool()>& condition, Duration limit) {
    const TimePoint end = now_ + limit;
    while (!condition()) {
      TimePoint next = end;
      if (!flying_.empty()) next = std::min(next, flying_.begin()->first);
      for (auto& agent : agents_) next = std::min(next, agent->due);
      if (next >= end) {
        now_ = end;
        return condition();
      }
      now_ = std::max(now_, next);
      Step();
    }
    return true;
  }
  void For(Duration d) {
    Until([] { return false; }, d);
  }
  bool Linked(size_t a, const std::string& port, size_t b, const std::string& far_port) {
    return agents_[a]->adjacent.contains({port, {b + 1, far_port}});
  }
  Agent& agent(size_t i) { return *agents_[i]; }
  TimePoint now() const { return now_; }
  // Which share of what is sent from one end to another is lost; 1: all.
  std::function<double(const End& from, const End& to)> loss = [](const End&, const End&) { return 0.0; };
  // The MTU that ports are wired with, and what passes from one end to another: longer packets are lost.
  uint32_t mtu = 0;
  std::function<uint32_t(const End& from, const End& to)> passes = [](const End&, const End&) { return UINT32_MAX; };
  uint64_t padded = 0;  // packets that left
  // Each datagram arrives so many times.
  int copies = 1;
  uint64_t deliveries = 0;

 private:
  struct Flying {
    End to;
    HelloArrival arrival;
    std::vector<std::byte> bytes;
  };
  double Random() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return static_cast<double>(random_ >> 11) / static_cast<double>(1ULL << 53);
  }
  void Send(size_t node, const std::string& port, Hello hello) {
    Agent& agent = *agents_[node];
    ++agent.sent[port];
    agent.moments.insert(now_);
    hello.sequence = ++agent.sequence;
    const auto bytes = SealHello(hello, [](auto) { return fabric::Mac{}; });
    const End from{node, port};
    for (const auto& wire : wires_) {
      if (std::find(wire.begin(), wire.end(), from) == wire.end()) continue;
      for (const End& to : wire) {
        if (to == from) continue;
        for (int family : agent.families) Fly(from, to, family, bytes);
      }
    }
  }
  void SendPadded(size_t node, const std::string& port, Hello hello, uint32_t packet) {
    ++padded;
    hello.sequence = ++agents_[node]->sequence;
    hello.bytes = packet - HeaderBytes(AF_INET6);
    const auto bytes = SealHello(hello, [](auto) { return fabric::Mac{}; });
    EXPECT_EQ(bytes.size(), hello.bytes);
    const End from{node, port};
    for (const auto& wire : wires_) {
      if (std::find(wire.begin(), wire.end(), from) == wire.end()) continue;
      for (const End& to : wire) {
        if (to != from && packet <= passes(from, to)) Fly(from, to, AF_INET6, bytes);
      }
    }
  }
  // One wire does not reorder what one family sends over it.
  void Fly(const End& from, const End& to, int family, const std::vector<std::byte>& bytes) {
    TimePoint& last = last_arrival_[{from, to, family}];
    for (int i = 0; i < copies; ++i) {
      if (Random() < loss(from, to)) continue;
      HelloArrival arrival{to.port, Address(family, from.node, from.port.size()),
                           Address(family, to.node, to.port.size()), 255, to.port};
      last = std::max(last, now_ + std::chrono::microseconds(50 + static_cast<int>(Random() * 300)));
      flying_.emplace(last, Flying{to, arrival, bytes});
    }
  }
  void Step() {
    while (!flying_.empty() && flying_.begin()->first <= now_) {
      const Flying datagram = std::move(flying_.extract(flying_.begin()).mapped());
      Agent& agent = *agents_[datagram.to.node];
      ++deliveries;
      if (auto hello = agent.gate->Admit(datagram.bytes, datagram.arrival, now_)) {
        agent.machine->Receive(datagram.arrival, *hello, now_);
        agent.due = now_;
      }
    }
    for (auto& agent : agents_) {
      if (agent->due <= now_) agent->due = agent->machine->Tick(now_);
    }
  }

  uint64_t random_;
  TimePoint now_ = kStart;
  std::vector<std::unique_ptr<Agent>> agents_;
  std::vector<std::vector<End>> wires_;
  std::multimap<TimePoint, Flying> flying_;
  std::map<std::tuple<End, End, int>, TimePoint> last_arrival_;
};

// Two agents and a cable.
struct Pair : Wires {
  explicit Pair(uint64_t seed = 1) : Wires(seed) {
    Add(1);
    Add(2);
    Wire({{0, "ab"}, {1, "ba"}});
  }
  bool Both() { return Linked(0, "ab", 1, "ba") && Linked(1, "ba", 0, "ab"); }
};

TEST(WireAdjacencies, TwoFreshAgentsAreAdjacentWithinMilliseconds) {
  Pair pair;
  ASSERT_TRUE(pair.Until([&] { return pair.Both(); }, milliseconds(5)));
  const Adjacent& found = pair.agent(0).adjacent.begin()->second;
  EXPECT_TRUE(found.far_address.IsLinkLocal());
  EXPECT_EQ(found.far_address.port(), 21517);
  EXPECT_EQ(found.far_name, "n2");
}

TEST(WireAdjacencies, AnAgentThatRunsAnswersANewcomerAtOnce) {
  Wires wires(1);
  wires.Add(1);
  wires.Add(2);
  wires.agent(0).machine->PortUp("ab", {true}, wires.now());
  wires.For(seconds(20));
  wires.Wire({{0, "ab"}, {1, "ba"}});
  EXPECT_TRUE(
      wires.Until([&] { return wires.Linked(0, "ab", 1, "ba") && wires.Linked(1, "ba", 0, "ab"); }, milliseconds(5)));
}

TEST(WireAdjacencies, SilenceEndsAnAdjacency) {
  Pair pair;
  ASSERT_TRUE(pair.Until([&] { return pair.Both(); }, seconds(1)));
  pair.For(seconds(10));
  pair.loss = [](auto&, auto&) { return 1.0; };
  const TimePoint cut = pair.now();
  ASSERT_TRUE(pair.Until([&] { return !pair.Linked(0, "ab", 1, "ba") && !pair.Linked(1, "ba", 0, "ab"); }, seconds(5)));
  EXPECT_GE(pair.now() - cut, kSilence - milliseconds(1100));
  EXPECT_LE(pair.now() - cut, kSilence + milliseconds(1));
  EXPECT_THAT(pair.agent(0).lost, ElementsAre(HasSubstr("n2/ba has been silent on ab for 3.5 s")));
  pair.loss = [](auto&, auto&) { return 0.0; };
  EXPECT_TRUE(pair.Until([&] { return pair.Both(); }, milliseconds(1200))) << "it comes back with the next hello";
}

TEST(WireAdjacencies, OneWayIsNoAdjacency) {
  Pair pair;
  pair.loss = [](const Wires::End& from, const Wires::End&) { return from.node == 0 ? 1.0 : 0.0; };
  EXPECT_FALSE(pair.Until([&] { return pair.Linked(0, "ab", 1, "ba") || pair.Linked(1, "ba", 0, "ab"); }, seconds(30)));
  EXPECT_THAT(pair.agent(0).machine->Describe("ab"), HasSubstr("does not hear us"));
}

TEST(WireAdjacencies, WhenOneDirectionDiesBothEndItSoon) {
  Pair pair;
  ASSERT_TRUE(pair.Until([&] { return pair.Both(); }, seconds(1)));
  pair.For(seconds(5));
  pair.loss = [](const Wires::End& from, const Wires::End&) { return from.node == 0 ? 1.0 : 0.0; };
  const TimePoint cut = pair.now();
  ASSERT_TRUE(pair.Until([&] { return !pair.Linked(0, "ab", 1, "ba") && !pair.Linked(1, "ba", 0, "ab"); }, seconds(5)));
  EXPECT_LE(pair.now() - cut, kSilence + milliseconds(5));
  EXPECT_THAT(pair.agent(0).lost, ElementsAre(HasSubstr("no longer hears ab")));
}

TEST(WireAdjacencies, LeavingIsHeardAtOnce) {
  Pair pair;
  ASSERT_TRUE(pair.Until([&] { return pair.Both(); }, seconds(1)));
  pair.agent(1).machine->Leave();
  EXPECT_TRUE(pair.Until([&] { return !pair.Linked(0, "ab", 1, "ba"); }, milliseconds(2)));
  EXPECT_THAT(pair.agent(0).lost, ElementsAre(HasSubstr("has ended")));
}

TEST(WireAdjacencies, AnAgentThatStartsAnewIsFoundAnew) {
  Pair pair;
  ASSERT_TRUE(pair.Until([&] { return pair.Both(); }, seconds(1)));
  pair.Restart(1, 2, 7);
  pair.agent(1).machine->PortUp("ba", {true}, pair.now());
  ASSERT_TRUE(pair.Until([&] { return pair.Both() && pair.agent(0).adjacent.begin()->second.far_incarnation == 7; },
                         milliseconds(10)));
  EXPECT_LE(pair.agent(0).lost.size(), 1U);
}

TEST(WireAdjacencies, APortThatGoesTakesItsAdjacenciesWithIt) {
  Pair pair;
  ASSERT_TRUE(pair.Until([&] { return pair.Both(); }, seconds(1)));
  pair.agent(0).machine->PortDown("ab", {Loss::Cause::kPort, "ab has no carrier"});
  EXPECT_THAT(pair.agent(0).lost, ElementsAre("ab has no carrier"));
  EXPECT_FALSE(pair.agent(0).machine->IsAdjacent(2));
}

TEST(WireAdjacencies, TwoFamiliesAreOneAdjacencyThatOutlivesEither) {
  Pair pair;
  ASSERT_TRUE(pair.Until([&] { return pair.Both(); }, seconds(1)));
  pair.For(seconds(5));
  ASSERT_EQ(pair.agent(0).adjacent.size(), 1U);
  EXPECT_EQ(pair.agent(0).counts.refused_replay, 0U);
  pair.agent(1).families = {AF_INET};
  pair.For(seconds(5));
  ASSERT_TRUE(pair.Both());
  EXPECT_EQ(pair.agent(0).adjacent.begin()->second.far_address.family(), AF_INET);
  pair.agent(1).families = {AF_INET6, AF_INET};
  pair.For(seconds(5));
  EXPECT_EQ(pair.agent(0).adjacent.begin()->second.far_address.family(), AF_INET) << "what works is kept";
  EXPECT_THAT(pair.agent(0).lost, IsEmpty());
}

TEST(WireAdjacencies, TwinCablesAreTwoAdjacencies) {
  Wires wires(1);
  wires.Add(1);
  wires.Add(2);
  wires.Wire({{0, "p"}, {1, "q"}});
  wires.Wire({{0, "pp"}, {1, "qq"}});
  wires.For(seconds(5));
  EXPECT_EQ(wires.agent(0).adjacent.size(), 2U);
  EXPECT_TRUE(wires.Linked(0, "p", 1, "q") && wires.Linked(0, "pp", 1, "qq"));
  EXPECT_EQ(wires.agent(0).counts.refused_replay, 0U) << "hellos by two ports overtake each other";
}

TEST(WireAdjacencies, ACableBetweenTwoOwnPortsIsNoLink) {
  Wires wires(1);
  wires.Add(1);
  wires.Wire({{0, "p"}, {0, "q"}});
  wires.For(seconds(5));
  EXPECT_THAT(wires.agent(0).adjacent, IsEmpty());
  EXPECT_GT(wires.agent(0).counts.own, 0U);
  EXPECT_THAT(wires.agent(0).gate->OwnHeard(wires.now()),
              ElementsAre("hellos of p come back on q", "hellos of q come back on p"));
  EXPECT_THAT(wires.agent(0).warned, testing::SizeIs(2)) << "said once for each";
  wires.loss = [](auto&, auto&) { return 1.0; };
  wires.For(seconds(15));
  EXPECT_THAT(wires.agent(0).gate->OwnHeard(wires.now()), IsEmpty());
}

TEST(WireAdjacencies, AClonedMachineIsNoticedAndNoLink) {
  Wires wires(1);
  wires.Add(1, 10);
  wires.Add(1, 20);
  wires.Wire({{0, "ab"}, {1, "ba"}});
  wires.For(seconds(5));
  EXPECT_THAT(wires.agent(0).adjacent, IsEmpty());
  EXPECT_THAT(wires.agent(0).gate->Contested(wires.now()), HasSubstr("cloned"));
  EXPECT_EQ(wires.agent(0).warned.size(), 1U) << "one line, however often";
  wires.loss = [](auto&, auto&) { return 1.0; };
  wires.For(seconds(15));
  EXPECT_EQ(wires.agent(0).gate->Contested(wires.now()), "");
}

TEST(WireAdjacencies, RepeatedDatagramsAreRefusedAndCounted) {
  Pair pair;
  pair.copies = 2;
  pair.For(seconds(3));
  EXPECT_TRUE(pair.Both());
  EXPECT_GT(pair.agent(0).counts.refused_replay, 0U);
  EXPECT_EQ(pair.agent(0).warned.size(), 1U);
}

TEST(WireAdjacencies, StrangersDoNotCrowdOutANeighbour) {
  Wires wires(1);
  wires.Add(1);
  wires.Add(2);
  WireAdjacencies& machine = *wires.agent(0).machine;
  wires.Wire({{0, "ab"}, {1, "ba"}});
  Hello invented;
  invented.port = "x";
  invented.agent_port = 1;
  for (NodeId id = 1000; id < 3000; ++id) {
    invented.node = id;
    machine.Receive({"ab", Address(AF_INET, 7, 1), Address(AF_INET, 0, 1), 255, "ab"}, invented, wires.now());
  }
  EXPECT_GT(wires.agent(0).counts.crowded, 0U);
  EXPECT_TRUE(wires.Until([&] { return wires.Linked(0, "ab", 1, "ba"); }, seconds(1)));
  for (NodeId id = 3000; id < 5000; ++id) {
    invented.node = id;
    machine.Receive({"ab", Address(AF_INET, 7, 1), Address(AF_INET, 0, 1), 255, "ab"}, invented, wires.now());
    ASSERT_TRUE(machine.IsAdjacent("ab", 2)) << "after " << id - 2999 << " strangers";
  }
  EXPECT_TRUE(wires.Linked(0, "ab", 1, "ba"));
  wires.For(seconds(10));
  EXPECT_TRUE(wires.Linked(0, "ab", 1, "ba"));
}

// Whatever comes in: no more than the burst, the answers of the budget and the period leave a port.
uint64_t MostHellos(Duration d) {
  return static_cast<uint64_t>(6 + HelloSchedule::kAnswersAtOnce +
                               Seconds(d) * (HelloSchedule::kAnswersPerSecond + 1 / 0.9)) +
         2;
}

TEST(WireAdjacencies, AFloodIsNotAnsweredByAStorm) {
  Wires wires(1);
  wires.Add(1);
  wires.Wire({{0, "ab"}});
  Hello invented;
  invented.port = "x";
  invented.agent_port = 1;
  invented.answer_wanted = true;
  for (NodeId id = 1000; id < 21000; ++id) {
    invented.node = id;
    wires.agent(0).machine->Receive({"ab", Address(AF_INET, 7, 1), Address(AF_INET, 0, 1), 255, "ab"}, invented,
                                    wires.now());
    if (id % 20 == 0) wires.For(milliseconds(10));
  }
  EXPECT_LE(wires.agent(0).sent["ab"], MostHellos(seconds(10)));
  EXPECT_GE(wires.agent(0).sent["ab"], 10U);
}

TEST(WireAdjacencies, AllPortsSayHelloInOneWaking) {
  Wires wires(1);
  for (NodeId id = 1; id <= 4; ++id) wires.Add(id);
  wires.Wire({{0, "a"}, {1, "x"}});
  wires.For(milliseconds(330));
  wires.Wire({{0, "b"}, {2, "x"}});
  wires.For(milliseconds(440));
  wires.Wire({{0, "c"}, {3, "x"}});
  wires.For(seconds(10));
  wires.agent(0).moments.clear();
  wires.agent(0).sent.clear();
  wires.For(seconds(20));
  EXPECT_LE(wires.agent(0).moments.size(), 23U);
  for (const char* port : {"a", "b", "c"}) {
    EXPECT_GE(wires.agent(0).sent[port], 18U);
    EXPECT_LE(wires.agent(0).sent[port], 23U);
  }
}

TEST(PathMtu, WhatTheWirePassesIsFoundBeforeTheFirstCircuitIsInDoubt) {
  for (uint32_t switch_mtu : {9000U, 8999U, 1500U, 1400U, 1000U}) {
    Wires wires(1);
    wires.mtu = 9000;
    wires.passes = [&](auto&, auto&) { return switch_mtu; };
    wires.Add(1);
    wires.Add(2);
    wires.Wire({{0, "ab"}, {1, "ba"}});
    wires.For(seconds(1));
    ASSERT_TRUE(wires.Linked(0, "ab", 1, "ba")) << "small packets pass";
    const uint32_t expected = switch_mtu >= 9000 ? 0 : switch_mtu >= 1500 ? 1500 : 1280;
    for (size_t node : {0, 1}) {
      const Adjacent& seen = wires.agent(node).adjacent.begin()->second;
      EXPECT_EQ(seen.longest, 9000U);
      EXPECT_EQ(seen.passes, expected) << switch_mtu;
    }
    EXPECT_THAT(wires.agent(0).lost, IsEmpty());
  }
}

TEST(PathMtu, EachDirectionIsItsOwnAndOneThatChangesIsNoticed) {
  Wires wires(1);
  wires.mtu = 9000;
  uint32_t there = 9000;
  wires.passes = [&](const Wires::End& from, auto&) { return from.node == 0 ? there : 9000; };
  wires.Add(1);
  wires.Add(2);
  wires.Wire({{0, "ab"}, {1, "ba"}});
  wires.For(seconds(5));
  const auto seen = [&](size_t node) { return wires.agent(node).adjacent.begin()->second.passes; };
  EXPECT_EQ(seen(1), 0U);
  there = 1500;
  wires.For(seconds(8));
  EXPECT_EQ(seen(1), 1500U);
  EXPECT_EQ(seen(0), 0U);
  there = 9000;
  wires.For(seconds(3));
  EXPECT_EQ(seen(1), 0U);
  EXPECT_THAT(wires.agent(1).lost, IsEmpty()) << "the link is there all the while";
}

TEST(PathMtu, AWireThatLosesPacketsOfAnySizeIsNotTakenForANarrowOne) {
  Wires wires(7);
  wires.mtu = 9000;
  wires.loss = [](auto&, auto&) { return 0.1; };
  wires.Add(1);
  wires.Add(2);
  wires.Wire({{0, "ab"}, {1, "ba"}});
  int narrow = 0;
  for (int s = 0; s < 1000; ++s) {
    wires.For(seconds(1));
    for (const auto& [key, adjacent] : wires.agent(0).adjacent) narrow += adjacent.passes != 0;
  }
  EXPECT_LE(narrow, 10) << "of 1000 seconds: five in a row are lost once in 100,000";
}

TEST(PathMtu, NothingIsTriedWhereNobodyAnswersOrTheMtuIsTheLeast) {
  Wires lonely(1);
  lonely.mtu = 9000;
  lonely.Add(1);
  lonely.Wire({{0, "ab"}});
  lonely.For(seconds(30));
  EXPECT_EQ(lonely.padded, 0U);
  Wires small(1);
  small.mtu = 1280;
  small.Add(1);
  small.Add(2);
  small.Wire({{0, "ab"}, {1, "ba"}});
  small.For(seconds(30));
  EXPECT_EQ(small.padded, 0U);
}

TEST(PathMtu, AFewPacketsEachSecondAreTried) {
  Wires wires(1);
  wires.mtu = 9000;
  wires.Add(1);
  wires.Add(2);
  wires.Wire({{0, "ab"}, {1, "ba"}});
  wires.For(seconds(10));
  wires.padded = 0;
  wires.agent(0).moments.clear();
  wires.For(seconds(20));
  EXPECT_GE(wires.padded, 2 * 3 * 17U);
  EXPECT_LE(wires.padded, 2 * 3 * 23U);
}

TEST(WireAdjacencies, AQuietWireCarriesOneHelloASecond) {
  Pair pair;
  pair.For(seconds(5));
  const uint64_t before = pair.agent(0).sent["ab"];
  pair.For(seconds(100));
  const uint64_t sent = pair.agent(0).sent["ab"] - before;
  EXPECT_GE(sent, 90U);
  EXPECT_LE(sent, 112U);
}

RC_GTEST_PROP(WireAdjacenciesProperty, ALossyLanConvergesWithoutAStorm, ()) {
  const auto nodes = *rc::gen::inRange<size_t>(2, 24);
  const double lost = *rc::gen::element(0.0, 0.05, 0.2);
  Wires wires(*rc::gen::inRange<uint64_t>(1, 1000000));
  std::vector<Wires::End> ends;
  for (size_t i = 0; i < nodes; ++i) {
    wires.Add(i + 1);
    ends.push_back({i, "p"});
  }
  wires.loss = [lost](auto&, auto&) { return lost; };
  wires.Wire(ends);
  auto converged = [&] {
    for (size_t i = 0; i < nodes; ++i) {
      if (wires.agent(i).adjacent.size() != nodes - 1) return false;
    }
    return true;
  };
  RC_ASSERT(wires.Until(converged, lost == 0.0 ? Duration(seconds(1)) : Duration(seconds(6))));
  const Duration whole = wires.now() - kStart;
  for (size_t i = 0; i < nodes; ++i) RC_ASSERT(wires.agent(i).sent["p"] <= MostHellos(whole));
}

RC_GTEST_PROP(WireAdjacenciesProperty, BelievedMeansBothHear, ()) {
  // Every direction works or not, changing every ten seconds; once settled, an adjacency stands where both do.
  const auto nodes = *rc::gen::inRange<size_t>(2, 7);
  Wires wires(*rc::gen::inRange<uint64_t>(1, 1000000));
  std::vector<Wires::End> ends;
  for (size_t i = 0; i < nodes; ++i) {
    wires.Add(i + 1);
    ends.push_back({i, "p"});
  }
  std::set<std::pair<size_t, size_t>> deaf;
  wires.loss = [&](const Wires::End& from, const Wires::End& to) {
    return deaf.contains({from.node, to.node}) ? 1.0 : 0.0;
  };
  wires.Wire(ends);
  for (int phase = 0; phase < 4; ++phase) {
    deaf.clear();
    for (size_t i = 0; i < nodes; ++i) {
      for (size_t j = 0; j < nodes; ++j) {
        if (*rc::gen::inRange(0, 3) == 0) deaf.insert({i, j});
      }
    }
    wires.For(seconds(10));
    for (size_t i = 0; i < nodes; ++i) {
      for (size_t j = 0; j < nodes; ++j) {
        if (i == j) continue;
        const bool both = !deaf.contains({i, j}) && !deaf.contains({j, i});
        RC_ASSERT(wires.Linked(i, "p", j, "p") == both);
      }
    }
  }
}

}  // namespace
}  // namespace relay::agent::discovery_wire
