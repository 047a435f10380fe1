// What a lab builds: every interface with its addresses, the control network and the routes. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lab/topology.h"
#include "relay/fabric.h"
#include "relay/result.h"

namespace relay::lab {

enum class Control : uint8_t {
  kLan,     // a slow network of its own, 10.88.0.0/24
  kRoutes,  // stable addresses, IP forwarded along the fabric
  kNone,    // only neighbours can talk
};

inline constexpr char kControlInterface[] = "ctl";

struct Interface {
  std::string name;
  std::vector<std::string> addresses;  // as "ip address add" takes them: "10.77.0.1/30"
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
  std::vector<PlanNode> nodes;  // as the fabric's
};

// Speed in Mbit/s, of every link. Each cable is a subnet of its own: 10.77.0.0/30, 10.77.0.4/30, ...
Result<fabric::Fabric> DeclareShape(const Topology& topology, uint32_t speed_mbit);

// What the lab can build of a fabric: interface names that the kernel takes, and one cable per port.
Result<Plan> MakePlan(fabric::Fabric fabric, Control control);

// Index of the node; the error lists the names there are.
Result<size_t> FindNodeNamed(const Plan& plan, std::string_view name);

}  // namespace relay::lab
