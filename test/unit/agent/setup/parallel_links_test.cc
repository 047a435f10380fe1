// A direct connection over several RDMA links, as agents set it up: who is asked for what.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/setup/parallel_ports.h"
#include "unit/agent/agents.h"
#include "unit/agent/discovery/verbs_tree.h"

namespace relay::agent::parallel_links {
namespace {

using fabric::PortKind;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> DevicesOf(const std::vector<control::ParallelPort>& ports) {
  std::vector<std::string> out;
  for (const auto& port : ports) out.push_back(port.device);
  return out;
}

// A and B with three cables, the third of them a slow one; each end of one is "rxe_ab", "rxe_ab2", ...
class ParallelLinks : public AgentsTest {
 protected:
  ParallelLinks() {
    Addresses addresses;
    fabric_.name = "twins";
    for (const char* name : {"A", "B"}) {
      fabric::Node node;
      node.name = name;
      node.id = 100 + fabric_.nodes.size();
      for (const char* cable : {"", "2", "3"}) {
        const std::string port = std::string(node.name == "A" ? "ab" : "ba") + cable;
        node.ports.push_back({port, {addresses.Next()}, 1000, PortKind::kRdma});
      }
      fabric_.nodes.push_back(node);
    }
    for (size_t i = 0; i < 3; ++i) fabric_.links.push_back({{0, i}, {1, i}, i == 2 ? 400u : 1000u, 0, PortKind::kRdma});
    for (size_t node : {0, 1}) {
      for (size_t port : {0, 1, 2}) AddDevice(node, port, "rxe_" + fabric_.nodes[node].ports[port].name);
    }
  }
  void AddDevice(size_t node, size_t port, const std::string& device) {
    trees_[node].AddDevice(device);
    trees_[node].AddPort(device);
    trees_[node].AddGids(device, "lo", AddressOf(node, port).HostText());
  }
  const SocketAddress& AddressOf(size_t node, size_t port) const {
    return fabric_.nodes[node].ports[port].addresses.front();
  }
  AgentOptions Options(size_t node) const {
    AgentOptions options = OptionsFor(fabric_, node);
    options.node.verbs_roots = trees_[node].roots();
    return options;
  }
  // Starts both; the receiving client listens, the other asks. What the other is then asked for.
  control::Prepare Ask() {
    for (size_t node : {0, 1}) Start(Options(node));
    a_ = ClientOf("A");
    b_ = ClientOf("B");
    EXPECT_TRUE(b_->Send({0, control::Register{token_}}));
    EXPECT_TRUE(a_->Send({77, To(fabric_, 1, token_)}));
    auto asked = Next(*a_);
    auto* prepare = std::get_if<control::Prepare>(&asked.packet.message);
    EXPECT_NE(prepare, nullptr);
    return prepare ? *prepare : control::Prepare{};
  }
  control::Arrived AnswerWith(control::Prepared prepared) {
    EXPECT_TRUE(a_->Send({77, std::move(prepared)}));
    auto arrived = Next(*b_);
    auto* message = std::get_if<control::Arrived>(&arrived.packet.message);
    EXPECT_NE(message, nullptr);
    socket_ = std::move(arrived.fd);
    return message ? *message : control::Arrived{};
  }
  LocalNode NodeB() const {
    LocalNode node = Options(1).node;
    LookUpDeclared(node);
    return node;
  }
  OpenMessage OpenWith(std::vector<RouteHop> parallel) const {
    OpenMessage open;
    open.source = 100;
    open.route = {{100, 101, "ab", "ba"}};
    open.parallel = std::move(parallel);
    return open;
  }

