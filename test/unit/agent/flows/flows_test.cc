// What flows here: the bookkeeping against a kernel of hand-made answers, and against real sockets on loopback.
#include "agent/flows/flows.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "fake/judged.h"
#include "fake/manual_clock.h"

namespace relay::agent {
namespace {

using nlohmann::json;

TcpSocket SocketOn(const std::string& interface, uint64_t cookie) {
  return {*SocketAddress::Parse("10.0.0.1"), *SocketAddress::Parse("10.0.0.2"), interface, 7, cookie};
}

FlowTable::Opening OpeningOf(FlowRole role, const std::string& path, std::vector<TcpSocket> sockets) {
  static uint64_t connection = 0;
  return {{++connection, 1}, role, path, std::move(sockets)};
}

// Knows the sockets that a test gives it, by cookie.
struct KnownSockets {
  std::map<uint64_t, FlowTable::Looked> sockets;
  FlowTable::Look look() {
    return [this](const TcpSocket& socket) {
      auto found = sockets.find(socket.cookie);
      return found == sockets.end() ? FlowTable::Looked(FlowTable::Gone{}) : found->second;
    };
  }
};

SocketFacts FactsWith(uint64_t sent, uint64_t received) {
  SocketFacts facts;
  facts.sent_bytes = sent;
  facts.received_bytes = received;
  return facts;
}

TEST(FlowTable, AHopKnowsItsPortAndNeighbourFromThePath) {
  FlowTable table;
  const std::string path = "A ab--ba B bc--cb C cd--dc D";
  table.Opened(OpeningOf(FlowRole::kSource, path, {SocketOn("ab", 1)}), {});
  table.Opened(OpeningOf(FlowRole::kRelay, path, {SocketOn("cb", 2), SocketOn("cd", 3)}), {});
  table.Opened(OpeningOf(FlowRole::kDestination, path, {SocketOn("dc", 4)}), {});
  ASSERT_EQ(table.flows().size(), 3u);
  for (const Flow& flow : table.flows()) {
    EXPECT_EQ(flow.from, "A");
    EXPECT_EQ(flow.to, "D");
  }
  EXPECT_EQ(table.flows()[0].hops[0].port, "ab");
  EXPECT_EQ(table.flows()[0].hops[0].neighbour, "B");
  EXPECT_EQ(table.flows()[1].hops[0].port, "cb");
  EXPECT_EQ(table.flows()[1].hops[0].neighbour, "B");
  EXPECT_EQ(table.flows()[1].hops[1].port, "cd");
  EXPECT_EQ(table.flows()[1].hops[1].neighbour, "D");
  EXPECT_EQ(table.flows()[2].hops[0].port, "dc");
  EXPECT_EQ(table.flows()[2].hops[0].neighbour, "C");
}

TEST(FlowTable, ARelayThatThePathDoesNotPlaceHasNoNeighboursButItsInterfaces) {
  FlowTable table;
  table.Opened(OpeningOf(FlowRole::kRelay, "A ab--ba B bc--cb C cd--dc D", {SocketOn("eth7", 2), SocketOn("eth8", 3)}),
               {});
  EXPECT_EQ(table.flows()[0].hops[0].neighbour, "");
  EXPECT_EQ(table.flows()[0].hops[0].port, "eth7");
  // Where there is one middle only, it is this node.
  table.Opened(OpeningOf(FlowRole::kRelay, "A ab--ba B bc--cb C", {SocketOn("eth7", 4), SocketOn("eth8", 5)}), {});
  EXPECT_EQ(table.flows()[1].hops[0].neighbour, "A");
  EXPECT_EQ(table.flows()[1].hops[1].neighbour, "C");
}

TEST(FlowTable, NothingIsKeptWithoutASocketOrAPath) {
  FlowTable table;
  table.Opened(OpeningOf(FlowRole::kSource, "A", {}), {});
  table.Opened(OpeningOf(FlowRole::kSource, "  ", {SocketOn("ab", 1)}), {});
  EXPECT_TRUE(table.flows().empty());
  for (const char* odd : {"A", "A ab", "A ab--ba", "A x B", "A -- B", "A ab--ba B bc--cb"}) {
    for (FlowRole role : {FlowRole::kSource, FlowRole::kRelay, FlowRole::kDestination}) {
      table.Opened(OpeningOf(role, odd, {SocketOn("ab", 1), SocketOn("bc", 2)}), {});
    }
  }
  EXPECT_EQ(table.flows().size(), 18u);
}

TEST(FlowTable, AnEntryEndsWithItsLastSocketAndUnavailableConcludesNothing) {
  FlowTable table;
  KnownSockets kernel;
  table.Opened(OpeningOf(FlowRole::kRelay, "A ab--ba B bc--cb C", {SocketOn("ba", 1), SocketOn("bc", 2)}), {});
  table.Opened(OpeningOf(FlowRole::kSource, "B bc--cb C", {SocketOn("bc", 3)}), {});
  kernel.sockets = {{1, FactsWith(10, 20)}, {2, FactsWith(20, 10)}, {3, FlowTable::Unavailable{}}};
  table.Refresh(kernel.look());
  ASSERT_EQ(table.flows().size(), 2u);
  EXPECT_EQ(table.flows()[0].bytes(), 30u);
  EXPECT_TRUE(table.flows()[0].hops[0].told);
  EXPECT_FALSE(table.flows()[1].hops[0].told);
  kernel.sockets.erase(1);
  table.Refresh(kernel.look());
  ASSERT_EQ(table.flows().size(), 2u);
  EXPECT_TRUE(table.flows()[0].hops[0].gone);
  // One that is gone stays so, whatever has its addresses now.
  kernel.sockets = {{1, FactsWith(1, 1)}, {3, FlowTable::Unavailable{}}};
  table.Refresh(kernel.look());
  ASSERT_EQ(table.flows().size(), 1u);
  EXPECT_EQ(table.flows()[0].role, FlowRole::kSource);
}

TEST(FlowTable, WhoeverOpensManyIsToldToLookAndTheTableIsBounded) {
  FlowTable table;
  KnownSockets kernel;
  size_t looks = 0, most = 0;
  for (uint64_t i = 1; i <= 100000; ++i) {
    // The last hundred are open, all others ended.
    kernel.sockets[i] = FactsWith(i, 0);
    kernel.sockets.erase(i - std::min<uint64_t>(i, 100));
    if (table.due()) {
      ++looks;
      table.Refresh(kernel.look());
    }
    table.Opened(OpeningOf(FlowRole::kSource, "A ab--ba B", {SocketOn("ab", i)}), {});
    most = std::max(most, table.flows().size());
  }
  EXPECT_LE(most, 256u);
  EXPECT_LE(looks, 100000u / 150u);
  // A kernel that does not tell must not make it grow for ever either.
  FlowTable blind;
  for (uint64_t i = 1; i <= 2 * FlowTable::kMost; ++i) {
    if (blind.due()) blind.Refresh([](const TcpSocket&) { return FlowTable::Unavailable{}; });
    blind.Opened(OpeningOf(FlowRole::kSource, "A ab--ba B", {SocketOn("ab", i)}), {});
  }
  EXPECT_EQ(blind.flows().size(), FlowTable::kMost);
  EXPECT_EQ(blind.flows().back().hops[0].socket.cookie, 2 * FlowTable::kMost);
}

// ---- real sockets
// ----------------------------------------------------------------------------------------------------

struct TcpPair {
  Fd near, far;
};

TcpPair ConnectedPair(int family) {
  SocketAddress address = *SocketAddress::Parse(family == AF_INET ? "127.0.0.1" : "::1");
  Fd listener(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  TcpPair out;
  if (bind(listener.get(), address.get(), address.size()) != 0 || listen(listener.get(), 1) != 0) return out;
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  getsockname(listener.get(), reinterpret_cast<sockaddr*>(&bound), &size);
  out.near = Fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(out.near.get(), reinterpret_cast<sockaddr*>(&bound), size) != 0) return {};
  out.far = Fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return out;
}

void MoveBytes(const TcpPair& pair, size_t bytes) {
  std::vector<char> load(bytes, 'x');
  ASSERT_EQ(send(pair.near.get(), load.data(), bytes, MSG_NOSIGNAL), static_cast<ssize_t>(bytes));
  ASSERT_EQ(recv(pair.far.get(), load.data(), bytes, MSG_WAITALL), static_cast<ssize_t>(bytes));
}

bool DiagWorks() {
  TcpPair pair = ConnectedPair(AF_INET);
  auto socket = Identify(pair.near.get());
  return socket && std::holds_alternative<SocketFacts>(SocketDiag().Look(*socket));
}

class FlowsOnLoopback : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    const bool possible = DiagWorks() && ConnectedPair(GetParam()).near;
    ASSERT_TRUE(possible || !fake::Judged()) << "a change may not land untried: no inet_diag, or no such family";
    if (!DiagWorks()) GTEST_SKIP() << "this kernel does not tell about sockets (inet_diag)";
    if (!ConnectedPair(GetParam()).near) GTEST_SKIP() << "this machine lacks that family";
  }
  json Ask(size_t most_bytes = 1 << 20) {
    const Flows::NodePort ports[] = {{"ab", "lo"}};
    return json::parse(flows_.Json({0xabc, "A", ports}, most_bytes));
  }
  fake::ManualClock clock_;
  Flows flows_{clock_};
};

