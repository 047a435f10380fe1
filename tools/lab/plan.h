// What a lab builds: every interface with its addresses, the control network and the routes. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lab/addressing.h"
#include "lab/topology.h"
#include "relay/fabric.h"
#include "relay/result.h"

namespace relay::lab {

enum class Control : uint8_t {
  kLan,      // a slow network of its own, 10.88.0.0/24, which leads nowhere else
  kGateway,  // the same, with a default route to a router that knows the way to every link address
  kRoutes,   // stable addresses, IP forwarded along the fabric
  kNone,     // only neighbours can talk
};

inline constexpr char kControlInterface[] = "ctl";
inline constexpr char kGatewayAddress[] = "10.88.0.254";

// The control network is a switch of its own.
inline bool IsLan(Control control) { return control == Control::kLan || control == Control::kGateway; }

struct Interface {
  std::string name;
  std::vector<std::string> addresses;  // as "ip address add" takes them: "10.77.0.1/30"
  std::vector<std::string> far_hosts;  // IPv6 addresses at the other end that are in none of these subnets
  uint32_t rate_kbit = 0;              // of what it sends; 0: unshaped
};

struct Route {
  std::string to, via, interface;
};

struct PlanNode {
  std::string name;
  std::vector<Interface> interfaces;  // as the ports of the fabric's node
  std::string control_address;        // what MASTER_ADDR is when rank 0 is here
  std::vector<Route> routes;
};

struct Plan {
  fabric::Fabric fabric;
  std::string fabric_text;  // the declaration, as the ranks read it
  Control control = Control::kLan;
  uint32_t mtu = 1500;
  std::vector<PlanNode> nodes;  // as the fabric's

  const Interface& InterfaceAt(const fabric::LinkEnd& end) const { return nodes[end.node].interfaces[end.port]; }
};

// Every link of the same speed.
Result<fabric::Fabric> DeclareShape(const Topology& topology, uint32_t speed_mbit,
                                    AddressStyle style = AddressStyle::kPerCable);

struct PlanOptions {
  Control control = Control::kLan;
  // How the lab gave the addresses; those of a declaration (nullopt) are joined one to one.
  std::optional<AddressStyle> style = AddressStyle::kPerCable;
  uint32_t mtu = 1500;
};
// What the lab can build of a fabric: interface names that the kernel takes, and one cable per port.
Result<Plan> MakePlan(fabric::Fabric fabric, const PlanOptions& options);

// Index of the node; the error lists the names there are.
Result<size_t> FindNodeNamed(const Plan& plan, std::string_view name);

}  // namespace relay::lab
