// What a device says about itself and its ports, in this project's units. Sources of this folder only.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "relay/result.h"
#include "transport/rdma/device.h"
#include "transport/rdma/endpoint.h"

struct ibv_port_attr;

namespace relay::transport::rdma {

struct PortDescription {
  bool active = false, infiniband = false, needs_global_header = false;
  uint16_t lid = 0, mtu = 1024;
  uint32_t speed_mbit = 0, max_message = 0;
};

struct DeviceDescription {
  DeviceLimits limits;
  PortDescription port;
};

struct GidRow {
  Gid gid{};
  uint32_t interface_index = 0;  // of the interface that it belongs to; 0: none is said
};

// Opens it, or says why not: no such device (and which there are), or no right to it.
Result<ibv_context*> OpenContext(const Verbs& verbs, const std::string& name);
// Refuses a port that the device does not have.
Result<DeviceDescription> DescribeDevice(const Verbs& verbs, ibv_context* context, const std::string& name,
                                         uint8_t port);
Result<PortDescription> DescribePort(const Verbs& verbs, ibv_context* context, const std::string& name, uint8_t port);
// Reads the addresses of that port; empty entries are left out.
Result<std::vector<GidRow>> ReadGidRows(const Verbs& verbs, ibv_context* context, const std::string& name,
                                        uint8_t port);
// Megabits per second of a width and a speed as the verbs code them; 0: unknown.
uint32_t PortSpeedMbit(uint8_t width, uint8_t speed);

}  // namespace relay::transport::rdma
