#include "transport/rdma/receive_queue.h"

#include <endian.h>

#include <algorithm>

#include "transport/rdma/work_pieces.h"

namespace relay::transport::rdma {

ReceiveQueue::ReceiveQueue(const Depths& depths)
    : pieces_each_(depths.pieces),
      ring_(depths.receives),
      requests_(depths.receives),
      pieces_(depths.receives * pieces_each_),
      ids_(depths.receives) {}

bool ReceiveQueue::Queue(std::span<const Piece> pieces, uint64_t id) {
  if (!ring_.HasRoom(1) || pieces.size() > pieces_each_) return false;
  const uint64_t number = ring_.queued();
  const size_t place = ring_.PlaceOf(number);
  ibv_recv_wr& wr = requests_[place];
  const std::span<ibv_sge> to = std::span(pieces_).subspan(place * pieces_each_, pieces_each_);
  wr = {};
  wr.wr_id = number | kReceiveBit;
  wr.sg_list = to.data();
  wr.num_sge = FillPieces(to, pieces).pieces;
  ids_[place] = id;
  if (ring_.chained()) requests_[ring_.PlaceOf(number - 1)].next = &wr;
  ring_.OnQueued();
  return true;
}

void ReceiveQueue::NoteBack(const ibv_wc& completion) {
  const uint64_t number = completion.wr_id & ~kReceiveBit;
  if (number < ring_.rung()) back_ = std::max(back_, number + 1);
}

std::optional<Completion> ReceiveQueue::Take(const ibv_wc& completion) {
  const uint64_t number = completion.wr_id & ~kReceiveBit;
  if (number != ring_.done() || number >= ring_.rung()) return std::nullopt;
  ring_.OnDone(number);
  Completion out{
      .id = ids_[ring_.PlaceOf(number)], .work = Work::kReceive, .bytes = completion.byte_len, .immediate = {}};
  if (completion.wc_flags & IBV_WC_WITH_IMM) out.immediate = be32toh(completion.imm_data);
  return out;
}

}  // namespace relay::transport::rdma
