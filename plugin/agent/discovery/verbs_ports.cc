#include "agent/discovery/verbs_ports.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <string_view>
#include <tuple>

#include "base/fd.h"

namespace relay::agent {
namespace {

constexpr unsigned kMostGids = 1024;  // of a port: the size of soft-RoCE's table, the largest in the kernel
// The kernel gives a new GID the first place that is free: after so many free ones nothing is left to be read.
constexpr unsigned kEndOfGids = 64;
constexpr double kMostGbit = 1e6;  // of a port: beyond that it is no speed

// The first line; empty when there is none to be read.
std::string LineOf(const std::string& file) {
  const Fd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  char text[256];
  const ssize_t size = fd ? read(fd.get(), text, sizeof text) : -1;
  if (size <= 0) return "";
  const std::string_view line(text, static_cast<size_t>(size));
  return std::string(line.substr(0, line.find('\n')));
}

// Takes the word out of "4: ACTIVE".
std::string WordOf(const std::string& file) {
  const std::string line = LineOf(file);
  const size_t colon = line.find(": ");
  return colon == std::string::npos ? line : line.substr(colon + 2);
}

// The names in the folder, sorted.
std::vector<std::string> Entries(const std::string& folder) {
  std::vector<std::string> out;
  DIR* const opened = opendir(folder.c_str());
  if (opened == nullptr) return out;
  while (const dirent* entry = readdir(opened)) {
    if (entry->d_name[0] != '.') out.emplace_back(entry->d_name);
  }
  closedir(opened);
  std::sort(out.begin(), out.end());
  return out;
}

template <class T>
std::optional<T> Number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Reads "100 Gb/sec (4X EDR)", in Mbit/s; 0: it is no rate.
uint32_t RateOf(const std::string& line) {
  double gbit = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), gbit);
  if (error != std::errc() || !(gbit > 0) || gbit > kMostGbit) return 0;
  return static_cast<uint32_t>(std::lround(gbit * 1000));
}

// An IPv4 address is a GID as ::ffff:a.b.c.d. Empty for a place in the table that is free.
SocketAddress AddressOf(const std::string& gid) {
  constexpr std::array<std::byte, 12> kMapped = {
      {{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, std::byte{0xff}, std::byte{0xff}}};
  const auto address = SocketAddress::Parse(gid);
  if (!address || address->family() != AF_INET6) return {};
  const auto bytes = address->HostBytes();
  if (std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; })) return {};
  if (!std::equal(kMapped.begin(), kMapped.end(), bytes.begin())) return *address;
  return SocketAddress::FromHostBytes(bytes.subspan(kMapped.size()));
}

std::string LastOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// The PCI function that this device is or, as a function's part, belongs to.
std::string PciFunctionOf(const std::string& device) {
  char resolved[PATH_MAX];
  if (realpath(device.c_str(), resolved) == nullptr) return "";
  for (std::string path = resolved; path.size() > 1; path.resize(path.rfind('/'))) {
    char subsystem[PATH_MAX];
    const ssize_t size = readlink((path + "/subsystem").c_str(), subsystem, sizeof subsystem);
    if (size > 0 && LastOf(std::string(subsystem, static_cast<size_t>(size))) == "pci") return path;
  }
  return "";
}

// Ports and functions of one NIC tell the same system image; where none is told, functions differ in the last digit.
std::string NicOf(const std::string& image, const std::string& pci_path) {
  if (pci_path.empty()) return "";
  if (image.find_first_not_of("0:") != std::string::npos) return image;
  return pci_path.substr(0, pci_path.rfind('.'));
}

std::string PortText(const std::string& device, unsigned port) { return device + " port " + std::to_string(port); }

}  // namespace

std::string PortVerbs::Text() const {
  if (!port) return "";
  return PortText(port->device, port->port) + (port->infiniband ? " (InfiniBand)" : " (RoCE)");
}

VerbsPorts::VerbsPorts(VerbsRoots roots) : roots_(std::move(roots)) {
  for (const std::string& name : Entries(roots_.sysfs + "/class/infiniband")) devices_.push_back(ReadDevice(name));
}

