// This node's interfaces as the kernel shows them, now and whenever they change.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/socket_address.h"
#include "relay/result.h"

namespace relay::agent {

struct Interface {
  int index = 0;
  std::string name;
  bool up = false;  // IFF_UP, and the carrier is there
  bool loopback = false;
  bool wireless = false;
  bool enslaved = false;       // a bridge or a bond has it: it carries that one's traffic, not its own
  std::string kind;            // what the kernel calls a device that is made of software: "vxlan", "veth"; else empty
  bool hardware = true;        // it is a NIC's, or stands on one: a bridge of virtual ports alone does not
  bool default_route = false;  // some default route, of either family, leaves by it
  uint32_t mtu = 0;
  uint32_t speed_mbit = 0;               // 0: the driver does not know
  std::vector<SocketAddress> addresses;  // usable ones: neither tentative nor failed; IPv6 link-local ones with scope
  bool operator==(const Interface&) const;
};

// Follows the kernel's own notifications (rtnetlink): nothing is polled. Default routes count where the main table has
// them; those of other tables, which rules select for some sources only (a rail's own), when it has none.
class InterfaceWatch {
 public:
  using OnChange = std::function<void()>;

  // The list is read before it returns. `on_change` is called from the loop, once for a burst of notifications and at
  // once for a port that is lost; it must not destroy this.
  static Result<std::unique_ptr<InterfaceWatch>> Start(EventLoop& loop, OnChange on_change);
  ~InterfaceWatch();
  InterfaceWatch(const InterfaceWatch&) = delete;
  InterfaceWatch& operator=(const InterfaceWatch&) = delete;

  // Every interface there is, sorted by name.
  const std::vector<Interface>& interfaces() const;

 private:
  struct Inner;
  explicit InterfaceWatch(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

}  // namespace relay::agent
