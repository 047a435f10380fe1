// Which port of which verbs device stands behind an interface, as sysfs tells. libibverbs is asked last, about a device
// that would be used: sysfs shows what the host has, and a container may have no library for it.
//
// Ethernet: a device's table of GIDs names the interface of each, whatever lies between them: the GIDs of a VLAN and of
// a bond are in the table of the device below. A name alone is no proof, because sysfs shows the devices of all network
// namespaces of a host: one of the GIDs must be an address of the interface too, and be of RoCE v2.
// InfiniBand: an IPoIB interface is on the PCI function of its device, and counts that one's ports from 0.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/discovery/verbs_port.h"
#include "base/socket_address.h"
#include "transport/rdma/device.h"

namespace relay::agent {

struct VerbsRoots {
  std::string sysfs = "/sys", dev = "/dev";
  // Whether libibverbs can use this device.
  std::function<Status(const std::string& device)> library = [](const std::string& device) {
    return transport::rdma::FindDevice(device);
  };
};

// What is known of one interface.
struct PortVerbs {
  std::optional<VerbsPort> port;  // which this process may use
  std::string why_not;            // there is one, but it is not used: a sentence. Empty: there is none, or it is used
  bool doubtful = false;          // why_not may speak of another network namespace's interface of the same name
  uint32_t speed_mbit = 0;        // of an InfiniBand port; 0: ask the interface
  // NCCL's topology needs, where the device is hardware, the PCI function's folder in sysfs, and what the ports and
  // functions of one NIC have in common. Both are empty where it is no PCI device (soft-RoCE).
  std::string pci_path, nic;

  // "mlx5_0 port 1 (RoCE)"; empty without one.
  std::string Text() const;
};

class VerbsPorts {
 public:
  // No device.
  VerbsPorts() = default;
  // Reads the devices, their ports and GIDs.
  explicit VerbsPorts(VerbsRoots roots);

  bool empty() const { return devices_.empty(); }
  // Opens the device's node for a moment, to see whether this process may.
  PortVerbs Behind(const std::string& interface, std::span<const SocketAddress> addresses) const;
  // Ports that no interface of any namespace leads to: "mlx5_3 port 1 has no network interface".
  std::vector<std::string> WithoutInterface() const;

 private:
  struct Gid {
    std::string interface;
    SocketAddress address;
    bool roce2 = false;
  };
  struct Port {
    uint8_t number = 1;
    bool infiniband = false;
    std::string state;       // "ACTIVE"
    uint32_t rate_mbit = 0;  // 0: unknown
    std::vector<Gid> gids;   // Ethernet only
  };
  struct Device {
    std::string name, kind;  // "CA", "RNIC"
    std::string pci_path, nic;
    std::vector<Port> ports;
  };
  // A device's port that belongs to an interface.
  struct Candidate {
    const Device* device = nullptr;
    const Port* port = nullptr;
    std::string why_not;
    bool doubtful = false;
  };

  Device ReadDevice(const std::string& name) const;
  Port ReadPort(const std::string& folder, uint8_t number) const;
  std::vector<Gid> ReadGids(const std::string& folder) const;
  std::vector<Candidate> BehindEthernet(const std::string& interface, std::span<const SocketAddress> addresses) const;
  std::vector<Candidate> BehindIpoib(const std::string& interface) const;
  std::string WhyUnusable(const Device& device, const Port& port) const;
  std::string NodeOf(const std::string& device) const;

  VerbsRoots roots_;
  std::vector<Device> devices_;  // by name
};

// Devices, states of their ports and nodes in /dev, without the GIDs: cheap enough to be asked every few seconds
// whether they are still the same, because the kernel tells nobody without rights when they change.
std::string VerbsSummary(const VerbsRoots& roots);

}  // namespace relay::agent
