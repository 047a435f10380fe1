// The work requests of a queue pair but its receives, from being queued to being done. Sources of this folder only.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "transport/rdma/verbs.h"
#include "transport/rdma/work.h"
#include "transport/rdma/work_ring.h"

namespace relay::transport::rdma {

class SendQueue {
 public:
  explicit SendQueue(const Depths& depths);

  // So many more, counting unsignaled ones until a later completion frees them, and queued ones.
  bool HasRoom(uint32_t sends) const { return ring_.HasRoom(sends); }
  // False: there is no room. A place that is in use may not be overwritten: the device still reads it.
  // `inline_bytes`: what the device takes inline.
  bool Queue(Work work, std::span<const Piece> pieces, Remote remote, uint64_t id, const SendOptions& options,
             uint32_t inline_bytes);
  // The chain that the device has not been given; null: there is none.
  ibv_send_wr* chain() { return ring_.chained() ? &requests_[ring_.PlaceOf(ring_.rung())] : nullptr; }
  // It has been given: of how many.
  uint64_t OnRung() { return ring_.OnRung(); }
  // Which one is done well. Nothing: the device was not given it, or reports it out of order.
  std::optional<Completion> Take(const ibv_wc& completion);

 private:
  struct Fact {
    uint64_t id = 0;
    Work work{};
  };

  const size_t pieces_each_;
  WorkRing ring_;
  std::vector<ibv_send_wr> requests_;
  std::vector<ibv_sge> pieces_;
  std::vector<Fact> facts_;
};

}  // namespace relay::transport::rdma
