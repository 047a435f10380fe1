// What the kernel says of sockets and interfaces: the parsers against every truncation, and the kernel itself.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

#include "agent/flows/interface_facts.h"
#include "agent/flows/netlink.h"
#include "agent/flows/socket_diag.h"

namespace relay::agent {
namespace {

// --------------------------------------------------------------------------------------------

void PutAligned(std::vector<std::byte>& out, const void* data, size_t size) {
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
  PutAligned(out, &header, sizeof header);
  PutAligned(out, &body, sizeof body);
  uint32_t other = 5;
  rtattr attribute{sizeof(rtattr) + sizeof other, INET_DIAG_TOS};
  PutAligned(out, &attribute, sizeof attribute);
  PutAligned(out, &other, sizeof other);
  attribute = {static_cast<unsigned short>(sizeof(rtattr) + info_bytes), INET_DIAG_INFO};
  PutAligned(out, &attribute, sizeof attribute);
  std::vector<std::byte> padded(std::max(info_bytes, sizeof info));
  std::memcpy(padded.data(), &info, sizeof info);
  PutAligned(out, padded.data(), info_bytes);
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
  PutAligned(message, &attribute, sizeof attribute);
  uint32_t value = 99;
  PutAligned(message, &value, sizeof value);
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

TEST(InterfaceFacts, LoopbackCountsItsTraffic) {
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
  PutAligned(whole, &start, sizeof start);
  PutAligned(whole, &counts, sizeof counts);
  auto facts = ParseInterfaceAnswer(whole);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->received_bytes, 5u);
  EXPECT_EQ(facts->errors, 2u);
  EXPECT_FALSE(facts->up);
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(ParseInterfaceAnswer(std::span(whole).first(n))) << n;
}

}  // namespace
}  // namespace relay::agent
