// What a relay does for a circuit that devices carry: each packet that arrives in a slot leaves from that slot, over
// the next hop's device; the last relay writes payload straight into the receiver's memory. No byte of it passes the
// CPU.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/discovery/verbs_port.h"
#include "agent/relay/slot_space.h"
#include "base/event_loop.h"
#include "relay/counters.h"
#include "transport/rdma/flush_pair.h"
#include "transport/rdma/packet_channel.h"

namespace relay::agent {

class RdmaRelay {
 public:
  struct Tools {
    EventLoop& loop;
    Counters& counters;
    SlotBudget& budget;
    const transport::rdma::Verbs* verbs = nullptr;  // null: libibverbs
  };
  struct Ports {
    VerbsPort near, far;  // this node's, towards the source and towards the destination
    bool last = false;    // the far end is the receiving process
    Duration hop_timeout{};
  };
  struct Addresses {
    std::optional<SocketAddress> near, far;
  };

  // Takes the neighbour's offer; `addresses` are those of the socket on which it came.
  static Result<std::unique_ptr<RdmaRelay>> Make(Tools tools, const Ports& ports,
                                                 const transport::rdma::HopOffer& offer, const Addresses& addresses);
  ~RdmaRelay();
  RdmaRelay(const RdmaRelay&) = delete;
  RdmaRelay& operator=(const RdmaRelay&) = delete;

  // What OPEN offers onward, what takes the answer to it, and then what OPENED says back.
  transport::rdma::HopOffer offer_onward() const { return far_->offer(); }
  Status ConnectFar(const transport::rdma::HopOffer& answer) { return far_->Connect(answer); }
  transport::rdma::HopOffer offer_back() const { return near_->offer(); }

  // Relays from now on. `failed` is called at most once, and may destroy this.
  Status Start(std::function<void(const Error&)> failed);

 private:
  // Slots whose packets wait for credit or room, first come first.
  class Queue {
   public:
    explicit Queue(size_t slots) : slots_(slots) {}
    bool empty() const { return begin_ == end_; }
    size_t size() const { return end_ - begin_; }
    uint32_t front() const { return slots_[begin_ % slots_.size()]; }
    void Push(uint32_t slot) { slots_[end_++ % slots_.size()] = slot; }
    void Pop() { ++begin_; }

   private:
    std::vector<uint32_t> slots_;
    size_t begin_ = 0, end_ = 0;
  };
  using Channel = transport::rdma::PacketChannel;

  // The memory of the payload, with the keys of both devices for it.
  struct Slots {
    SlotMemory memory;
    std::shared_ptr<transport::rdma::Memory> on_near, on_far;
  };

  RdmaRelay(Tools tools, bool last, Slots slots, std::unique_ptr<Channel> near, std::unique_ptr<Channel> far);
  static Result<Slots> MakeSlots(SlotBudget& budget, transport::rdma::Device& near, transport::rdma::Device& far);
  Status RegisterHeaders(transport::rdma::Device& near, transport::rdma::Device& far);
  void OnEvents();
  void Look();
  void Work();
  void Sleep();
  void GiveUp(const Error& error);
  Result<bool> Pump();
  Result<bool> Take(Channel& from, Channel& to, Queue& queue, std::vector<uint32_t>& bytes);
  Status FlushArrived();
  Status SendForward();
  Status SendBack();

  Tools tools_;
  const bool last_;
  Slots slots_;
  // Keys of headers on the device they leave by.
  std::shared_ptr<transport::rdma::Memory> near_headers_on_far_, far_headers_on_near_;
  std::unique_ptr<Channel> near_, far_;                // go first
  std::unique_ptr<transport::rdma::FlushPair> flush_;  // of the near device; null: the slots are in host memory
  Queue arrived_, forward_, back_;                     // arrived_: what has to be flushed before it is forwarded
  size_t flushing_ = 0;                                // of arrived_, those that the read under way flushes
  std::vector<uint32_t> forward_bytes_, back_bytes_;   // payload in each slot
  size_t held_ = 0;                                    // slots with a packet that has not left
  TimePoint moved_{};
  EventLoop::PollerId looking_ = 0;  // 0: the devices' events are waited for
  EventLoop::TimerId judging_ = 0;
  std::function<void(const Error&)> failed_;
};

}  // namespace relay::agent
