// How the messages of a lane are divided among its stripes. Pure. Both ends know which messages are split, and on which
// stripe the others go; where the parts of one begin is the sender's own affair.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "relay/lane.h"

namespace relay::transport::rdma {

// From here on a message goes in parts. Below, the completion that each further part costs is more than a second link
// saves: at 100 Gbit/s 64 KiB take 5 microseconds.
inline constexpr uint64_t kSplitBytes = 64 << 10;
// Parts begin at multiples of this: NCCL's LL128 lines and cache lines stay whole.
inline constexpr uint64_t kPartAlignment = 128;

// The stripe that a whole message goes over, and the one whose immediate tells the size of a split one.
inline size_t HomeStripe(uint64_t message, size_t stripes) { return stripes == 1 ? 0 : message % stripes; }

inline bool IsSplit(uint64_t size, size_t stripes) { return stripes > 1 && size >= kSplitBytes; }

class Split {
 public:
  // In proportion to the speeds; equal parts where one is unknown (0).
  explicit Split(std::span<const uint32_t> speeds) {
    const bool known = std::find(speeds.begin(), speeds.end(), 0u) == speeds.end();
    uint64_t total = 0, sum = 0;
    for (uint32_t speed : speeds) total += known ? speed : 1;
    for (size_t i = 0; i < speeds.size() && i < kMaxStripes; ++i) {
      sum += known ? speeds[i] : 1;
      ends_[i] = i + 1 == speeds.size() ? kWhole : sum * kWhole / total;
    }
  }

  // Where the part of a stripe begins and ends in a message of this size, at most 1 GiB.
  uint64_t Begin(size_t stripe, uint64_t size) const { return stripe == 0 ? 0 : End(stripe - 1, size); }
  uint64_t End(size_t stripe, uint64_t size) const {
    return ends_[stripe] == kWhole ? size : size / kPartAlignment * ends_[stripe] / kWhole * kPartAlignment;
  }

 private:
  static constexpr uint64_t kWhole = 1 << 16;
  std::array<uint64_t, kMaxStripes> ends_{};  // of a message, in parts of kWhole
};

}  // namespace relay::transport::rdma
