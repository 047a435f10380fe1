#include "agent/discovery/kernel_route.h"

#include <linux/rtnetlink.h>
#include <net/if.h>

namespace relay::agent {
namespace {

// RTA_VIA: a gateway of another family than the destination's.
SocketAddress ViaAddress(const NetlinkAttribute& attribute) {
  auto family = attribute.As<uint16_t>();
  if (!family) return {};
  return NetlinkAttribute{0, attribute.value.subspan(sizeof *family)}.Address(*family);
}

std::optional<KernelRoute> RouteOf(const NetlinkMessage& message) {
  auto body = message.body;
  auto header = TakeHeader<rtmsg>(body);
  if (message.header.nlmsg_type != RTM_NEWROUTE || !header) return std::nullopt;
  if (header->rtm_type != RTN_UNICAST && header->rtm_type != RTN_LOCAL) return std::nullopt;
  KernelRoute out;
  out.local = header->rtm_type == RTN_LOCAL;
  while (auto attribute = TakeAttribute(body)) {
    char name[IF_NAMESIZE] = "";
    if (attribute->type == RTA_OIF && if_indextoname(attribute->As<uint32_t>().value_or(0), name) != nullptr) {
      out.interface = name;
    }
    if (attribute->type == RTA_GATEWAY) out.gateway = attribute->Address(header->rtm_family);
    if (attribute->type == RTA_VIA) out.gateway = ViaAddress(*attribute);
    if (attribute->type == RTA_PREFSRC) out.source = attribute->Address(header->rtm_family);
  }
  if (out.interface.empty()) return std::nullopt;
  return out;
}

}  // namespace

Result<RouteReader> RouteReader::Open() {
  auto socket = NetlinkSocket::Open(0);
  RELAY_TRY(socket);
  return RouteReader(std::move(*socket));
}

std::optional<KernelRoute> RouteReader::To(const SocketAddress& address) {
  rtmsg header{};
  header.rtm_family = static_cast<uint8_t>(address.family());
  const auto host = address.HostBytes();
  header.rtm_dst_len = static_cast<uint8_t>(8 * host.size());
  auto request = NetlinkRequest(RTM_GETROUTE, 0, header);
  AddAttribute(request, RTA_DST, host);
  if (address.IsLinkLocal()) {
    const uint32_t scope = reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_scope_id;
    if (scope != 0) AddAttribute(request, RTA_OIF, std::as_bytes(std::span(&scope, 1)));
  }
  std::optional<KernelRoute> out;
  const Status asked = socket_.Ask(std::move(request), [&](const NetlinkMessage& message) { out = RouteOf(message); });
  return asked ? out : std::nullopt;
}

}  // namespace relay::agent
