#include "transport/rdma/send_queue.h"

#include <endian.h>

#include "transport/rdma/work_pieces.h"

namespace relay::transport::rdma {
namespace {

ibv_wr_opcode OpcodeOf(Work work, bool immediate) {
  if (work == Work::kRead) return IBV_WR_RDMA_READ;
  if (work == Work::kWrite) return immediate ? IBV_WR_RDMA_WRITE_WITH_IMM : IBV_WR_RDMA_WRITE;
  return immediate ? IBV_WR_SEND_WITH_IMM : IBV_WR_SEND;
}

}  // namespace

SendQueue::SendQueue(const Depths& depths)
    : pieces_each_(depths.pieces),
      ring_(depths.sends),
      requests_(depths.sends),
      pieces_(depths.sends * pieces_each_),
      facts_(depths.sends) {}

bool SendQueue::Queue(Work work, std::span<const Piece> pieces, Remote remote, uint64_t id, const SendOptions& options,
                      uint32_t inline_bytes) {
  if (!ring_.HasRoom(1) || pieces.size() > pieces_each_) return false;
  const uint64_t number = ring_.queued();
  const size_t place = ring_.PlaceOf(number);
  ibv_send_wr& wr = requests_[place];
  const std::span<ibv_sge> to = std::span(pieces_).subspan(place * pieces_each_, pieces_each_);
  const FilledPieces filled = FillPieces(to, pieces);
  wr = {};
  wr.wr_id = number;
  wr.sg_list = to.data();
  wr.num_sge = filled.pieces;
  wr.opcode = OpcodeOf(work, options.immediate.has_value());
  if (options.signaled) wr.send_flags |= IBV_SEND_SIGNALED;
  if (options.inlined && filled.bytes > 0 && filled.bytes <= inline_bytes) wr.send_flags |= IBV_SEND_INLINE;
  if (options.solicited) wr.send_flags |= IBV_SEND_SOLICITED;
  wr.imm_data = htobe32(options.immediate.value_or(0));
  wr.wr.rdma.remote_addr = remote.address;
  wr.wr.rdma.rkey = remote.key;
  facts_[place] = {id, work};
  if (ring_.chained()) requests_[ring_.PlaceOf(number - 1)].next = &wr;
  ring_.OnQueued();
  return true;
}

std::optional<Completion> SendQueue::Take(const ibv_wc& completion) {
  const uint64_t number = completion.wr_id;
  if (number < ring_.done() || number >= ring_.rung()) return std::nullopt;
  // Those before it that asked for no completion are done too.
  ring_.OnDone(number);
  const Fact& fact = facts_[ring_.PlaceOf(number)];
  return Completion{.id = fact.id, .work = fact.work, .bytes = 0, .immediate = {}};
}

}  // namespace relay::transport::rdma
