// The fifo of a connection, through which a kernel and the proxy thread tell each other where a slot is and how much
// it holds. Its entries grew in NCCL 2.31.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "emulation/block.h"
#include "emulation/layout.h"

namespace fakecuda {

class Fifo {
 public:
  explicit Fifo(char* entries) : entries_(entries) {}

  explicit operator bool() const { return entries_ != nullptr; }

  // True when the slot of this step is not in its place, but at offset().
  bool UsesOffset(uint64_t step) const { return Load(&At<int>(Entry(step), 0)) == kUsesOffset; }
  ssize_t Offset(uint64_t step) const {
    return GetLayout().wide_fifo ? Load(&At<ssize_t>(Entry(step), 8)) : Load(&At<int>(Entry(step), 4));
  }
  ssize_t& Size(uint64_t step) const { return At<ssize_t>(Entry(step), GetLayout().wide_fifo ? 16 : 8); }

 private:
  static constexpr int kUsesOffset = 1;
  static constexpr uint64_t kEntrySize = 24, kWideEntrySize = 32;

  char* Entry(uint64_t step) const {
    return entries_ + step % kSteps * (GetLayout().wide_fifo ? kWideEntrySize : kEntrySize);
  }

  char* entries_;
};

}  // namespace fakecuda
