// A kernel launch: finds the channel and the work batches of each block, decodes them and runs them.
#include "fakecuda/kernel.h"

#include <cstring>
#include <ctime>
#include <string_view>

#include "emulation/block.h"
#include "fakecuda/log.h"
#include "fakecuda/memory.h"

namespace fakecuda {
namespace {

uint64_t WallClockNanoseconds() {
  timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000000u + static_cast<uint64_t>(time.tv_nsec);
}

// Block number b works for the b-th channel of the mask.
int ChannelOfBlock(uint64_t mask, unsigned block_index) {
  for (int channel = 0; channel < kMaxChannels; channel++)
    if (mask >> channel & 1 && block_index-- == 0) return channel;
  Die("block %u has no channel in mask %#lx", block_index, mask);
}

// The work items of a batch and of those that extend it.
struct Work {
  unsigned type = 0, function_id = 0;
  int next_batch = -1;
  uint32_t consumed = 0;  // how far the work fifo was read
  std::vector<P2pWork> p2p;
  std::vector<CollectiveWork> collectives;

  size_t size() const { return type == kWorkP2p ? p2p.size() : collectives.size(); }
  bool profiled(size_t i) const { return type == kWorkP2p ? p2p[i].profiled : collectives[i].profiled; }
};

size_t ItemSize(unsigned work_type) {
  auto collective = static_cast<size_t>(GetLayout().collective_size);
  switch (work_type) {
    case kWorkP2p:
      return sizeof(P2pWork);
    case kWorkCollective:
      return collective;
    case kWorkCollectiveRegistered:
      return collective + kRegisteredExtra;
    default:
      Die("work type %u (batched broadcast) is not emulated", work_type);
  }
}

Work ReadWork(const KernelArguments& arguments, int batch_index) {
  auto* batches = reinterpret_cast<const WorkBatch*>(&arguments + 1);
  Work work;
  for (;;) {
    const WorkBatch& batch = batches[batch_index];
    const size_t size = ItemSize(batch.work_type);
    work.type = batch.work_type;
    work.function_id = batch.function_id & ((1u << GetLayout().function_bits) - 1);
    for (unsigned i = 0; i < 64; i++) {
      if (!(batch.offset_bits >> i & 1)) continue;
      const auto offset = static_cast<uint32_t>(batch.offset_base + i * size);
      const char* item =
          arguments.storage == kStoreArguments
              ? reinterpret_cast<const char*>(&arguments) + offset
              : static_cast<const char*>(HostAlias(arguments.work_buffer)) + (offset & arguments.work_mask);
      if (work.type == kWorkP2p) {
        memcpy(&work.p2p.emplace_back(), item, sizeof(P2pWork));
      } else {
        work.collectives.emplace_back(item);
      }
      work.consumed = static_cast<uint32_t>(offset + size);
    }
    if (!batch.next_extends) {
      work.next_batch = batch.next_jump ? batch_index + batch.next_jump : -1;
      return work;
    }
    batch_index += batch.next_jump;
  }
}

// Tells NCCL's profiler: `list` is the offset of the started or the completed works in the communicator.
void Stamp(const Block& block, const char* comm, int list, const Work& work) {
  const ProfilerForm form = GetLayout().profiler;
  if (form == ProfilerForm::kNone || !At<void*>(comm, list)) return;
  for (size_t i = 0; i < work.size(); i++) {
    if (!work.profiled(i)) continue;
    uint64_t counter = *block.channel.work_counter + 1 + i;
    if (form == ProfilerForm::kCounters) {
      Store(&HostAlias(At<uint64_t*>(comm, list))[block.channel_id], counter);
    } else {
      auto& event = HostAlias(At<ProfilerLog*>(comm, list))[block.channel_id].data[counter % kProfilerEvents];
      event.timestamp = WallClockNanoseconds();
      Store(&event.counter, counter);
    }
  }
}

void RunBlock(Scheduler& scheduler, const KernelArguments& arguments, unsigned block_index) {
  const Layout& layout = GetLayout();
  const int channel = ChannelOfBlock(arguments.channel_mask, block_index);
  const char* comm = static_cast<const char*>(HostAlias(arguments.comm));
  Block block{scheduler, reinterpret_cast<const CommHead*>(comm),
              Channel(comm + layout.comm_size + channel * layout.channel_size), channel};
  for (int batch = static_cast<int>(block_index); batch >= 0;) {
    const Work work = ReadWork(arguments, batch);
    if (layout.work_consumed != kAbsent && arguments.storage == kStoreFifo)
      Store(&HostAlias(At<uint32_t*>(comm, layout.work_consumed))[channel], work.consumed);
    const DeviceFunction& function = GetFunction(work.function_id);
    Log(3, "block %u, channel %d: %s %s %s, op %d, type %d, %zu work items", block_index, channel,
        CollectiveName(function.collective), AlgorithmName(function.algorithm), ProtocolName(function.protocol),
        function.op, function.type, work.size());
    Stamp(block, comm, layout.work_started, work);
    if (work.type == kWorkP2p) {
      RunP2p(block, work.p2p);
    } else {
      for (const CollectiveWork& item : work.collectives) RunCollective(block, function, item);
    }
    Stamp(block, comm, layout.work_started + static_cast<int>(sizeof(void*)), work);
    if (block.channel.work_counter) *block.channel.work_counter += work.size();
    batch = work.next_batch;
  }
}

}  // namespace

void RunKernel(const Launch& launch) {
  if (std::string_view(launch.kernel).find("ncclDevKernel_") == std::string_view::npos)
    Die("kernel %s is not emulated", launch.kernel);
  if (launch.arguments_size < sizeof(KernelArguments)) Die("kernel %s has too few arguments", launch.kernel);
  const auto& arguments = *static_cast<const KernelArguments*>(launch.arguments);
  Scheduler scheduler(HostAlias(At<uint32_t*>(HostAlias(arguments.comm), GetLayout().abort_flag)));
  for (unsigned i = 0; i < launch.grid; i++) scheduler.Spawn([&, i] { RunBlock(scheduler, arguments, i); });
  scheduler.Run();
}

}  // namespace fakecuda
