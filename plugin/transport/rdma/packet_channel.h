// One end of a hop of a relayed lane. Packets arrive in slots, which are posted ahead; the other side sends only as
// many as it has credit for, so that no packet ever finds no slot. Credit comes back as a count in the immediate of an
// empty write, which wakes a side that sleeps. Not thread-safe; allocates nothing once connected.
#pragma once
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>

#include "base/socket_address.h"
#include "transport/rdma/packet.h"
#include "transport/rdma/queue_pair.h"
#include "transport/rdma/window_memory.h"

namespace relay::transport::rdma {

// Payload space of a channel's slots, registered with the devices that touch it. The owner keeps it.
struct SlotSpace {
  std::byte* data = nullptr;
  uint32_t slot_bytes = 0;  // of each; 0: the slots hold headers alone
};

class PacketChannel {
 public:
  struct Shape {
    uint32_t slots = 0;       // packets that may arrive ahead, kSpareReceives more than are offered; 0: none may
    uint32_t sends = 64;      // work requests outstanding
    uint32_t immediates = 0;  // of the owner's own, that may be expected at once
    Duration hop_timeout = std::chrono::seconds(10);
  };
  // Posted beyond what is offered, for credits: at most four are ever under way.
  static constexpr uint32_t kSpareReceives = 8;
  struct Event {
    enum class Kind : uint8_t { kArrived, kSent, kImmediate } kind;
    uint32_t slot = 0;       // kArrived
    uint32_t bytes = 0;      // kArrived: payload
    uint64_t id = 0;         // kSent: as posted
    uint32_t immediate = 0;  // kImmediate: below 2^31
  };

  // `space_key`: of the payload space on this device.
  static Result<std::unique_ptr<PacketChannel>> Make(std::shared_ptr<Device> device, const Shape& shape,
                                                     SlotSpace space = {}, uint32_t space_key = 0);

  // The side that dials calls it before it knows the other.
  HopOffer offer() const;
  // The side that is dialled takes the offer by it, and has the answer in offer().
  Status Accept(const HopOffer& far, const std::optional<SocketAddress>& near_address,
                const std::optional<SocketAddress>& far_address);
  // The side that dials takes the answer by it.
  Status Connect(const HopOffer& far);
  uint32_t far_slot_bytes() const { return far_.slot_bytes; }

  // Sending. `id` comes back as kSent when the device is done with the bytes.
  bool MaySend() const { return sent_ - returned_ < far_.slots && queue_pair_->HasRoom(kRoom); }
  void Send(const Packet& packet, const Piece* payload, uint64_t id);
  // A packet that lies in memory whole, as it came.
  void Forward(const Piece& header, const Piece* payload, uint64_t id);
  // Straight into the memory of the process at the other end.
  bool MayWrite() const { return queue_pair_->HasRoom(kRoom); }
  void Write(const Piece* payload, const Remote& to, std::optional<uint32_t> immediate, uint64_t id);

  // Receiving. A slot is the caller's from kArrived until GiveBack.
  const std::byte* header(uint32_t slot) const { return headers_.data() + size_t{slot} * kPacketBytes; }
  std::byte* payload(uint32_t slot) const { return space_.data + size_t{slot} * space_.slot_bytes; }
  uint32_t header_key() const { return headers_.local_key(); }
  const WindowMemory& headers() const { return headers_; }
  void GiveBack(uint32_t slot);
  // Posts one more receive for an immediate.
  void ExpectImmediate() { queue_pair_->Receive({}, kNoSlot); }

  // 0: nothing is left; what comes later wakes whoever has called Arm before.
  Result<size_t> Poll(std::span<Event> out);
  // What was queued goes to the device, the credits that are due with it.
  Status Ring();
  int fd() const { return queue_pair_->event_fd(); }
  Status Arm() { return queue_pair_->Arm(); }
  void TakeEvents();
  QueuePair& queue_pair() { return *queue_pair_; }
  // The end, as of RecvLane: `take` gets the owner's immediates that had come and were not polled, in order. Afterwards
  // nothing but the destructor is called.
  Status Fence(const std::function<Status(uint32_t immediate)>& take);

 private:
  // Beside a packet, a credit always finds its place.
  static constexpr uint32_t kRoom = 2;
  static constexpr uint64_t kNoSlot = ~uint64_t{0};

  PacketChannel(std::shared_ptr<Device> device, const Shape& shape, SlotSpace space, uint32_t space_key,
                WindowMemory headers, WindowMemory staging, std::unique_ptr<QueuePair> queue_pair);
  uint32_t Offered() const { return shape_.slots - std::min(shape_.slots, kSpareReceives); }
  Result<size_t> Sort(std::span<const Completion> completions, std::span<Event> out);
  void PostReceive(uint64_t id);
  void ReturnCredits();
  Status TakeCredit(uint32_t immediate);

  const std::shared_ptr<Device> device_;
  const Shape shape_;
  const SlotSpace space_;
  const uint32_t space_key_;
  WindowMemory headers_;                   // of the slots
  WindowMemory staging_;                   // headers on their way
  std::unique_ptr<QueuePair> queue_pair_;  // goes first
  Endpoint near_;
  HopOffer far_;
  uint64_t sent_ = 0, returned_ = 0;    // packets, and how many of their slots the other side has given back
  uint64_t given_back_ = 0, told_ = 0;  // slots here, and how many of them the other side knows of
  uint64_t staged_ = 0, credits_sent_ = 0;
};

}  // namespace relay::transport::rdma