TEST_P(FlowsOnLoopback, TheKernelsFiguresAreTheCircuits) {
  TcpPair pair = ConnectedPair(GetParam());
  flows_.Opened({0x77, 2}, FlowRole::kSource, "A ab--ba B", {pair.near.get()});
  clock_.Advance(std::chrono::milliseconds(1500));
  MoveBytes(pair, 100000);
  json told = Ask();
  EXPECT_EQ(told["name"], "A");
  EXPECT_EQ(told["ports"][0]["port"], "ab");
  EXPECT_EQ(told["circuits_total"], 1);
  const json& circuit = told["circuits"][0];
  EXPECT_EQ(circuit["connection"], "0000000000000077");
  EXPECT_EQ(circuit["role"], "source");
  EXPECT_EQ(circuit["age_ms"], 1500);
  EXPECT_EQ(circuit["hops"][0]["neighbour"], "B");
  EXPECT_EQ(circuit["hops"][0]["received_bytes"], 0);
  // The last acknowledgement may be under way.
  EXPECT_GT(circuit["hops"][0]["sent_bytes"], 0);
  EXPECT_LE(circuit["hops"][0]["sent_bytes"], 100001);
}

TEST_P(FlowsOnLoopback, TheOtherEndsFiguresAndTheEnd) {
  TcpPair pair = ConnectedPair(GetParam());
  flows_.Opened({0x77, 2}, FlowRole::kDestination, "A ab--ba B", {pair.far.get()});
  MoveBytes(pair, 50000);
  EXPECT_EQ(Ask()["circuits"][0]["hops"][0]["received_bytes"], 50000);
  // The descriptor is another process's by now; the socket is what counts.
  Fd handed(dup(pair.far.get()));
  pair.far.reset();
  EXPECT_EQ(flows_.Count().destination, 1u);
  handed.reset();
  pair.near.reset();
  EXPECT_EQ(flows_.Count().destination, 0u);
  EXPECT_EQ(Ask()["circuits_total"], 0);
}

