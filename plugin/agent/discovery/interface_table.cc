#include "agent/discovery/interface_table.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <tuple>

namespace relay::agent {
namespace {

// IFF_LOWER_UP, the driver has a carrier: <linux/if.h>, which declares it, cannot stand beside <net/if.h>.
constexpr unsigned kLowerUp = 1U << 16;

// IFLA_INFO_KIND, what this interface is ("vxlan"; empty: a NIC's), or IFLA_INFO_SLAVE_KIND, what has it ("bridge",
// "bond"; empty: nobody).
std::string InfoText(std::span<const std::byte> link_info, uint16_t type) {
  while (auto attribute = TakeAttribute(link_info)) {
    if (attribute->type == type) return attribute->Text();
  }
  return "";
}

bool IsUsableAddress(uint32_t flags) {
  // Temporary ones change by the hour: no part of what a node is.
  if ((flags & (IFA_F_DADFAILED | IFA_F_TEMPORARY)) != 0) return false;
  return (flags & IFA_F_TENTATIVE) == 0 || (flags & IFA_F_OPTIMISTIC) != 0;
}

// The interfaces of a route with several next hops.
void AddNextHops(std::span<const std::byte> hops, std::set<int>& out) {
  while (true) {
    rtnexthop hop;
    if (hops.size() < sizeof hop) return;
    std::memcpy(&hop, hops.data(), sizeof hop);
    if (hop.rtnh_len < sizeof hop || hop.rtnh_len > hops.size()) return;
    out.insert(hop.rtnh_ifindex);
    hops = hops.subspan(std::min<size_t>(RTNH_ALIGN(hop.rtnh_len), hops.size()));
  }
}

}  // namespace

bool Interface::operator==(const Interface& other) const {
  auto flags = [](const Interface& i) {
    return std::tuple(i.up, i.loopback, i.wireless, i.enslaved, i.hardware, i.default_route);
  };
  return index == other.index && name == other.name && kind == other.kind && flags(*this) == flags(other) &&
         mtu == other.mtu && speed_mbit == other.speed_mbit &&
         std::equal(addresses.begin(), addresses.end(), other.addresses.begin(), other.addresses.end(),
                    [](const SocketAddress& a, const SocketAddress& b) { return a.SameHost(b); });
}

InterfaceTable::Touched InterfaceTable::Apply(const NetlinkMessage& message) {
  Touched touched;
  switch (message.header.nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      ApplyLink(message.body, message.header.nlmsg_type == RTM_DELLINK, touched);
      break;
    case RTM_NEWADDR:
    case RTM_DELADDR:
      ApplyAddress(message.body, message.header.nlmsg_type == RTM_DELADDR, touched);
      break;
    case RTM_NEWROUTE:
      ApplyRoute(message.body, touched);
      break;
    case RTM_DELROUTE:
      // Another route may still leave there: only a dump can tell.
      touched.routes = true;
      break;
    default:
      break;
  }
  return touched;
}

void InterfaceTable::ApplyLink(std::span<const std::byte> body, bool gone, Touched& touched) {
  auto header = TakeHeader<ifinfomsg>(body);
  // Messages of family bridge tell what a bridge thinks of its port; DELLINK there is no end of the interface.
  if (!header || header->ifi_family != AF_UNSPEC || header->ifi_index <= 0) return;
  touched.routes = true;
  const int index = header->ifi_index;
  const bool was_up = links_.contains(index) && links_[index].facts.up;
  if (gone) {
    touched.lost = links_.erase(index) != 0;
    return;
  }
  Interface& facts = links_[index].facts;
  facts.index = index;
  constexpr unsigned kCarries = IFF_UP | IFF_RUNNING | kLowerUp;
  facts.up = (header->ifi_flags & kCarries) == kCarries;
  facts.loopback = (header->ifi_flags & IFF_LOOPBACK) != 0;
  facts.enslaved = false;
  facts.kind.clear();
  links_[index].master = 0;
  while (auto attribute = TakeAttribute(body)) {
    if (attribute->type == IFLA_IFNAME) facts.name = attribute->Text();
    if (attribute->type == IFLA_MASTER) links_[index].master = attribute->As<int>().value_or(0);
    if (attribute->type == IFLA_MTU) facts.mtu = attribute->As<uint32_t>().value_or(0);
    if (attribute->type == IFLA_LINKINFO) {
      facts.kind = InfoText(attribute->value, IFLA_INFO_KIND);
      const std::string master = InfoText(attribute->value, IFLA_INFO_SLAVE_KIND);
      facts.enslaved = !master.empty() && master != "vrf";  // a VRF's interfaces keep their own addresses and traffic
    }
  }
  touched.link = index;
  touched.lost = was_up && !facts.up;
}

void InterfaceTable::ApplyAddress(std::span<const std::byte> body, bool gone, Touched& touched) {
  auto header = TakeHeader<ifaddrmsg>(body);
  if (!header) return;
  auto link = links_.find(static_cast<int>(header->ifa_index));
  if (link == links_.end()) return;
  uint32_t flags = header->ifa_flags;
  SocketAddress local, other;
  while (auto attribute = TakeAttribute(body)) {
    // On a point-to-point interface ADDRESS is the other end's.
    if (attribute->type == IFA_LOCAL) local = attribute->Address(header->ifa_family);
    if (attribute->type == IFA_ADDRESS) other = attribute->Address(header->ifa_family);
    if (attribute->type == IFA_FLAGS) flags = attribute->As<uint32_t>().value_or(flags);
  }
  if (local.empty()) local = other;
  if (local.empty()) return;
  if (local.IsLinkLocal()) local = local.WithScope(header->ifa_index);
  const AddressKey key{local.family(), local.HostText()};
  if (gone || !IsUsableAddress(flags)) {
    touched.lost = link->second.addresses.erase(key) != 0;
  } else {
    link->second.addresses[key] = local;
  }
  touched.routes = touched.lost;
}

void InterfaceTable::ApplyRoute(std::span<const std::byte> body, Touched& touched) {
  auto header = TakeHeader<rtmsg>(body);
  if (!header || header->rtm_dst_len != 0 || header->rtm_type != RTN_UNICAST) return;
  if (header->rtm_family != AF_INET && header->rtm_family != AF_INET6) return;
  if ((header->rtm_flags & RTM_F_CLONED) != 0) return;
  uint32_t table = header->rtm_table;
  std::set<int> interfaces;
  while (auto attribute = TakeAttribute(body)) {
    if (attribute->type == RTA_TABLE) table = attribute->As<uint32_t>().value_or(table);
    if (attribute->type == RTA_OIF) interfaces.insert(attribute->As<int>().value_or(0));
    if (attribute->type == RTA_MULTIPATH) AddNextHops(attribute->value, interfaces);
  }
  if (table == RT_TABLE_LOCAL) return;
  default_routes_[table].insert(interfaces.begin(), interfaces.end());
  touched.routes = true;
}

void InterfaceTable::Clear() {
  links_.clear();
  default_routes_.clear();
}

void InterfaceTable::SetHardware(int index, uint32_t speed_mbit, bool wireless) {
  auto link = links_.find(index);
  if (link == links_.end()) return;
  link->second.facts.speed_mbit = speed_mbit;
  link->second.facts.wireless = wireless;
}

std::vector<Interface> InterfaceTable::Interfaces() const {
  std::set<int> defaults;
  for (const auto& [table, interfaces] : default_routes_) {
    if (table == RT_TABLE_MAIN || table == RT_TABLE_DEFAULT) defaults.insert(interfaces.begin(), interfaces.end());
  }
  if (defaults.empty()) {
    for (const auto& [table, interfaces] : default_routes_) defaults.insert(interfaces.begin(), interfaces.end());
  }
  std::vector<Interface> out;
  for (const auto& [index, link] : links_) {
    if (link.facts.name.empty()) continue;
    Interface interface = link.facts;
    interface.default_route = defaults.contains(index);
    interface.hardware = StandsOnHardware(index);
    for (const auto& [key, address] : link.addresses) interface.addresses.push_back(address);
    out.push_back(std::move(interface));
  }
  std::sort(out.begin(), out.end(), [](const Interface& a, const Interface& b) { return a.name < b.name; });
  return out;
}

// What a bridge stands on is told by its ports; of nothing else can it be told.
bool InterfaceTable::StandsOnHardware(int index) const {
  if (links_.at(index).facts.kind != "bridge") return true;
  return std::any_of(links_.begin(), links_.end(), [&](const auto& link) {
    const std::string& kind = link.second.facts.kind;
    return link.second.master == index && (kind.empty() || kind == "bond" || kind == "team" || kind == "vlan");
  });
}

std::string InterfaceTable::NameOf(int index) const {
  auto link = links_.find(index);
  return link == links_.end() ? "" : link->second.facts.name;
}

}  // namespace relay::agent
