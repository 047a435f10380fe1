// What flows here: the bookkeeping against a kernel of hand-made answers, the parsers against every truncation, and
// both against real sockets on loopback.
#include "agent/flows.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "agent/flows/netlink.h"
#include "agent/json_text.h"
#include "fake/manual_clock.h"

namespace relay::agent {
namespace {

using nlohmann::json;

TcpSocket SocketOn(const std::string& interface, uint64_t cookie) {
  return {*SocketAddress::Parse("10.0.0.1"), *SocketAddress::Parse("10.0.0.2"), interface, 7, cookie};
}

FlowTable::Opening OpeningOf(FlowRole role, const std::string& path, std::vector<TcpSocket> sockets) {
  static uint64_t connection = 0;
  return {{++connection, 0, 1}, role, path, std::move(sockets)};
}

// Knows the sockets that a test gives it, by cookie.
struct Kernel {
  std::map<uint64_t, FlowTable::Looked> sockets;
  FlowTable::Look look() {
    return [this](const TcpSocket& socket) {
      auto found = sockets.find(socket.cookie);
      return found == sockets.end() ? FlowTable::Looked(FlowTable::Gone{}) : found->second;
    };
  }
};

SocketFacts Bytes(uint64_t sent, uint64_t received) {
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
  Kernel kernel;
  table.Opened(OpeningOf(FlowRole::kRelay, "A ab--ba B bc--cb C", {SocketOn("ba", 1), SocketOn("bc", 2)}), {});
  table.Opened(OpeningOf(FlowRole::kSource, "B bc--cb C", {SocketOn("bc", 3)}), {});
  kernel.sockets = {{1, Bytes(10, 20)}, {2, Bytes(20, 10)}, {3, FlowTable::Unavailable{}}};
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
  kernel.sockets = {{1, Bytes(1, 1)}, {3, FlowTable::Unavailable{}}};
  table.Refresh(kernel.look());
  ASSERT_EQ(table.flows().size(), 1u);
  EXPECT_EQ(table.flows()[0].role, FlowRole::kSource);
}

TEST(FlowTable, WhoeverOpensManyIsToldToLookAndTheTableIsBounded) {
  FlowTable table;
  Kernel kernel;
  size_t looks = 0, most = 0;
  for (uint64_t i = 1; i <= 100000; ++i) {
    // The last hundred are open, all others ended.
    kernel.sockets[i] = Bytes(i, 0);
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

// ---- what the kernel says
// --------------------------------------------------------------------------------------------

void PutBytes(std::vector<std::byte>& out, const void* data, size_t size) {
  const auto* bytes = static_cast<const std::byte*>(data);
  out.insert(out.end(), bytes, bytes + size);
  out.resize((out.size() + 3) & ~size_t{3});
}

std::vector<std::byte> SocketAnswer(uint8_t state, const tcp_info& info, size_t info_bytes, uint32_t inode = 4711) {
  std::vector<std::byte> out;
  nlmsghdr header{};
  header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  header.nlmsg_seq = 9;
  inet_diag_msg body{};
  body.idiag_state = state;
  body.idiag_inode = inode;
  PutBytes(out, &header, sizeof header);
  PutBytes(out, &body, sizeof body);
  uint32_t other = 5;
  rtattr attribute{sizeof(rtattr) + sizeof other, INET_DIAG_TOS};
  PutBytes(out, &attribute, sizeof attribute);
  PutBytes(out, &other, sizeof other);
  attribute = {static_cast<unsigned short>(sizeof(rtattr) + info_bytes), INET_DIAG_INFO};
  PutBytes(out, &attribute, sizeof attribute);
  std::vector<std::byte> padded(std::max(info_bytes, sizeof info));
  std::memcpy(padded.data(), &info, sizeof info);
  PutBytes(out, padded.data(), info_bytes);
  header.nlmsg_len = static_cast<uint32_t>(out.size());
  std::memcpy(out.data(), &header, sizeof header);
  return out;
}

constexpr uint8_t kEstablished = 1;

TEST(SocketDiag, ReadsTheFieldsThatThisKernelHas) {
  tcp_info info{};
  info.tcpi_bytes_acked = 1234567890123;
  info.tcpi_bytes_received = 42;
  info.tcpi_total_retrans = 3;
  info.tcpi_rtt = 250;
  info.tcpi_delivery_rate = 1000000;
  info.tcpi_notsent_bytes = 77;
  // A newer kernel's longer answer, this one's, and an old one's that ends before the delivery rate.
  for (size_t bytes : {sizeof info + 64, sizeof info, offsetof(tcp_info, tcpi_delivery_rate)}) {
    auto looked = ParseSocketAnswer(SocketAnswer(kEstablished, info, bytes), 9);
    const auto* facts = std::get_if<SocketFacts>(&looked);
    ASSERT_NE(facts, nullptr);
    EXPECT_EQ(facts->sent_bytes, 1234567890123u);
    EXPECT_EQ(facts->received_bytes, 42u);
    EXPECT_EQ(facts->retransmits, 3u);
    EXPECT_EQ(facts->rtt_us, 250u);
    EXPECT_EQ(facts->delivery_bytes_s, bytes < sizeof info ? 0u : 1000000u);
  }
}

TEST(SocketDiag, AnEndedSocketIsGoneAndAnythingOddConcludesNothing) {
  const tcp_info info{};
  for (uint8_t state : {7, 10}) {  // CLOSE, LISTEN
    auto looked = ParseSocketAnswer(SocketAnswer(state, info, sizeof info), 9);
    EXPECT_TRUE(std::holds_alternative<FlowTable::Gone>(looked)) << int{state};
  }
  auto orphan = ParseSocketAnswer(SocketAnswer(kEstablished, info, sizeof info, 0), 9);
  EXPECT_TRUE(std::holds_alternative<FlowTable::Gone>(orphan)) << "no process holds it";
  const auto whole = SocketAnswer(kEstablished, info, sizeof info);
  EXPECT_TRUE(std::holds_alternative<FlowTable::Unavailable>(ParseSocketAnswer(whole, 10))) << "another's answer";
  for (size_t n = 0; n < whole.size(); ++n) {
    const auto cut = std::span(whole).first(n);
    EXPECT_TRUE(std::holds_alternative<FlowTable::Unavailable>(ParseSocketAnswer(cut, 9))) << n;
    // Also when the header claims to be whole.
    if (n < sizeof(nlmsghdr)) continue;
    std::vector<std::byte> lying(cut.begin(), cut.end());
    const auto length = static_cast<uint32_t>(n);
    std::memcpy(lying.data(), &length, sizeof length);
    EXPECT_TRUE(std::holds_alternative<FlowTable::Unavailable>(ParseSocketAnswer(lying, 9))) << n;
  }
  for (auto [number, gone] : {std::pair{ENOENT, true}, {ESTALE, true}, {EPERM, false}, {0, false}}) {
    struct {
      nlmsghdr header{sizeof(nlmsghdr) + sizeof(nlmsgerr), NLMSG_ERROR, 0, 9, 0};
      nlmsgerr error{};
    } refusal;
    refusal.error.error = -number;
    auto looked = ParseSocketAnswer(std::as_bytes(std::span(&refusal, 1)), 9);
    EXPECT_EQ(std::holds_alternative<FlowTable::Gone>(looked), gone) << number;
  }
}

TEST(Netlink, AttributesAreBoundedByWhatIsThere) {
  std::vector<std::byte> message;
  rtattr attribute{sizeof(rtattr) + 4, 5};
  PutBytes(message, &attribute, sizeof attribute);
  uint32_t value = 99;
  PutBytes(message, &value, sizeof value);
  EXPECT_EQ(FindAttribute(message, 0, 5).size(), 4u);
  EXPECT_TRUE(FindAttribute(message, 0, 6).empty());
  EXPECT_TRUE(FindAttribute(message, 100, 5).empty());
  for (unsigned short length : {0, 3, 9, 65535}) {  // would loop, would leave the message
    attribute.rta_len = length;
    std::memcpy(message.data(), &attribute, sizeof attribute);
    EXPECT_TRUE(FindAttribute(message, 0, 5).empty()) << length;
    EXPECT_TRUE(FindAttribute(message, 0, 6).empty()) << length;
  }
}

TEST(InterfaceFacts, OfLoopbackGrowWithTraffic) {
  auto before = ReadInterfaceFacts("lo");
  ASSERT_TRUE(before);
  EXPECT_TRUE(before->up);
  Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  socklen_t size = sizeof to;
  ASSERT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&to), &size), 0);
  const std::array<char, 1000> load{};
  ASSERT_EQ(sendto(fd.get(), load.data(), load.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to), 1000);
  auto after = ReadInterfaceFacts("lo");
  ASSERT_TRUE(after);
  EXPECT_GE(after->sent_bytes, before->sent_bytes + 1000);
  EXPECT_GE(after->received_packets, before->received_packets + 1);
  EXPECT_FALSE(ReadInterfaceFacts("no-such-port0"));
  EXPECT_FALSE(ReadInterfaceFacts(""));
}

TEST(InterfaceFacts, ATruncatedAnswerIsNone) {
  struct {
    nlmsghdr header{};
    ifinfomsg body{};
    rtattr attribute{sizeof(rtattr) + sizeof(rtnl_link_stats64), IFLA_STATS64};
  } start;
  start.header.nlmsg_type = RTM_NEWLINK;
  start.header.nlmsg_len = sizeof start + sizeof(rtnl_link_stats64);
  rtnl_link_stats64 counts{};
  counts.rx_bytes = 5;
  counts.tx_errors = 2;
  std::vector<std::byte> whole;
  PutBytes(whole, &start, sizeof start);
  PutBytes(whole, &counts, sizeof counts);
  auto facts = ParseInterfaceAnswer(whole);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->received_bytes, 5u);
  EXPECT_EQ(facts->errors, 2u);
  EXPECT_FALSE(facts->up);
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(ParseInterfaceAnswer(std::span(whole).first(n))) << n;
}