TEST_P(FlowsOnLoopback, AReusedPortIsAnotherSocket) {
  TcpPair pair = ConnectedPair(GetParam());
  auto socket = Identify(pair.near.get());
  ASSERT_TRUE(socket);
  ASSERT_NE(socket->cookie, 0u);
  SocketDiag diag;
  EXPECT_TRUE(std::holds_alternative<SocketFacts>(diag.Look(*socket)));
  TcpSocket other = *socket;
  ++other.cookie;
  EXPECT_TRUE(std::holds_alternative<FlowTable::Gone>(diag.Look(other)));
  other.cookie = 0;
  EXPECT_TRUE(std::holds_alternative<SocketFacts>(diag.Look(other)));
}

TEST_P(FlowsOnLoopback, TheBusiestAreToldWhileTheyFit) {
  std::vector<TcpPair> pairs;
  for (int i = 0; i < 20; ++i) {
    pairs.push_back(ConnectedPair(GetParam()));
    flows_.Opened({static_cast<uint64_t>(i), 1}, FlowRole::kDestination, "A ab--ba B", {pairs.back().far.get()});
  }
  MoveBytes(pairs[13], 5000);
  MoveBytes(pairs[4], 3000);
  const size_t limit = 3000;
  json told = Ask(limit);
  EXPECT_LE(told.dump().size(), limit);
  EXPECT_EQ(told["circuits_total"], 20);
  ASSERT_GT(told["circuits"].size(), 2u);
  ASSERT_LT(told["circuits"].size(), 20u);
  EXPECT_EQ(told["circuits"][0]["connection"], "000000000000000d");
  EXPECT_EQ(told["circuits"][1]["connection"], "0000000000000004");
}

INSTANTIATE_TEST_SUITE_P(Families, FlowsOnLoopback, testing::Values(AF_INET, AF_INET6),
                         [](const auto& instance) { return instance.param == AF_INET ? "IPv4" : "IPv6"; });

TEST(Identify, IsForConnectedTcpAlone) {
  EXPECT_FALSE(Identify(-1));
  Fd fresh(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_FALSE(Identify(fresh.get()));
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  Fd a(pair[0]), b(pair[1]);
  EXPECT_FALSE(Identify(a.get()));
}

}  // namespace
}  // namespace relay::agent
