// A /sys and a /dev with verbs devices as kernels lay them out, in a folder of the test's own.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "agent/discovery/verbs_ports.h"

namespace relay::agent {

class VerbsTree {
 public:
  VerbsTree() {
    std::string name = (std::filesystem::temp_directory_path() / "nccl-relay-verbs-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    root_ = std::filesystem::canonical(name);
  }
  ~VerbsTree() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  VerbsTree(const VerbsTree&) = delete;
  VerbsTree& operator=(const VerbsTree&) = delete;

  VerbsRoots roots() const {
    return {(root_ / "sys").string(), (root_ / "dev").string(), [](const std::string&) { return Status(); }};
  }
  VerbsPorts Read() const { return VerbsPorts(roots()); }

  // A PCI function, "0000:01:00.0"; returns its folder.
  std::string Function(const std::string& function) {
    const std::string domain = "pci" + function.substr(0, function.find(':')) + ":00";
    const std::string folder = "sys/devices/" + domain + "/" + domain.substr(3) + ":00.0/" + function;
    Link(folder + "/subsystem", "sys/bus/pci");
    return (root_ / folder).string();
  }
  // `parent`: a function's folder; empty for interfaces that are no hardware. `type`: 1 Ethernet, 32 InfiniBand.
  void AddInterface(const std::string& name, const std::string& parent = "", int type = 1, int dev_port = 0) {
    const std::string folder = (parent.empty() ? "sys/devices/virtual" : Relative(parent)) + "/net/" + name;
    Write(folder + "/type", std::to_string(type));
    Write(folder + "/dev_port", std::to_string(dev_port));
    if (!parent.empty()) Link(folder + "/device", Relative(parent));
    Link("sys/class/net/" + name, folder);
  }
  void AddDevice(const std::string& name, const std::string& parent = "", const std::string& image = "") {
    const std::string folder = (parent.empty() ? "sys/devices/virtual" : Relative(parent)) + "/infiniband/" + name;
    Write(folder + "/node_type", "1: CA");
    Write(folder + "/sys_image_guid", image.empty() ? "0000:0000:0000:0000" : image);
    if (!parent.empty()) Link(folder + "/device", Relative(parent));
    Link("sys/class/infiniband/" + name, folder);
    const std::string node = "uverbs" + std::to_string(nodes_++);
    Write("sys/class/infiniband_verbs/" + node + "/ibdev", name);
    Write("dev/infiniband/" + node, "");
  }
  void AddPort(const std::string& device, unsigned port = 1, const std::string& layer = "Ethernet",
               const std::string& rate = "100 Gb/sec (4X EDR)") {
    const std::string folder = PortFolder(device, port);
    Write(folder + "/link_layer", layer);
    Write(folder + "/state", "4: ACTIVE");
    Write(folder + "/rate", rate);
    // Places that are free: they are there, but have neither an interface nor a type.
    for (unsigned index : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u}) {
      Write(folder + "/gids/" + std::to_string(index), "0000:0000:0000:0000:0000:0000:0000:0000");
    }
  }
  struct At {
    unsigned port = 1, index = 0;
  };
  void AddGid(const std::string& device, const At& at, const std::string& address, const std::string& interface,
              const std::string& type = "RoCE v2") {
    const std::string folder = PortFolder(device, at.port), index = std::to_string(at.index);
    Write(folder + "/gids/" + index, GidOf(address));
    Write(folder + "/gid_attrs/ndevs/" + index, interface);
    Write(folder + "/gid_attrs/types/" + index, type);
  }
  // As mlx5 fills its table: the link-local address and then the IPv4 one, each as RoCE v1 and v2.
  void AddGids(const std::string& device, const std::string& interface, const std::string& address,
               unsigned first = 0) {
    const std::string local = "fe80::1:" + std::to_string(first + 1);
    AddGid(device, {1, first}, local, interface, "IB/RoCE v1");
    AddGid(device, {1, first + 1}, local, interface);
    AddGid(device, {1, first + 2}, address, interface, "IB/RoCE v1");
    AddGid(device, {1, first + 3}, address, interface);
  }

  std::string PortFolder(const std::string& device, unsigned port = 1) const {
    return "sys/class/infiniband/" + device + "/ports/" + std::to_string(port);
  }
  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path, std::ios::binary) << text << "\n";
  }
  void Link(const std::string& path, const std::string& target) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::filesystem::create_directories(root_ / target);
    if (!std::filesystem::is_symlink(root_ / path)) std::filesystem::create_symlink(root_ / target, root_ / path);
  }
  void Remove(const std::string& path) { std::filesystem::remove_all(root_ / path); }

  static std::string GidOf(const std::string& address) {
    const SocketAddress parsed = *SocketAddress::Parse(address);
    unsigned char bytes[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const auto host = parsed.HostBytes();
    for (size_t i = 0; i < host.size(); ++i) bytes[16 - host.size() + i] = std::to_integer<unsigned char>(host[i]);
    std::string out;
    char group[8];
    for (size_t i = 0; i < 16; i += 2) {
      snprintf(group, sizeof group, "%02x%02x", bytes[i], bytes[i + 1]);
      out += (i == 0 ? "" : ":") + std::string(group);
    }
    return out;
  }

 private:
  std::string Relative(const std::string& folder) const { return folder.substr(root_.string().size() + 1); }

  std::filesystem::path root_;
  int nodes_ = 0;
};

inline std::vector<SocketAddress> AddressList(std::initializer_list<const char*> texts) {
  std::vector<SocketAddress> out;
  for (const char* text : texts) out.push_back(*SocketAddress::Parse(text));
  return out;
}

}  // namespace relay::agent
