// The receives of a queue pair, from being queued to having come back. Sources of this folder only.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "transport/rdma/verbs.h"
#include "transport/rdma/work.h"
#include "transport/rdma/work_ring.h"

namespace relay::transport::rdma {

class ReceiveQueue {
 public:
  explicit ReceiveQueue(const Depths& depths);

  // The completion is one of a receive, not of a send.
  static bool IsOf(const ibv_wc& completion) { return (completion.wr_id & kReceiveBit) != 0; }

  bool HasRoom(uint32_t receives) const { return ring_.HasRoom(receives); }
  // As SendQueue has them.
  bool Queue(std::span<const Piece> pieces, uint64_t id);
  ibv_recv_wr* chain() { return ring_.chained() ? &requests_[ring_.PlaceOf(ring_.rung())] : nullptr; }
  uint64_t OnRung() { return ring_.OnRung(); }
  // Nothing: it is not due. Receives are done in order, so after one that failed none is.
  std::optional<Completion> Take(const ibv_wc& completion);

  // One has come back, well or not: the number in its completion is true either way.
  void NoteBack(const ibv_wc& completion);
  // Every one that was posted has come back.
  bool all_back() const { return back_ == ring_.rung(); }

 private:
  static constexpr uint64_t kReceiveBit = uint64_t{1} << 63;  // of a work request's number

  const size_t pieces_each_;
  WorkRing ring_;
  std::vector<ibv_recv_wr> requests_;
  std::vector<ibv_sge> pieces_;
  std::vector<uint64_t> ids_;
  uint64_t back_ = 0;
};

}  // namespace relay::transport::rdma
