// The sending end of a direct lane: each message is one RDMA write (more above the device's limit) from the caller's
// memory into the receiver's, its size the immediate of the last. What the device reports as done is whole at the
// receiver: a reliable connection acknowledges by itself.
//
// Over several links a large message is one such write on each, every immediate the size of the whole message, and it
// is whole when all are done (transport/rdma/split.h).
#pragma once
#include <array>
#include <memory>
#include <span>
#include <vector>

#include "transport/rdma/cts_ring.h"
#include "transport/rdma/dialled_lane.h"
#include "transport/rdma/queue_pair.h"
#include "transport/rdma/split.h"
#include "transport/rdma/stripes.h"
#include "transport/rdma/window_memory.h"

namespace relay::transport::rdma {

class DirectSendLane final : public DialledLane {
 public:
  // This side's end of one link.
  struct Link {
    std::shared_ptr<Device> device;  // null: not this one
    uint32_t speed_mbit = 0;         // 0: unknown
  };
  // The path's first link, which must serve, then those parallel to it, which need not.
  static Result<std::unique_ptr<DirectSendLane>> Make(std::span<const Link> links, Duration hop_timeout);
  static Result<std::unique_ptr<DirectSendLane>> Make(std::shared_ptr<Device> device, Duration hop_timeout);
  // Why parallel links do not serve: a sentence, or empty.
  const std::string& missing() const { return missing_; }

  HopOffer offer() const override;
  Status Connect(const HopOffer& far) override { return ConnectAll({.first = far}); }
  LaneOffer offers() const override;
  // A far side that answers for the first link alone uses no other.
  Status ConnectAll(const LaneOffer& far) override;

  Status Ring() override { return stripes_.Ring(); }
  int fd() const override { return stripes_.fd(); }
  Status Arm() override { return stripes_.Arm(); }
  void TakeEvents() override { stripes_.TakeEvents(); }
  uint64_t moved() const override { return moved_; }
  std::string Summary() const override;

  Result<std::optional<uint64_t>> CapacityOf(uint64_t message) override;
  Result<bool> Start(const LaneBuffer& buffer) override;
  Result<uint64_t> Whole() override;

 private:
  struct Dialled {
    Stripe stripe;
    Endpoint near;
    uint32_t speed_mbit = 0;
  };
  struct Part {
    uint64_t begin = 0, end = 0;
  };

  explicit DirectSendLane(WindowMemory ring) : ring_(std::move(ring)) {}
  Status Dial(const Link& link, Duration hop_timeout);
  Part PartOf(size_t stripe, uint64_t size) const;
  uint32_t WritesOf(size_t stripe, const Part& part) const;
  void Write(size_t stripe, const Part& part, const LaneBuffer& buffer);
  Status Take(size_t stripe);

  WindowMemory ring_;                            // the receiver's CTS entries
  std::vector<std::optional<Dialled>> dialled_;  // with their queue pairs until Connect
  std::string missing_;
  Stripes stripes_;  // go first: nothing may be written into the ring afterwards
  Split split_{std::array<uint32_t, 1>{}};
  CtsEntry cts_;  // of message started_, once CapacityOf has found it
  bool has_cts_ = false;
  std::array<uint8_t, kMaxRequests> parts_out_{};  // of each message that is under way
  std::array<uint64_t, kMaxStripes> bytes_{};      // that each stripe was given
  uint64_t started_ = 0, whole_ = 0, moved_ = 0;
};

}  // namespace relay::transport::rdma
