#include "transport/rdma/sysfs_gids.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <infiniband/verbs.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/fd.h"

namespace relay::transport::rdma {
namespace {

constexpr int kMostPorts = 16, kMostRows = 1024;

// One line without its end; nullopt: no such file. Empty entries of RoCE tables exist and cannot be read.
std::optional<std::string> ReadSysfsLine(const std::string& path) {
  const Fd fd = Fd::Born([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); });
  if (!fd) return std::nullopt;
  char text[256];
  const ssize_t n = read(fd.get(), text, sizeof text);
  std::string line(text, n > 0 ? static_cast<size_t>(n) : 0);
  return line.substr(0, line.find('\n'));
}

uint32_t SysfsGidType(const std::string& attributes, const std::string& row, bool infiniband) {
  if (infiniband) return IBV_GID_TYPE_IB;
  // "IB/RoCE v1" or "RoCE v2".
  return ReadSysfsLine(attributes + "types/" + row).value_or("") == "RoCE v2" ? IBV_GID_TYPE_ROCE_V2
                                                                              : IBV_GID_TYPE_ROCE_V1;
}

}  // namespace

ssize_t ReadSysfsGids(const std::string& device_path, std::span<ibv_gid_entry> out) {
  size_t found = 0;
  bool any = false;
  for (int port = 1; port <= kMostPorts; ++port) {
    const std::string folder = device_path + "/ports/" + std::to_string(port) + "/";
    const auto link_layer = ReadSysfsLine(folder + "link_layer");
    if (!link_layer) break;
    any = true;
    for (int index = 0; index < kMostRows && found < out.size(); ++index) {
      const std::string row = std::to_string(index);
      const auto text = ReadSysfsLine(folder + "gids/" + row);
      if (!text) break;
      ibv_gid_entry entry{};
      if (inet_pton(AF_INET6, text->c_str(), entry.gid.raw) != 1) continue;
      if (std::all_of(std::begin(entry.gid.raw), std::end(entry.gid.raw), [](uint8_t byte) { return byte == 0; })) {
        continue;
      }
      entry.gid_index = static_cast<uint32_t>(index);
      entry.port_num = static_cast<uint32_t>(port);
      entry.gid_type = SysfsGidType(folder + "gid_attrs/", row, *link_layer == "InfiniBand");
      const auto interface = ReadSysfsLine(folder + "gid_attrs/ndevs/" + row);
      entry.ndev_ifindex = interface && !interface->empty() ? if_nametoindex(interface->c_str()) : 0;
      out[found++] = entry;
    }
  }
  return any ? static_cast<ssize_t>(found) : -ENODEV;
}

}  // namespace relay::transport::rdma
