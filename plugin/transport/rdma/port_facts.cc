#include "transport/rdma/port_facts.h"

#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include "transport/rdma/verbs.h"

namespace relay::transport::rdma {
namespace {

constexpr size_t kLeastGidRows = 256;         // a guess where a port does not say how long its table is
constexpr size_t kMostGidRows = 1 << 14;      // a bound on what is allocated for a driver's word
constexpr uint32_t kUsualMessage = 1u << 30;  // InfiniBand allows 2 GiB, adapters say 1

struct CodedSpeed {
  uint8_t code;
  uint32_t mbit;  // of one lane
};
// ibv_port_attr::active_speed, InfiniBand specification 14.2.5.6: SDR, DDR, QDR, FDR10, FDR, EDR, HDR, NDR.
constexpr CodedSpeed kLaneSpeeds[] = {{1, 2500},   {2, 5000},   {4, 10000},  {8, 10000},
                                      {16, 14000}, {32, 25000}, {64, 50000}, {128, 100000}};
struct CodedWidth {
  uint8_t code, lanes;
};
constexpr CodedWidth kWidths[] = {{1, 1}, {2, 4}, {4, 8}, {8, 12}, {16, 2}};

struct DeviceList {
  explicit DeviceList(const Verbs& v) : verbs(v), list(v.get_device_list(&count)) {}
  ~DeviceList() {
    if (list) verbs.free_device_list(list);
  }
  DeviceList(const DeviceList&) = delete;
  DeviceList& operator=(const DeviceList&) = delete;
  std::span<ibv_device*> devices() const { return {list, list ? static_cast<size_t>(std::max(count, 0)) : 0}; }