  fabric::Fabric fabric_;
  VerbsTree trees_[2];
  const Token token_ = RandomValue<Token>();
  std::unique_ptr<control::Client> a_, b_;
  Fd socket_;
};

TEST_F(ParallelLinks, BothSidesAreTheirDevicesOfEachLink) {
  const control::Prepare prepare = Ask();
  EXPECT_EQ(prepare.device, "rxe_ab");
  EXPECT_EQ(prepare.relays, 0);
  EXPECT_EQ(prepare.speed_mbit, 1000u);
  ASSERT_THAT(DevicesOf(prepare.parallel), ElementsAre("rxe_ab2"));
  EXPECT_EQ(prepare.parallel[0].speed_mbit, 1000u);

  const std::vector<std::byte> offer{std::byte{1}, std::byte{2}};
  const control::Arrived arrived = AnswerWith({offer});
  EXPECT_EQ(arrived.open.offer, offer);
  EXPECT_EQ(arrived.device, "rxe_ba");
  EXPECT_EQ(arrived.note, "");
  ASSERT_EQ(arrived.open.parallel.size(), 1u);
  EXPECT_EQ(arrived.open.parallel[0].from_port, "ab2");
  ASSERT_THAT(DevicesOf(arrived.parallel), ElementsAre("rxe_ba2"));
  ASSERT_EQ(arrived.parallel[0].addresses.size(), 2u) << "of this link";
  EXPECT_TRUE(arrived.parallel[0].addresses[0].SameHost(AddressOf(1, 1)));
  EXPECT_TRUE(arrived.parallel[0].addresses[1].SameHost(AddressOf(0, 1)));

  ASSERT_TRUE(WriteWhole(socket_.get(), EncodeOpened({arrived.open.name, {}})));
  auto connected = Next(*a_);
  ASSERT_TRUE(std::holds_alternative<control::Connected>(connected.packet.message));
  EXPECT_EQ(std::get<control::Connected>(connected.packet.message).path, "A ab--ba B");
}

TEST_F(ParallelLinks, WithoutAQueuePairThereIsNothingToStripe) {
  Ask();
  const control::Arrived arrived = AnswerWith({{}, "no memory may be locked"});
  EXPECT_TRUE(arrived.open.parallel.empty());
  EXPECT_TRUE(arrived.parallel.empty());
  EXPECT_EQ(arrived.device, "");
}

TEST_F(ParallelLinks, WhatDoesNotServeAtOneEndIsSaidThere) {
  Ask();
  const control::Arrived arrived = AnswerWith({{std::byte{1}}, "a parallel link is not used: rxe_ab2 is full"});
  ASSERT_TRUE(WriteWhole(socket_.get(), EncodeOpened({arrived.open.name, {}})));
  auto connected = Next(*a_);
  ASSERT_TRUE(std::holds_alternative<control::Connected>(connected.packet.message));
  EXPECT_EQ(std::get<control::Connected>(connected.packet.message).note,
            "a parallel link is not used: rxe_ab2 is full");
}

TEST_F(ParallelLinks, ALinkWhoseFarEndHasNoDeviceHasNone) {
  trees_[1].Remove("sys/class/infiniband/rxe_ba2");
  EXPECT_THAT(DevicesOf(Ask().parallel), ElementsAre("rxe_ab2")) << "as the declaration has it";
  const control::Arrived arrived = AnswerWith({{std::byte{1}}});
  EXPECT_EQ(arrived.device, "rxe_ba");
  EXPECT_THAT(DevicesOf(arrived.parallel), ElementsAre(""));
  EXPECT_THAT(arrived.note, HasSubstr("parallel link ab2--ba2 is not used: B has no RDMA device for it"));
}

TEST_F(ParallelLinks, OneDeviceIsNotUsedTwice) {
  trees_[0].Remove("sys/class/infiniband/rxe_ab2");
  trees_[0].AddGids("rxe_ab", "lo", AddressOf(0, 1).HostText(), 4);
  EXPECT_TRUE(Ask().parallel.empty());
}

TEST_F(ParallelLinks, LinksThatAreNamedTwiceOrNotThereHaveNoDevice) {
  const LocalNode node = NodeB();
  const RouteHop first{100, 101, "ab", "ba"}, twin{100, 101, "ab2", "ba2"};
  std::string note;
  EXPECT_THAT(DevicesOf(ParallelPortsTo(node, OpenWith({twin, twin, first}), note)), ElementsAre("rxe_ba2", "", ""));
  note.clear();
  EXPECT_THAT(DevicesOf(ParallelPortsTo(node, OpenWith({{100, 101, "ab2", "ba3"}}), note)), ElementsAre(""));
  EXPECT_EQ(note, "parallel link ab2--ba3 is not used: B knows no such link");
  note.clear();
  EXPECT_TRUE(ParallelPortsTo(node, OpenWith({}), note).empty());
  EXPECT_EQ(note, "");
}

TEST_F(ParallelLinks, ALinkThatWasTriedIsNotAskedAgain) {
  const LocalNode node = NodeB();
  const auto path = fabric::FindPath(node.fabric, 1, 0).value();
  EXPECT_THAT(DevicesOf(ParallelPortsFrom(node, path, {}).ports), ElementsAre("rxe_ba2"));
  EXPECT_TRUE(ParallelPortsFrom(node, path, std::vector<size_t>{1}).hops.empty());
}

}  // namespace
}  // namespace relay::agent::parallel_links
