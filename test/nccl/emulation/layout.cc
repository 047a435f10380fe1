#include "emulation/layout.h"

#include "fakecuda/log.h"
#include "fakecuda/memory.h"
#include "fakecuda/symbols.h"

namespace fakecuda {
namespace {

// Tested with 2.22.3, 2.28.9 and 2.29.7.
constexpr Layout kLayouts[] = {
    {.first = 22200,
     .last = 22299,
     .comm_size = 64,
     .abort_flag = 48,
     .work_consumed = 32,
     .work_started = kAbsent,
     .ring_index = 24,
     .tree = 32,
     .work_counter = kAbsent,
     .channel_size = 368,
     .collective_size = 64,
     .parts = 24,
     .operator_argument = 56,
     .new_flags = false,
     .profiler = false,
     .types = 10,
     .pat = false,
     .all_gather_v = false},
    {.first = 22800,
     .last = 22899,
     .comm_size = 96,
     .abort_flag = 48,
     .work_consumed = kAbsent,
     .work_started = 72,
     .ring_index = 24,
     .tree = 32,
     .work_counter = 352,
     .channel_size = 368,
     .collective_size = 96,
     .parts = 56,
     .operator_argument = 88,
     .new_flags = true,
     .profiler = true,
     .types = 12,
     .pat = true,
     .all_gather_v = false},
    {.first = 22900,
     .last = 22999,
     .comm_size = 96,
     .abort_flag = 48,
     .work_consumed = kAbsent,
     .work_started = 72,
     .ring_index = 32,
     .tree = 40,
     .work_counter = 360,
     .channel_size = 368,
     .collective_size = 96,
     .parts = 56,
     .operator_argument = 88,
     .new_flags = true,
     .profiler = true,
     .types = 12,
     .pat = true,
     .all_gather_v = true},
};

const Layout& FindLayout() {
  int version = NcclVersion();
  for (const Layout& layout : kLayouts)
    if (version >= layout.first && version <= layout.last) return layout;
  Die("the memory layout of NCCL %d is not known; 2.22, 2.28 and 2.29 are", version);
}

}  // namespace

const Layout& GetLayout() {
  static const Layout& layout = FindLayout();
  return layout;
}

CollectiveWork::CollectiveWork(const char* item) {
  const Layout& layout = GetLayout();
  auto head = At<uint32_t>(item, 0);
  uint32_t flags = head >> 24;
  channel_low = head & 255;
  channel_high = head >> 8 & 255;
  root = At<uint32_t>(item, 4);
  operator_is_pointer = flags & 1;
  registered = layout.new_flags ? flags >> 1 & 1 : flags >> 1 & 3;
  net_registered = layout.new_flags && (flags >> 2 & 1);
  one_rank_per_node = layout.new_flags && (flags >> 6 & 1);
  profiled = layout.profiler && (flags >> 7 & 1);
  recv_buffer = At<void*>(item, 8);
  send_buffer = At<void*>(item, 16);
  parts = At<ChannelParts>(item, layout.parts);
  operator_argument = At<uint64_t>(item, layout.operator_argument);
}

Channel::Channel(const char* memory) {
  const Layout& layout = GetLayout();
  peers = HostAlias(At<Peer**>(memory, 0));
  previous = At<int>(memory, 8);
  next = At<int>(memory, 12);
  ring = HostAlias(At<int*>(memory, 16));
  index = At<int>(memory, layout.ring_index);
  tree = At<Tree>(memory, layout.tree);
  work_counter = layout.work_counter == kAbsent ? nullptr : &At<uint64_t>(memory, layout.work_counter);
}

}  // namespace fakecuda