  const Verbs& verbs;
  int count = 0;
  ibv_device** list;
};

std::string NameList(std::span<ibv_device*> devices) {
  std::string out;
  for (const ibv_device* device : devices) out += (out.empty() ? "" : ", ") + std::string(device->name);
  return out.empty() ? "none" : out;
}

std::string OpenAdvice(const ibv_device& device) {
  return "RDMA device " + std::string(device.name) + " does not open (/dev/infiniband/" + device.dev_name +
         "; start a container with --device /dev/infiniband --cap-add IPC_LOCK --ulimit memlock=-1)";
}

GidType TypeOf(const ibv_gid_entry& entry) {
  switch (entry.gid_type) {
    case IBV_GID_TYPE_ROCE_V2:
      return GidType::kRoce2;
    case IBV_GID_TYPE_ROCE_V1:
      return GidType::kRoce1;
    default:
      return GidType::kInfiniband;
  }
}

// One port of an open device, for ListDevices.
DeviceFacts FactsOf(const Verbs& verbs, ibv_context* context, const std::string& name, uint8_t number) {
  DeviceFacts facts{.name = name, .port = number};
  auto port = DescribePort(verbs, context, name, number);
  if (!port) {
    facts.why_not = port.error().what;
    return facts;
  }
  facts.infiniband = port->infiniband;
  facts.active = port->active;
  facts.speed_mbit = port->speed_mbit;
  auto rows = ReadGidRows(verbs, context, name, number);
  if (!rows) {
    facts.why_not = rows.error().what;
    return facts;
  }
  for (const GidRow& row : *rows) {
    char interface[IF_NAMESIZE] = "";
    if (row.interface_index == 0 || !if_indextoname(row.interface_index, interface)) continue;
    if (std::find(facts.netdevs.begin(), facts.netdevs.end(), interface) == facts.netdevs.end()) {
      facts.netdevs.emplace_back(interface);
    }
  }
  if (!facts.active) facts.why_not = "port " + std::to_string(number) + " of " + name + " is down: look at its cable";
  if (facts.active && rows->empty()) facts.why_not = name + " has no address: give its interface one";
  return facts;
}

}  // namespace

uint32_t PortSpeedMbit(uint8_t width, uint8_t speed) {
  const auto* lane =
      std::find_if(std::begin(kLaneSpeeds), std::end(kLaneSpeeds), [=](auto& c) { return c.code == speed; });
  const auto* lanes = std::find_if(std::begin(kWidths), std::end(kWidths), [=](auto& c) { return c.code == width; });
  return lane == std::end(kLaneSpeeds) || lanes == std::end(kWidths) ? 0 : lane->mbit * lanes->lanes;
}

Result<ibv_context*> OpenContext(const Verbs& verbs, const std::string& name) {
  const DeviceList list(verbs);
  for (ibv_device* device : list.devices()) {
    if (name != device->name) continue;
    if (device->transport_type != IBV_TRANSPORT_IB) {
      return Fail(ErrorCode::kUsage,
                  "RDMA device " + name + " speaks neither InfiniBand nor RoCE: its links are used over TCP");
    }
    errno = 0;
    ibv_context* context = verbs.open_device(device);
    if (!context) return FailErrno(ErrorCode::kSystem, OpenAdvice(*device));
    return context;
  }
  return Fail(ErrorCode::kSystem, "there is no RDMA device " + name + " here; there are: " + NameList(list.devices()) +
                                      " (a container needs --device /dev/infiniband)");
}

Result<DeviceDescription> DescribeDevice(const Verbs& verbs, ibv_context* context, const std::string& name,
                                         uint8_t port) {
  ibv_device_attr attributes{};
  if (const int error = VerbsErrno(verbs.query_device(context, &attributes))) {
    return FailErrno(ErrorCode::kSystem, "RDMA device " + name + " does not describe itself", error);
  }
  if (port == 0 || port > attributes.phys_port_cnt) {
    return Fail(ErrorCode::kUsage, "RDMA device " + name + " has " + std::to_string(attributes.phys_port_cnt) +
                                       " ports, and none with the number " + std::to_string(port));
  }
  auto description = DescribePort(verbs, context, name, port);
  RELAY_TRY(description);
  const auto positive = [](int value) { return static_cast<uint32_t>(std::max(value, 0)); };
  return DeviceDescription{.limits = {.work_requests = positive(attributes.max_qp_wr),
                                      .pieces = positive(attributes.max_sge),
                                      .completions = positive(attributes.max_cqe)},
                           .port = *description};
}

Result<PortDescription> DescribePort(const Verbs& verbs, ibv_context* context, const std::string& name, uint8_t port) {
  ibv_port_attr attributes{};
  if (const int error = VerbsErrno(verbs.query_port(context, port, &attributes))) {
    return FailErrno(ErrorCode::kSystem, "port " + std::to_string(port) + " of " + name + " does not describe itself",
                     error);
  }
  const unsigned mtu = std::clamp<unsigned>(attributes.active_mtu, IBV_MTU_256, IBV_MTU_4096);
  return PortDescription{.active = attributes.state == IBV_PORT_ACTIVE,
                         .infiniband = attributes.link_layer != IBV_LINK_LAYER_ETHERNET,
                         .needs_global_header = (attributes.flags & IBV_QPF_GRH_REQUIRED) != 0,
                         .lid = attributes.lid,
                         .mtu = static_cast<uint16_t>(128u << mtu),
                         .speed_mbit = PortSpeedMbit(attributes.active_width, attributes.active_speed),
                         .max_message = attributes.max_msg_sz == 0 ? kUsualMessage : attributes.max_msg_sz};
}

Result<std::vector<GidRow>> ReadGidRows(const Verbs& verbs, ibv_context* context, const std::string& name,
                                        uint8_t port) {
  ibv_device_attr device{};
  ibv_port_attr attributes{};
  int error = VerbsErrno(verbs.query_device(context, &device));
  if (error == 0) error = VerbsErrno(verbs.query_port(context, port, &attributes));
  if (error != 0)
    return FailErrno(ErrorCode::kSystem, "port " + std::to_string(port) + " of " + name + " does not describe itself",
                     error);
  const size_t table = static_cast<size_t>(std::max(attributes.gid_tbl_len, 0)) * device.phys_port_cnt;
  std::vector<ibv_gid_entry> entries(std::clamp(table, kLeastGidRows, kMostGidRows));
  const ssize_t count = verbs.query_gid_table(context, entries.data(), entries.size());
  if (count < 0) {
    return FailErrno(ErrorCode::kSystem, "the addresses of " + name + " cannot be read", static_cast<int>(-count));
  }
  entries.resize(std::min(entries.size(), static_cast<size_t>(count)));
  std::vector<GidRow> rows;
  for (const ibv_gid_entry& entry : entries) {
    if (entry.port_num != port) continue;
    GidRow row{.interface_index = entry.ndev_ifindex};
    std::memcpy(row.gid.bytes.data(), entry.gid.raw, row.gid.bytes.size());
    if (row.gid.bytes == decltype(row.gid.bytes){}) continue;
    row.gid.index = static_cast<uint16_t>(entry.gid_index);
    row.gid.type = TypeOf(entry);
    rows.push_back(row);
  }
  return rows;
}

Result<std::vector<DeviceFacts>> ListDevices(const Verbs* verbs) {
  if (!verbs) {
    auto loaded = LoadVerbs();
    RELAY_TRY(loaded);
    verbs = *loaded;
  }
  std::vector<DeviceFacts> out;
  const DeviceList list(*verbs);
  for (ibv_device* device : list.devices()) {
    const std::string name = device->name;
    if (device->transport_type != IBV_TRANSPORT_IB) {
      out.push_back(
          {.name = name, .why_not = name + " speaks neither InfiniBand nor RoCE: its links are used over TCP"});
      continue;
    }
    errno = 0;
    ibv_context* context = verbs->open_device(device);
    if (!context) {
      out.push_back({.name = name, .why_not = FailErrno(ErrorCode::kSystem, OpenAdvice(*device)).value().what});
      continue;
    }
    ibv_device_attr attributes{};
    if (const int error = VerbsErrno(verbs->query_device(context, &attributes))) {
      out.push_back({.name = name,
                     .why_not = FailErrno(ErrorCode::kSystem, name + " does not describe itself", error).value().what});
    }
    for (uint8_t port = 1; port <= attributes.phys_port_cnt; ++port)
      out.push_back(FactsOf(*verbs, context, name, port));
    verbs->close_device(context);
  }
  return out;
}

Status FindDevice(const std::string& name, const Verbs* verbs) {
  if (!verbs) {
    auto loaded = LoadVerbs();
    RELAY_TRY(loaded);
    verbs = *loaded;
  }
  const DeviceList list(*verbs);
  const auto devices = list.devices();
  if (std::any_of(devices.begin(), devices.end(), [&](const ibv_device* device) { return name == device->name; })) {
    return {};
  }
  return Fail(ErrorCode::kSystem, "libibverbs does not find it (it finds: " + NameList(devices) +
                                      "): install its provider, of ibverbs-providers or rdma-core");
}

}  // namespace relay::transport::rdma
