// Send and receive: each direction of each work item is a fiber of its own, because they must not wait for each other.
#include <algorithm>
#include <cstring>

#include "emulation/primitives.h"
#include "fakecuda/log.h"
#include "fakecuda/memory.h"

namespace fakecuda {
namespace {

constexpr size_t kPartAlignment = 4096;

// Chunk sizes travel as 8-bit floating-point numbers: 5 bits of exponent, 3 of fraction.
size_t DecodeChunk(uint8_t code) {
  unsigned exponent = code >> 3, fraction = (code & 7) | (exponent ? 8 : 0);
  return size_t{fraction} << (exponent ? exponent - 1 : 0);
}

// One direction of a work item, seen from one channel.
struct Transfer {
  bool sends;
  int peer;
  char* address;
  size_t bytes;
  size_t chunk;
  bool ll, registered;
};

// False when this channel has no part in it.
bool TransferOf(const Block& block, const P2pWork& work, bool sends, Transfer& out) {
  const int part = (block.channel_id - work.channel_base) & (work.channels - 1);
  const int parts = sends ? work.send_channels : work.recv_channels;
  if (part >= parts) return false;
  const size_t total = sends ? work.send_bytes : work.recv_bytes;
  const auto divisor = static_cast<size_t>(parts), index = static_cast<size_t>(part);
  size_t part_bytes = (total + divisor - 1) / divisor;
  part_bytes = (part_bytes + kPartAlignment - 1) / kPartAlignment * kPartAlignment;
  const size_t low = std::min(index * part_bytes, total), high = std::min((index + 1) * part_bytes, total);
  const bool registered = sends ? work.send_net_registered : work.recv_net_registered;
  out = {.sends = sends,
         .peer = sends ? work.send_rank : work.recv_rank,
         .address = static_cast<char*>(sends ? work.send_address : work.recv_address) + low,
         .bytes = high - low,
         .chunk = registered ? kMaxNetSize : DecodeChunk(sends ? work.send_chunk : work.recv_chunk),
         .ll = (sends ? work.send_ll : work.recv_ll) != 0,
         .registered = registered};
  return true;
}

void RunTransfer(Block& block, const Transfer& transfer) {
  Primitives::Peers peers;
  (transfer.sends ? peers.send_to : peers.receive_from).push_back(transfer.peer);
  Primitives::Options options{
      .protocol = transfer.ll ? kLL : kSimple,
      .step_bytes = transfer.registered ? kMaxNetSize : static_cast<size_t>(block.comm->p2p_chunk_size),
      .connector = 1,
      .registered = transfer.registered};
  Primitives primitives(block, peers, {transfer.address, transfer.address}, FindReducer(kU8, kSum), 0, options);
  size_t done = 0;
  do {  // an empty transfer is one empty step
    auto start = static_cast<ssize_t>(done);
    size_t count = std::min(transfer.chunk, transfer.bytes - done);
    transfer.sends ? primitives.Send(start, static_cast<ssize_t>(count))
                   : primitives.Recv(start, static_cast<ssize_t>(count));
    done += count;
  } while (done < transfer.bytes);
}

}  // namespace

void RunP2p(Block& block, const std::vector<P2pWork>& works) {
  int live = 0;
  for (const P2pWork& work : works) {
    bool net_registered = work.send_net_registered || work.recv_net_registered;
    if (work.send_ipc_registered || work.recv_ipc_registered || (!GetLayout().new_flags && net_registered))
      Die("send/recv buffers registered for IPC are not emulated");
    const bool to_self = work.send_rank == block.comm->rank;
    for (bool sends : {true, false}) {
      Transfer transfer;
      if (!TransferOf(block, work, sends, transfer)) continue;
      if (to_self) {
        auto offset = transfer.address - static_cast<char*>(work.send_address);
        auto* target = static_cast<char*>(work.recv_address) + offset;
        if (sends) memmove(HostAlias(target), HostAlias(transfer.address), transfer.bytes);
        continue;
      }
      live++;
      block.scheduler.Spawn([&block, &live, transfer] {
        try {
          RunTransfer(block, transfer);
        } catch (KernelAborted&) {
        }
        live--;
      });
    }
  }
  block.scheduler.Join([&] { return live == 0; });
}

}  // namespace fakecuda
