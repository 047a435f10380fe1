// The receiving end of a direct lane: every posted receive is written into the sender's memory, and each message that
// has been written into its buffer is reported by one completion with its size. Over several links a large message is
// reported by one completion on each, and is whole when all are there.
#pragma once
#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/socket_address.h"
#include "relay/lane.h"
#include "transport/rdma/direct_send_lane.h"

namespace relay::transport::rdma {

class DirectRecvLane final : public RecvLane {
 public:
  // Addresses of a link's two ports (on the first link: of the hop's socket), where known: they tell which of the
  // devices' addresses belong to this link.
  struct Addresses {
    std::optional<SocketAddress> near, far;
  };
  // This side's end of one link.
  struct Link {
    std::shared_ptr<Device> device;  // null: not this one
    Addresses addresses{};
  };
  // The path's first link, which must serve, then those parallel to it in the order of `far`, which need not. Ready to
  // be written to as soon as this returns.
  static Result<std::unique_ptr<DirectRecvLane>> Make(std::span<const Link> links, const LaneOffer& far,
                                                      Duration hop_timeout);
  static Result<std::unique_ptr<DirectRecvLane>> Make(std::shared_ptr<Device> device, const HopOffer& far,
                                                      const Addresses& addresses, Duration hop_timeout);
  // The answer to the offer of Make.
  HopOffer offer() const { return answer_.first; }
  const LaneOffer& offers() const { return answer_; }
  // Why parallel links that were offered do not serve: a sentence, or empty.
  const std::string& missing() const { return missing_; }

  Status Ring() override { return stripes_.Ring(); }
  int fd() const override { return stripes_.fd(); }
  Status Arm() override { return stripes_.Arm(); }
  void TakeEvents() override { stripes_.TakeEvents(); }
  uint64_t moved() const override { return moved_; }

  Result<bool> Announce(const LaneBuffer& buffer) override;
  Result<std::optional<uint64_t>> NextWhole() override;
  Status Fence() override;

 private:
  // What has come over one stripe. A message takes at most one immediate of each, and they come in its order.
  struct Arrivals {
    std::array<uint32_t, kMaxRequests> sizes{};  // immediates that no whole message has taken yet
    uint64_t begin = 0, end = 0;                 // of these
    uint64_t posted = 0;                         // receives
    uint64_t spared = 0;                         // whole messages that took none: their receives wait for the next
  };

  DirectRecvLane(WindowMemory news, Window ring) : news_(std::move(news)), ring_(ring) {}
  static Result<Stripe> Answer(const Link& link, HopOffer& answer, const HopOffer& far, Duration hop_timeout);
  Status Poll(size_t stripe);
  Status Take(size_t stripe, const Completion& completion);
  Result<std::optional<uint64_t>> TakeWhole();

  WindowMemory news_;  // entries on their way, for devices that do not take them inline
  const Window ring_;  // the sender's
  LaneOffer answer_;
  std::string missing_;
  Stripes stripes_;
  std::array<Arrivals, kMaxStripes> arrivals_;
  uint64_t announced_ = 0, whole_ = 0, moved_ = 0;
  bool fenced_ = false;
};

}  // namespace relay::transport::rdma