// ---- real sockets
// ----------------------------------------------------------------------------------------------------

struct Pair {
  Fd near, far;
};

Pair Connected(int family) {
  SocketAddress address = *SocketAddress::Parse(family == AF_INET ? "127.0.0.1" : "::1");
  Fd listener(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  Pair out;
  if (bind(listener.get(), address.get(), address.size()) != 0 || listen(listener.get(), 1) != 0) return out;
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  getsockname(listener.get(), reinterpret_cast<sockaddr*>(&bound), &size);
  out.near = Fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(out.near.get(), reinterpret_cast<sockaddr*>(&bound), size) != 0) return {};
  out.far = Fd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return out;
}

void Move(const Pair& pair, size_t bytes) {
  std::vector<char> load(bytes, 'x');
  ASSERT_EQ(send(pair.near.get(), load.data(), bytes, MSG_NOSIGNAL), static_cast<ssize_t>(bytes));
  ASSERT_EQ(recv(pair.far.get(), load.data(), bytes, MSG_WAITALL), static_cast<ssize_t>(bytes));
}

bool DiagWorks() {
  Pair pair = Connected(AF_INET);
  auto socket = Identify(pair.near.get());
  return socket && std::holds_alternative<SocketFacts>(SocketDiag().Look(*socket));
}

class FlowsOnLoopback : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (!DiagWorks()) GTEST_SKIP() << "this kernel does not tell about sockets (inet_diag)";
    if (!Connected(GetParam()).near) GTEST_SKIP() << "this machine lacks that family";
  }
  json Ask(size_t most_bytes = 1 << 20) {
    const Flows::NodePort ports[] = {{"ab", "lo"}};
    return json::parse(flows_.Json({0xabc, "A", ports}, most_bytes));
  }
  fake::ManualClock clock_;
  Flows flows_{clock_};
};

