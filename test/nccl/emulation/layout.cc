#include "emulation/layout.h"

#include "fakecuda/log.h"
#include "fakecuda/memory.h"
#include "fakecuda/symbols.h"

namespace fakecuda {
namespace {

// One function per change: each row is the one before it and what the version changed.
constexpr Layout Nccl2_22() {
  return {.first = 22200,
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
          .recv_buffer = 8,
          .parts = 24,
          .operator_argument = 56,
          .function_bits = 15,
          .wide_fifo = false,
          .new_flags = false,
          .profiler = ProfilerForm::kNone,
          .types = 10,
          .pat = false,
          .all_gather_v = false,
          .pat_counts_absent = false};
}

constexpr Layout Nccl2_23() {
  Layout row = Nccl2_22();
  row.first = 22300, row.last = 22399;
  row.comm_size = 80, row.abort_flag = 56, row.work_consumed = 40;
  row.collective_size = 96, row.parts = 56, row.operator_argument = 88;
  row.pat = true;
  return row;
}

constexpr Layout Nccl2_24() {
  Layout row = Nccl2_23();
  row.first = 22400, row.last = 22499;
  row.new_flags = true;
  row.types = 12;
  return row;
}

constexpr Layout Nccl2_25() {
  Layout row = Nccl2_24();
  row.first = 22500, row.last = 22599;
  row.channel_size = 352;
  return row;
}

constexpr Layout Nccl2_26() {
  Layout row = Nccl2_25();
  row.first = 22600, row.last = 22699;
  row.comm_size = 96, row.work_started = 80;
  row.channel_size = 368, row.work_counter = 352;
  row.profiler = ProfilerForm::kCounters;
  row.pat_counts_absent = true;
  return row;
}

constexpr Layout Nccl2_27() {
  Layout row = Nccl2_26();
  row.first = 22700, row.last = 22899;
  row.abort_flag = 48, row.work_consumed = kAbsent, row.work_started = 72;
  row.profiler = ProfilerForm::kLogs;
  return row;
}

constexpr Layout Nccl2_29() {
  Layout row = Nccl2_27();
  row.first = 22900, row.last = 22999;
  row.ring_index = 32, row.tree = 40, row.work_counter = 360;
  row.all_gather_v = true;
  return row;
}

constexpr Layout Nccl2_30() {
  Layout row = Nccl2_29();
  row.first = 23000, row.last = 23099;
  row.collective_size = 128, row.recv_buffer = 24, row.parts = 80, row.operator_argument = 112;
  return row;
}

constexpr Layout Nccl2_31() {
  Layout row = Nccl2_30();
  row.first = 23100, row.last = 23199;
  row.wide_fifo = true;
  return row;
}

constexpr Layout Nccl2_32() {
  Layout row = Nccl2_31();
  row.first = 23200, row.last = 23299;
  row.collective_size = 96, row.recv_buffer = 8, row.parts = 56, row.operator_argument = 88;
  row.function_bits = 11;
  return row;
}

constexpr Layout kLayouts[] = {Nccl2_22(), Nccl2_23(), Nccl2_24(), Nccl2_25(), Nccl2_26(),
                               Nccl2_27(), Nccl2_29(), Nccl2_30(), Nccl2_31(), Nccl2_32()};

const Layout& FindLayout() {
  int version = NcclVersion();
  for (const Layout& layout : kLayouts)
    if (version >= layout.first && version <= layout.last) return layout;
  Die("the memory layout of NCCL %d is not known; those of 2.22 to 2.32 are", version);
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
  profiled = layout.profiler != ProfilerForm::kNone && (flags >> 7 & 1);
  recv_buffer = At<void*>(item, layout.recv_buffer);
  send_buffer = At<void*>(item, layout.recv_buffer + static_cast<int>(sizeof(void*)));
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
