#include "emulation/share.h"

namespace fakecuda {

Share ShareOf(const CollectiveWork& work, int channel_id, int protocol, size_t element_bytes) {
  const ChannelParts& parts = work.parts;
  const size_t grain = (protocol == kLL ? 16 : protocol == kSimple ? 512 : 1920) / element_bytes;
  const auto channel = static_cast<unsigned>(channel_id);
  const size_t middles = work.channel_high > work.channel_low + 1 ? work.channel_high - work.channel_low - 1 : 0;
  Share share{.total = parts.count_low + parts.count_high + parts.count_middle * middles,
              .start = 0,
              .count = parts.count_low,
              .chunk = parts.grains_low * grain};
  if (channel == work.channel_low) return share;
  if (channel == work.channel_high) {
    share.start = parts.count_low + parts.count_middle * middles;
    share.count = parts.count_high;
    share.chunk = parts.grains_high * grain;
  } else {
    share.start = parts.count_low + parts.count_middle * (channel - work.channel_low - 1);
    share.count = parts.count_middle;
    share.chunk = parts.grains_middle * grain;
  }
  return share;
}

}  // namespace fakecuda
