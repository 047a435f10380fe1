// This node's interfaces, put together from rtnetlink messages. Pure.
#pragma once
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/discovery/interface_watch.h"
#include "agent/discovery/netlink_reader.h"

namespace relay::agent {

class InterfaceTable {
 public:
  // What a message touched.
  struct Touched {
    int link = 0;         // index of an interface that came or changed: its speed may have, too
    bool lost = false;    // an interface went down or away, or lost an address
    bool routes = false;  // default routes may have changed: the kernel does not announce every one that goes
  };
  // NEWLINK, DELLINK, NEWADDR, DELADDR, NEWROUTE, DELROUTE. Others, and what is malformed, touch nothing.
  Touched Apply(const NetlinkMessage& message);

  // Before the answers to a new dump of everything, or of the routes.
  void Clear();
  void ClearRoutes() { default_routes_.clear(); }
  // From outside of rtnetlink, kept until the interface goes.
  void SetHardware(int index, uint32_t speed_mbit, bool wireless);

  // Every interface there is, sorted by name.
  std::vector<Interface> Interfaces() const;
  std::string NameOf(int index) const;

 private:
  using AddressKey = std::pair<int, std::string>;  // family, text without scope
  struct Link {
    Interface facts;  // without addresses, default route and whether it stands on hardware
    int master = 0;   // index of the bridge or bond that has it
    std::map<AddressKey, SocketAddress> addresses;
  };
  void ApplyLink(std::span<const std::byte> body, bool gone, Touched& touched);
  void ApplyAddress(std::span<const std::byte> body, bool gone, Touched& touched);
  bool StandsOnHardware(int index) const;
  void ApplyRoute(std::span<const std::byte> body, Touched& touched);

  std::map<int, Link> links_;
  std::map<uint32_t, std::set<int>> default_routes_;  // routing table -> interfaces
};

}  // namespace relay::agent
