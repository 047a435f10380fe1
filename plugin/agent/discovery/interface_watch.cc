// The I/O around InterfaceTable: dumps, notifications, and when to tell.
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <set>

#include "agent/discovery/interface_table.h"
#include "agent/discovery/link_hardware.h"
#include "agent/discovery/netlink_socket.h"
#include "base/log.h"

namespace relay::agent {
namespace {

constexpr uint32_t kWatchedGroups =
    RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
// A burst is one change; what is lost does not wait.
constexpr Duration kBurst = std::chrono::milliseconds(3);
// Between two dumps of the routes: a node of a cluster may see them change all the time.
constexpr Duration kBetweenRouteDumps = std::chrono::milliseconds(50);
// After a failed dump.
constexpr Duration kDumpAgain = std::chrono::milliseconds(500);

template <class T>
std::vector<std::byte> DumpOf(uint16_t type) {
  return NetlinkRequest(type, NLM_F_DUMP, T{});
}

}  // namespace

struct InterfaceWatch::Inner {
  Inner(EventLoop& the_loop, OnChange changed, NetlinkSocket ask_socket, NetlinkSocket notify_socket)
      : loop(the_loop),
        on_change(std::move(changed)),
        asked(std::move(ask_socket)),
        notified(std::move(notify_socket)) {}
  ~Inner() {
    loop.Forget(notified.fd());
    loop.Cancel(tell_timer);
    loop.Cancel(dump_timer);
  }
  Inner(const Inner&) = delete;
  Inner& operator=(const Inner&) = delete;

  Status DumpAll();
  Status DumpRoutes();
  void DumpLater(Duration delay, bool everything);
  void DumpNow();
  void ReadHardware(const std::set<int>& links);
  void OnNotified();
  void Tell();

  EventLoop& loop;
  OnChange on_change;
  NetlinkSocket asked, notified;
  InterfaceTable table;
  std::vector<Interface> interfaces;
  EventLoop::TimerId tell_timer = 0, dump_timer = 0;
  bool dump_everything = false;
  TimePoint next_route_dump{};
};

Status InterfaceWatch::Inner::DumpAll() {
  table.Clear();
  std::set<int> links;
  auto apply = [&](const NetlinkMessage& message) { links.insert(table.Apply(message).link); };
  RELAY_TRY(asked.Ask(DumpOf<ifinfomsg>(RTM_GETLINK), apply));
  RELAY_TRY(asked.Ask(DumpOf<ifaddrmsg>(RTM_GETADDR), apply));
  ReadHardware(links);
  return DumpRoutes();
}

Status InterfaceWatch::Inner::DumpRoutes() {
  table.ClearRoutes();
  next_route_dump = loop.clock().Now() + kBetweenRouteDumps;
  return asked.Ask(DumpOf<rtmsg>(RTM_GETROUTE), [&](const NetlinkMessage& message) { table.Apply(message); });
}

void InterfaceWatch::Inner::ReadHardware(const std::set<int>& links) {
  for (int index : links) {
    const std::string name = table.NameOf(index);
    if (!name.empty()) table.SetHardware(index, LinkSpeed(name), IsWireless(name));
  }
}

void InterfaceWatch::Inner::OnNotified() {
  std::set<int> links;
  bool lost = false, routes = false;
  const bool complete = notified.Drain([&](const NetlinkMessage& message) {
    const auto touched = table.Apply(message);
    links.insert(touched.link);
    lost = lost || touched.lost;
    routes = routes || touched.routes;
  });
  ReadHardware(links);
  if (!complete) return DumpLater(Duration::zero(), true);
  if (routes) DumpLater(std::max<Duration>(kBurst, next_route_dump - loop.clock().Now()), false);
  if (lost) return Tell();
  if (tell_timer == 0) {
    tell_timer = loop.After(kBurst, [this] {
      tell_timer = 0;
      Tell();
    });
  }
}

void InterfaceWatch::Inner::DumpLater(Duration delay, bool everything) {
  dump_everything = dump_everything || everything;
  if (dump_timer != 0) {
    if (!everything) return;
    loop.Cancel(dump_timer);
  }
  dump_timer = loop.After(delay, [this] { DumpNow(); });
}

void InterfaceWatch::Inner::DumpNow() {
  dump_timer = 0;
  const Status dumped = std::exchange(dump_everything, false) ? DumpAll() : DumpRoutes();
  if (!dumped) {
    RELAY_WARN("%s; asking again", dumped.error().what.c_str());
    return DumpLater(kDumpAgain, true);
  }
  Tell();
}

void InterfaceWatch::Inner::Tell() {
  std::vector<Interface> now = table.Interfaces();
  if (now == interfaces) return;
  interfaces = std::move(now);
  on_change();
}

InterfaceWatch::InterfaceWatch(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
InterfaceWatch::~InterfaceWatch() = default;
const std::vector<Interface>& InterfaceWatch::interfaces() const { return inner_->interfaces; }

Result<std::unique_ptr<InterfaceWatch>> InterfaceWatch::Start(EventLoop& loop, OnChange on_change) {
  // Notifications first: what changes during the dumps is told again.
  auto notified = NetlinkSocket::Open(kWatchedGroups);
  RELAY_TRY(notified);
  auto asked = NetlinkSocket::Open(0);
  RELAY_TRY(asked);
  auto inner = std::make_unique<Inner>(loop, std::move(on_change), std::move(*asked), std::move(*notified));
  RELAY_TRY(inner->DumpAll());
  inner->interfaces = inner->table.Interfaces();
  RELAY_TRY(loop.Watch(inner->notified.fd(), EPOLLIN, [raw = inner.get()](uint32_t) { raw->OnNotified(); }));
  return std::unique_ptr<InterfaceWatch>(new InterfaceWatch(std::move(inner)));
}

}  // namespace relay::agent
