#include "agent/flows/interface_facts.h"

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <cstring>

#include "agent/flows/netlink.h"

namespace relay::agent {
namespace {

struct InterfaceQuestion {
  nlmsghdr header;
  ifinfomsg body;
};

}  // namespace

std::optional<InterfaceFacts> ParseInterfaceAnswer(std::span<const std::byte> answer) {
  nlmsghdr header;
  ifinfomsg body;
  if (answer.size() < sizeof header + sizeof body) return std::nullopt;
  std::memcpy(&header, answer.data(), sizeof header);
  if (header.nlmsg_type != RTM_NEWLINK || header.nlmsg_len > answer.size()) return std::nullopt;
  if (header.nlmsg_len < sizeof header + sizeof body) return std::nullopt;
  answer = answer.first(header.nlmsg_len);
  std::memcpy(&body, answer.data() + sizeof header, sizeof body);
  const auto statistics = FindAttribute(answer, NLMSG_ALIGN(sizeof header + sizeof body), IFLA_STATS64);
  if (statistics.empty()) return std::nullopt;
  rtnl_link_stats64 counts{};
  std::memcpy(&counts, statistics.data(), std::min(statistics.size(), sizeof counts));
  InterfaceFacts out;
  out.up = (body.ifi_flags & IFF_UP) != 0 && (body.ifi_flags & IFF_RUNNING) != 0;
  out.received_bytes = counts.rx_bytes;
  out.sent_bytes = counts.tx_bytes;
  out.received_packets = counts.rx_packets;
  out.sent_packets = counts.tx_packets;
  out.errors = counts.rx_errors + counts.tx_errors;
  out.drops = counts.rx_dropped + counts.tx_dropped;
  return out;
}

std::optional<InterfaceFacts> ReadInterfaceFacts(const std::string& interface) {
  const unsigned index = if_nametoindex(interface.c_str());
  if (index == 0) return std::nullopt;
  const Fd fd = OpenNetlink(NETLINK_ROUTE);
  if (!fd) return std::nullopt;
  InterfaceQuestion question{};
  question.header.nlmsg_len = sizeof question;
  question.header.nlmsg_type = RTM_GETLINK;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.body.ifi_family = AF_UNSPEC;
  question.body.ifi_index = static_cast<int>(index);
  return ParseInterfaceAnswer(AskNetlink(fd.get(), std::as_bytes(std::span(&question, 1))));
}

}  // namespace relay::agent
