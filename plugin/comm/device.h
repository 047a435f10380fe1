// What NCCL sees as NICs. NCCL asks for them without a context, so the table is the process's: filled by the first
// context, never freed. Any thread.
#pragma once
#include <cstdint>
#include <optional>

#include "comm/memory/gpu_support.h"
#include "relay/control.h"
#include "relay/result.h"

namespace relay::comm {

struct Device {
  char* name = nullptr;      // unique: NCCL keys its topology by it
  char* pci_path = nullptr;  // null: attached to no PCI device
  uint64_t guid = 0;
  int speed_mbit = 0;
  GpuSupport gpu{};  // GPU memory that NCCL may register
};

// The first call fills the table; a later one with other devices changes none and says so. `gpu` is always the newest.
void PublishDevices(const control::Welcome& welcome, const GpuSupport& gpu);
int DeviceCount();
// nullopt: there is no such device.
std::optional<Device> DeviceAt(int index);

}  // namespace relay::comm
