#include "comm/device.h"

#include <cstring>
#include <mutex>
#include <vector>

#include "base/log.h"

namespace relay::comm {
namespace {

// Leaked on purpose: NCCL's threads may still ask while the process exits.
struct Table {
  std::mutex mutex;
  std::vector<Device> devices;
};
Table& TheTable() {
  static Table* table = new Table;
  return *table;
}

Device MakeDevice(const control::Welcome& welcome, size_t index) {
  const control::DeviceInfo& info = welcome.devices[index];
  Device device;
  device.name = strdup(info.name.c_str());
  if (!info.pci_path.empty()) device.pci_path = strdup(info.pci_path.c_str());
  device.guid = welcome.node + index;
  // NCCL divides by it; 10 Gbit/s is its own assumption for a NIC of unknown speed.
  device.speed_mbit = info.speed_mbit == 0 ? 10000 : static_cast<int>(info.speed_mbit);
  return device;
}

}  // namespace

void PublishDevices(const control::Welcome& welcome, const GpuSupport& gpu) {
  Table& table = TheTable();
  std::lock_guard lock(table.mutex);
  if (table.devices.empty()) {
    for (size_t i = 0; i < welcome.devices.size(); ++i) table.devices.push_back(MakeDevice(welcome, i));
  } else if (table.devices.size() != welcome.devices.size()) {
    RELAY_WARN("the agent now offers %zu devices, NCCL was told %zu: restart the job to use them",
               welcome.devices.size(), table.devices.size());
  }
  for (Device& device : table.devices) device.gpu = gpu;
}

int DeviceCount() {
  Table& table = TheTable();
  std::lock_guard lock(table.mutex);
  return static_cast<int>(table.devices.size());
}

std::optional<Device> DeviceAt(int index) {
  Table& table = TheTable();
  std::lock_guard lock(table.mutex);
  if (index < 0 || static_cast<size_t>(index) >= table.devices.size()) return std::nullopt;
  return table.devices[static_cast<size_t>(index)];
}

}  // namespace relay::comm