VerbsPorts::Device VerbsPorts::ReadDevice(const std::string& name) const {
  const std::string folder = roots_.sysfs + "/class/infiniband/" + name;
  Device out;
  out.name = name;
  out.kind = WordOf(folder + "/node_type");
  // Soft-RoCE names the interface below in a file "parent". It moves bytes by the CPU, whatever PCI device is below.
  if (access((folder + "/parent").c_str(), F_OK) != 0) out.pci_path = PciFunctionOf(folder + "/device");
  out.nic = NicOf(LineOf(folder + "/sys_image_guid"), out.pci_path);
  for (const std::string& port : Entries(folder + "/ports")) {
    if (const auto number = Number<uint8_t>(port)) out.ports.push_back(ReadPort(folder + "/ports/" + port, *number));
  }
  return out;
}

VerbsPorts::Port VerbsPorts::ReadPort(const std::string& folder, uint8_t number) const {
  Port out;
  out.number = number;
  out.infiniband = LineOf(folder + "/link_layer") == "InfiniBand";
  out.state = WordOf(folder + "/state");
  out.rate_mbit = RateOf(LineOf(folder + "/rate"));
  if (!out.infiniband) out.gids = ReadGids(folder);
  return out;
}

std::vector<VerbsPorts::Gid> VerbsPorts::ReadGids(const std::string& folder) const {
  std::vector<Gid> out;
  for (unsigned index = 0, free = 0; index < kMostGids && free < kEndOfGids; ++index) {
    const std::string entry = std::to_string(index);
    Gid gid;
    gid.address = AddressOf(LineOf(folder + "/gids/" + entry));
    free = gid.address.empty() ? free + 1 : 0;
    if (free != 0) continue;
    gid.interface = LineOf(folder + "/gid_attrs/ndevs/" + entry);
    gid.roce2 = LineOf(folder + "/gid_attrs/types/" + entry) == "RoCE v2";
    if (!gid.interface.empty()) out.push_back(std::move(gid));
  }
  return out;
}

std::vector<VerbsPorts::Candidate> VerbsPorts::BehindEthernet(const std::string& interface,
                                                              std::span<const SocketAddress> addresses) const {
  std::vector<Candidate> out;
  for (const Device& device : devices_) {
    for (const Port& port : device.ports) {
      bool named = false, addressed = false, roce2 = false;
      for (const Gid& gid : port.gids) {
        if (gid.interface != interface) continue;
        named = true;
        const bool own = std::any_of(addresses.begin(), addresses.end(),
                                     [&](const SocketAddress& address) { return address.SameHost(gid.address); });
        addressed |= own;
        roce2 |= own && gid.roce2;
      }
      if (!named) continue;
      Candidate candidate{&device, &port, "", !addressed};
      if (!addressed) {
        candidate.why_not = " has GIDs of an interface of this name, but no address of this one is among them";
      } else if (!roce2) {
        candidate.why_not = " is behind it, but has GIDs of RoCE v1 alone, and RoCE v2 is needed";
      } else {
        candidate.why_not = WhyUnusable(device, port);
      }
      out.push_back(std::move(candidate));
    }
  }
  return out;
}

std::vector<VerbsPorts::Candidate> VerbsPorts::BehindIpoib(const std::string& interface) const {
  std::string folder = roots_.sysfs + "/class/net/" + interface;
  // A bond of such interfaces is the one that it uses now: they do not share a port's traffic.
  if (const std::string active = LineOf(folder + "/bonding/active_slave"); !active.empty()) {
    folder = roots_.sysfs + "/class/net/" + active;
  }
  const auto names = Entries(folder + "/device/infiniband");
  const unsigned number = Number<unsigned>(LineOf(folder + "/dev_port")).value_or(0) + 1;
  std::vector<Candidate> out;
  for (const Device& device : devices_) {
    if (std::find(names.begin(), names.end(), device.name) == names.end()) continue;
    for (const Port& port : device.ports) {
      if (port.number == number && port.infiniband) out.push_back({&device, &port, WhyUnusable(device, port), false});
    }
  }
  return out;
}

