// What NCCL's host side and its kernels share in memory, declared from facts: the structures that are equal in all
// supported versions, what differs, and version-independent views of the latter. Nothing here owns memory;
// pointers found in these structures are device pointers.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace fakecuda {

enum Protocol { kLL, kLL128, kSimple, kProtocols };
enum WorkType { kWorkP2p, kWorkCollective, kWorkCollectiveRegistered };
enum WorkStorage { kStoreArguments, kStoreFifo, kStorePersistent };

inline constexpr int kSteps = 8;                        // slots of a connection
inline constexpr int kConnectionDirectNic = 4;          // flag of a connection: the proxy may use user buffers
inline constexpr size_t kMaxNetSize = size_t{1} << 30;  // largest message of a registered buffer
inline constexpr int kMaxChannels = 64;
inline constexpr int kProfilerEvents = 64;
inline constexpr size_t kRegisteredExtra = 192;  // bytes that follow a registered collective's work item

struct Connection {
  char* buffers[kProtocols];
  void* handles[kProtocols];
  uint64_t *tail, *head;
  int flags, shared, step_size;
  void** pointer_exchange;
  uint64_t* operator_exchange;
  char* fifo;  // see fifo.h
  uint64_t step, ll_last_cleaning;
  char net_device_handle[32];
};

struct Peer {
  Connection send[2], recv[2];  // by connector: 0 collectives, 1 send/recv
};

struct Tree {
  int depth, up, down[3];
};

struct ProfilerLog {
  struct {
    uint64_t counter, timestamp;
  } data[kProfilerEvents];
};

struct CommHead {  // the channels follow at Layout::comm_size
  int rank, ranks, node, nodes, buffer_sizes[kProtocols], p2p_chunk_size;
};

struct alignas(16) KernelArguments {  // the batches follow
  void* comm;
  uint64_t channel_mask;
  uint8_t storage;
  uint32_t work_mask;
  void* work_buffer;
};

struct alignas(16) WorkBatch {
  uint32_t next_jump : 14, next_extends : 1, work_type : 2, function_id : 15;
  uint32_t offset_base;
  uint64_t offset_bits;
};

struct alignas(16) P2pWork {
  void *send_address, *recv_address;
  size_t send_bytes, recv_bytes;
  int send_rank, recv_rank;
  uint8_t channels, channel_base, send_channels, recv_channels, send_chunk, recv_chunk;
  uint8_t send_ll : 1, recv_ll : 1, send_net_registered : 1, recv_net_registered : 1, send_ipc_registered : 1,
      recv_ipc_registered : 1, profiled : 1;
};

struct ChannelParts {
  size_t count_low, count_middle, count_high;
  uint64_t grains_low : 21, grains_middle : 21, grains_high : 21;
};

static_assert(sizeof(Connection) == 152 && sizeof(Peer) == 608);
static_assert(offsetof(Connection, tail) == 48 && offsetof(Connection, head) == 56 &&
              offsetof(Connection, flags) == 64 && offsetof(Connection, step_size) == 72 &&
              offsetof(Connection, fifo) == 96 && offsetof(Connection, step) == 104);
static_assert(sizeof(KernelArguments) == 32 && offsetof(KernelArguments, storage) == 16 &&
              offsetof(KernelArguments, work_mask) == 20 && offsetof(KernelArguments, work_buffer) == 24);
static_assert(sizeof(WorkBatch) == 16 && offsetof(WorkBatch, offset_bits) == 8);
static_assert(sizeof(P2pWork) == 48 && offsetof(P2pWork, channels) == 40);
static_assert(sizeof(ChannelParts) == 32 && sizeof(CommHead) == 32 && sizeof(Tree) == 20);

inline constexpr int kAbsent = -1;

// What the kernels write for NCCL's profiler.
enum class ProfilerForm {
  kNone,
  kCounters,  // per channel, the number of the work item started or completed last
  kLogs       // per channel, a ProfilerLog
};

// What differs between versions: byte offsets, unless said otherwise.
struct Layout {
  int first, last;  // versions the row is used for
  int comm_size, abort_flag, work_consumed, work_started;
  int ring_index, tree, work_counter, channel_size;
  int collective_size, recv_buffer, parts, operator_argument;
  int function_bits;  // of a batch's function_id that are the function's number
  bool wide_fifo;     // the form of a fifo's entries
  bool new_flags;     // meaning of a work item's flag bits
  ProfilerForm profiler;
  int types;  // rows of the function table:
  bool pat, all_gather_v;
  bool pat_counts_absent;  // a place in a message of PAT's reduce-scatter is kept for a block that does not exist
};

const Layout& GetLayout();  // of the NCCL in this process; stops the process when it is not known

template <class T>
T& At(const void* base, int offset) {
  return *reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(base) + static_cast<uintptr_t>(offset));
}

struct CollectiveWork {
  unsigned channel_low, channel_high, root;
  bool operator_is_pointer, registered, net_registered, one_rank_per_node, profiled;
  void *recv_buffer, *send_buffer;
  ChannelParts parts;
  uint64_t operator_argument;

  explicit CollectiveWork(const char* item);
};

struct Channel {
  Peer** peers;
  int previous, next, index;  // neighbours in the ring, and this rank's place in it
  const int* ring;            // ranks in ring order, starting with this one
  Tree tree;
  uint64_t* work_counter;

  explicit Channel(const char* memory);
};

}  // namespace fakecuda
