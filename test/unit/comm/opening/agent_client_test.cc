// The context's line to an agent that the test itself plays.
#include "comm/opening/agent_client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

#include "base/random.h"
#include "control/socket.h"

namespace relay::comm {
namespace {

struct Played {
  Played() {
    knobs.socket = "@nccl-relay-test-" + std::to_string(RandomValue<uint64_t>());
    knobs.agent = knob::Automatic::kOff;
    listener = Fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    auto address = control::AddressOf(knobs.socket);
    EXPECT_EQ(bind(listener.get(), address->get(), address->size), 0);
    EXPECT_EQ(listen(listener.get(), 4), 0);
    std::thread agent([this] {
      fd = Fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      control::Welcome welcome;
      welcome.node_name = "A";
      welcome.devices = {{"relay0", "", 0}};
      EXPECT_TRUE(control::SendPacket(fd.get(), control::Encode({0, welcome})));
    });
    EXPECT_TRUE(link.Start());
    agent.join();
  }
  // A circuit arrives; returns the far end of its hop.
  Fd Arrive(const Token& token, uint64_t connection, uint32_t epoch = 0) {
    int ends[2];
    EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    Fd near(ends[0]), far(ends[1]);
    OpenMessage open;
    open.token = token;
    open.name.connection = connection;
    open.name.epoch = epoch;
    EXPECT_TRUE(control::SendPacket(fd.get(), control::Encode({0, control::Arrived{open, "A"}}), near.get()));
    return far;
  }

  Knobs knobs;
  SystemClock clock;
  Fd listener, fd;
  AgentClient link{knobs, clock};
};

uint64_t ConnectionOf(const control::Received& received) {
  return std::get<control::Arrived>(received.packet.message).open.name.connection;
}

TEST(AgentClient, OfTwoArrivalsTheNewestIsTakenAndTheOtherIsHungUp) {
  Played agent;
  Token token = RandomValue<Token>();
  agent.link.Register(token);
  Fd given_up = agent.Arrive(token, 1), live = agent.Arrive(token, 2);
  auto arrival = agent.link.TakeArrival(token);
  ASSERT_TRUE(arrival);
  EXPECT_EQ(ConnectionOf(*arrival), 2u);
  char byte;
  EXPECT_EQ(recv(given_up.get(), &byte, 1, MSG_DONTWAIT), 0) << "its hop must be closed";
  EXPECT_EQ(recv(live.get(), &byte, 1, MSG_DONTWAIT), -1) << "its hop must be open";
  EXPECT_FALSE(agent.link.TakeArrival(token));
}

void ExpectRefused(const Fd& late) {
  std::array<std::byte, kSetupPrefixBytes> prefix;
  ASSERT_EQ(recv(late.get(), prefix.data(), prefix.size(), MSG_DONTWAIT), static_cast<ssize_t>(prefix.size()));
  auto decoded = DecodeSetupPrefix(prefix);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->type, SetupType::kRefused);
}

TEST(AgentClient, OnlyLaterCircuitsOfItsConnectionArriveForAnEndThatHasOne) {
  Played agent;
  Token token = RandomValue<Token>();
  agent.link.Register(token);
  agent.link.Expect(token, 3, 1);
  for (const auto& [connection, epoch] : {std::pair(4u, 2u), {3u, 0u}}) {
    Fd late = agent.Arrive(token, connection, epoch);
    EXPECT_FALSE(agent.link.TakeArrival(token)) << connection << "." << epoch;
    ExpectRefused(late);
  }
  Fd again = agent.Arrive(token, 3, 1);
  EXPECT_TRUE(agent.link.TakeArrival(token)) << "over another path, because the answer over the first was lost";
  Fd next = agent.Arrive(token, 3, 2);
  EXPECT_TRUE(agent.link.TakeArrival(token));
}

TEST(AgentClient, NothingArrivesForTheTokenOfASendingEnd) {
  Played agent;
  Token token = RandomValue<Token>();
  agent.link.RegisterSource(token);
  Fd late = agent.Arrive(token, 0, 1);
  EXPECT_FALSE(agent.link.TakeArrival(token));
  ExpectRefused(late);
}

TEST(AgentClient, NewsOfAWatchedCircuitIsTakenOnceAndOfOthersNever) {
  Played agent;
  agent.link.Watch({.connection = 5, .node = 2, .source = true, .route = {{1, 2, "ab", "ba"}}});
  for (uint64_t connection : {5u, 6u}) {
    const control::LinkLost lost{connection, "link A-B is down"};
    EXPECT_TRUE(control::SendPacket(agent.fd.get(), control::Encode({0, lost})));
    EXPECT_TRUE(control::SendPacket(agent.fd.get(), control::Encode({0, control::BetterPath{connection, "A"}})));
  }
  agent.link.Pump();
  EXPECT_EQ(agent.link.TakeLinkLost(5), "link A-B is down");
  EXPECT_FALSE(agent.link.TakeLinkLost(5));
  EXPECT_TRUE(agent.link.TakeBetterPath(5));
  EXPECT_FALSE(agent.link.TakeBetterPath(5));
  EXPECT_FALSE(agent.link.TakeLinkLost(6));
  EXPECT_FALSE(agent.link.TakeBetterPath(6));
}

TEST(AgentClient, AWelcomeOfAFabricThatChangesIsAskedForAgain) {
  Played agent;
  EXPECT_EQ(agent.link.welcome().rdma_reach, control::RdmaReach::kNo);
  agent.link.AwaitReach();  // nothing to wait for
  std::vector<Fd> served;
  std::thread serving([&] {
    for (const auto reach :
         {control::RdmaReach::kUnsettled, control::RdmaReach::kUnsettled, control::RdmaReach::kAll}) {
      served.emplace_back(accept4(agent.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      control::Welcome welcome;
      welcome.devices = {{"relay0", "", 0}};
      welcome.rdma_reach = reach;
      EXPECT_TRUE(control::SendPacket(served.back().get(), control::Encode({0, welcome})));
    }
  });
  AgentClient link(agent.knobs, agent.clock);
  ASSERT_TRUE(link.Start());
  EXPECT_EQ(link.welcome().rdma_reach, control::RdmaReach::kUnsettled);
  link.AwaitReach();
  serving.join();
  EXPECT_EQ(link.welcome().rdma_reach, control::RdmaReach::kAll);
  const uint64_t request = link.Connect({});
  served.back().reset();
  EXPECT_TRUE(link.TakeOutcome(request)) << "the link is to the agent that answered last";
}

TEST(AgentClient, WhatWasAskedOfAnAgentThatVanishesIsAnsweredWithTryAgain) {
  Played agent;
  uint64_t request = agent.link.Connect({});
  agent.fd.reset();
  auto outcome = agent.link.TakeOutcome(request);
  ASSERT_TRUE(outcome);
  auto* failed = std::get_if<control::Failed>(&outcome->packet.message);
  ASSERT_NE(failed, nullptr);
  EXPECT_FALSE(failed->refused.final);
  EXPECT_TRUE(agent.link.lost());
}

}  // namespace
}  // namespace relay::comm