TEST_P(FlowsOnLoopback, TheKernelsFiguresAreTheCircuits) {
  Pair pair = Connected(GetParam());
  flows_.Opened({0x77, 1, 2}, FlowRole::kSource, "A ab--ba B", {pair.near.get()});
  clock_.Advance(std::chrono::milliseconds(1500));
  Move(pair, 100000);
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
  Pair pair = Connected(GetParam());
  flows_.Opened({0x77, 1, 2}, FlowRole::kDestination, "A ab--ba B", {pair.far.get()});
  Move(pair, 50000);
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
  Pair pair = Connected(GetParam());
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
  std::vector<Pair> pairs;
  for (int i = 0; i < 20; ++i) {
    pairs.push_back(Connected(GetParam()));
    flows_.Opened({static_cast<uint64_t>(i), 0, 1}, FlowRole::kDestination, "A ab--ba B", {pairs.back().far.get()});
  }
  Move(pairs[13], 5000);
  Move(pairs[4], 3000);
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

TEST(JsonText, AnyBytesAreValidJson) {
  for (const char* good : {"", "abc", "sp\xc3\xa4t", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    EXPECT_EQ(json::parse(Quoted(good)).get<std::string>(), good);
  }
  EXPECT_EQ(json::parse(Quoted("a\"b\\c\n\x7f")).get<std::string>(), "a\"b\\c\n\x7f");
  for (const char* bad : {"\xff", "\xc0\x80", "a\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80\x80"}) {
    EXPECT_NE(json::parse(Quoted(bad)).get<std::string>().find("\xef\xbf\xbd"), std::string::npos);
  }
}

}  // namespace
}  // namespace relay::agent