PortVerbs VerbsPorts::Behind(const std::string& interface, std::span<const SocketAddress> addresses) const {
  if (devices_.empty()) return {};
  const bool ipoib = LineOf(roots_.sysfs + "/class/net/" + interface + "/type") == std::to_string(ARPHRD_INFINIBAND);
  std::vector<Candidate> found = ipoib ? BehindIpoib(interface) : BehindEthernet(interface, addresses);
  const auto best = std::min_element(found.begin(), found.end(), [](const Candidate& a, const Candidate& b) {
    const auto worth = [](const Candidate& c) {
      return std::tuple(!c.why_not.empty(), c.doubtful, -int64_t{c.port->rate_mbit});
    };
    return worth(a) < worth(b);
  });
  PortVerbs out;
  if (best == found.end()) return out;
  out.doubtful = best->doubtful;
  if (!best->why_not.empty()) {
    out.why_not = PortText(best->device->name, best->port->number) + best->why_not;
    return out;
  }
  out.port = VerbsPort{best->device->name, best->port->number, best->port->infiniband};
  if (best->port->infiniband) out.speed_mbit = best->port->rate_mbit;
  out.pci_path = best->device->pci_path;
  out.nic = best->device->nic;
  return out;
}

std::string VerbsPorts::WhyUnusable(const Device& device, const Port& port) const {
  const std::string but = " is behind it, but ";
  if (!device.kind.empty() && device.kind != "CA") {
    return but + "its kind is " + device.kind + ", neither InfiniBand nor RoCE";
  }
  if (port.state != "ACTIVE") return but + "its state is " + (port.state.empty() ? "unknown" : port.state);
  const std::string node = NodeOf(device.name);
  if (node.empty()) return but + "the kernel offers it to no program: modprobe ib_uverbs";
  const int fd = open(node.c_str(), O_RDWR | O_CLOEXEC);
  const int error = errno;
  if (const Fd opened(fd); !opened) {
    return but + "this process cannot open " + node + " (" + strerror(error) +
           "): start the container with --device /dev/infiniband, --cap-add IPC_LOCK, --ulimit memlock=-1";
  }
  const Status found = roots_.library(device.name);
  return found ? "" : but + found.error().what;
}

std::string VerbsPorts::NodeOf(const std::string& device) const {
  const std::string folder = roots_.sysfs + "/class/infiniband_verbs";
  for (const std::string& name : Entries(folder)) {
    if (LineOf(folder + "/" + name + "/ibdev") == device) return roots_.dev + "/infiniband/" + name;
  }
  return "";
}

std::vector<std::string> VerbsPorts::WithoutInterface() const {
  std::vector<std::string> out;
  for (const Device& device : devices_) {
    const std::string net = roots_.sysfs + "/class/infiniband/" + device.name + "/device/net";
    const std::vector<std::string> interfaces = Entries(net);
    for (const Port& port : device.ports) {
      const bool leads = port.infiniband ? std::any_of(interfaces.begin(), interfaces.end(),
                                                       [&](const std::string& interface) {
                                                         const auto at = LineOf(net + "/" + interface + "/dev_port");
                                                         return Number<unsigned>(at).value_or(0) + 1 == port.number;
                                                       })
                                         : !port.gids.empty();
      if (leads) continue;
      out.push_back(PortText(device.name, port.number) + " has no network interface" +
                    (port.infiniband ? ": modprobe ib_ipoib" : ""));
    }
  }
  return out;
}

std::string VerbsSummary(const VerbsRoots& roots) {
  std::string out;
  const std::string folder = roots.sysfs + "/class/infiniband";
  for (const std::string& device : Entries(folder)) {
    out += device;
    for (const std::string& port : Entries(folder + "/" + device + "/ports")) {
      out += "/" + port + "=" + LineOf(folder + "/" + device + "/ports/" + port + "/state");
    }
    out += ' ';
  }
  if (out.empty()) return out;
  for (const std::string& node : Entries(roots.dev + "/infiniband")) out += node + ' ';
  return out;
}

}  // namespace relay::agent
