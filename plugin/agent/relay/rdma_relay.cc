#include "agent/relay/rdma_relay.h"

namespace relay::agent {
namespace {

namespace rdma = transport::rdma;

// Slots of payload: their size and number are chosen so that a few cover what one hop has under way while the next one
// is rung: 25 GB/s over 10 us is 250 KB.
constexpr uint32_t kSlotBytes = 128 * 1024, kSlots = 16 + rdma::PacketChannel::kSpareReceives;
// CTS and acknowledgements of one connection.
constexpr uint32_t kControlSlots = 64 + rdma::PacketChannel::kSpareReceives;
constexpr uint32_t kSends = 128;
// After the last packet the devices are looked at for so long before their events are waited for: waking costs more.
constexpr Duration kLooking = std::chrono::microseconds(200);
// A device that has died may report nothing: while packets are here, the devices' events are asked for so often.
constexpr Duration kJudging = std::chrono::seconds(1);

}  // namespace

RdmaRelay::RdmaRelay(Tools tools, bool last, Slots slots, std::unique_ptr<Channel> near, std::unique_ptr<Channel> far)
    : tools_(tools),
      last_(last),
      slots_(std::move(slots)),
      near_(std::move(near)),
      far_(std::move(far)),
      arrived_(kSlots),
      forward_(kSlots),
      back_(kControlSlots),
      forward_bytes_(kSlots),
      back_bytes_(kControlSlots) {}

RdmaRelay::~RdmaRelay() {
  tools_.loop.StopPolling(looking_);
  tools_.loop.Cancel(judging_);
  tools_.loop.Forget(near_->fd());
  tools_.loop.Forget(far_->fd());
}

Result<std::unique_ptr<RdmaRelay>> RdmaRelay::Make(Tools tools, const Ports& ports, const rdma::HopOffer& offer,
                                                   const Addresses& addresses) {
  auto near_device = rdma::Device::Open(ports.near.device, ports.near.port, tools.verbs);
  RELAY_TRY(near_device);
  auto far_device = rdma::Device::Open(ports.far.device, ports.far.port, tools.verbs);
  RELAY_TRY(far_device);
  auto slots = MakeSlots(tools.budget, **near_device, **far_device);
  RELAY_TRY(slots);
  auto near = Channel::Make(*near_device, {.slots = kSlots, .sends = kSends, .hop_timeout = ports.hop_timeout},
                            {slots->memory.data(), kSlotBytes}, slots->on_near->local_key());
  RELAY_TRY(near);
  auto far = Channel::Make(*far_device, {.slots = kControlSlots, .sends = kSends, .hop_timeout = ports.hop_timeout});
  RELAY_TRY(far);
  RELAY_TRY((*near)->Accept(offer, addresses.near, addresses.far));
  std::unique_ptr<RdmaRelay> relay(
      new RdmaRelay(tools, ports.last, std::move(*slots), std::move(*near), std::move(*far)));
  RELAY_TRY(relay->RegisterHeaders(**near_device, **far_device));
  if (relay->slots_.memory.kind() == SlotKind::kGpu) {
    auto flush = rdma::FlushPair::Make(*near_device, ports.hop_timeout);
    RELAY_TRY(flush);
    relay->flush_ = std::move(*flush);
  }
  return relay;
}

// Where a device does not take the GPU's memory, it is the host's from then on.
Result<RdmaRelay::Slots> RdmaRelay::MakeSlots(SlotBudget& budget, rdma::Device& near, rdma::Device& far) {
  auto memory = SlotMemory::Take(budget, size_t{kSlots} * kSlotBytes);
  RELAY_TRY(memory);
  auto on_near = memory->RegisterOn(near);
  auto on_far = on_near ? memory->RegisterOn(far) : on_near;
  if (on_far) return Slots{std::move(*memory), std::move(*on_near), std::move(*on_far)};
  if (memory->kind() != SlotKind::kGpu) return tl::unexpected(std::move(on_far).error());
  budget.GiveUpGpu(on_far.error().what);
  return MakeSlots(budget, near, far);
}

Status RdmaRelay::RegisterHeaders(rdma::Device& near, rdma::Device& far) {
  auto forward = far.Register(near_->headers().data(), kSlots * rdma::kPacketBytes);
  RELAY_TRY(forward);
  auto back = near.Register(far_->headers().data(), kControlSlots * rdma::kPacketBytes);
  RELAY_TRY(back);
  near_headers_on_far_ = std::move(*forward);
  far_headers_on_near_ = std::move(*back);
  return {};
}

Status RdmaRelay::Start(std::function<void(const Error&)> failed) {
  failed_ = std::move(failed);
  for (int fd : {near_->fd(), far_->fd()}) {
    RELAY_TRY(tools_.loop.Watch(fd, EPOLLIN, [this](uint32_t) { OnEvents(); }));
  }
  // What came before anybody looked.
  Look();
  return {};
}

void RdmaRelay::OnEvents() {
  near_->TakeEvents();
  far_->TakeEvents();
  if (looking_ == 0) Look();
}

void RdmaRelay::Look() {
  moved_ = tools_.loop.clock().Now();
  looking_ = tools_.loop.Poll([this] { Work(); });
}

// Moves what can move, and sleeps until the devices say so when nothing did for a while.
void RdmaRelay::Work() {
  auto moved = Pump();
  if (!moved) return GiveUp(moved.error());
  if (*moved) {
    moved_ = tools_.loop.clock().Now();
  } else if (tools_.loop.clock().Now() - moved_ >= kLooking) {
    Sleep();
  }
}

// What comes between the last look and Arm would wake nobody: hence one more look.
void RdmaRelay::Sleep() {
  tools_.loop.StopPolling(std::exchange(looking_, 0));
  for (Channel* channel : {near_.get(), far_.get()}) {
    if (Status s = channel->Arm(); !s) return GiveUp(s.error());
  }
  auto moved = Pump();
  if (!moved) return GiveUp(moved.error());
  if (*moved) return Look();
  if (held_ == 0 || judging_ != 0) return;
  judging_ = tools_.loop.After(kJudging, [this] {
    judging_ = 0;
    OnEvents();
  });
}

void RdmaRelay::GiveUp(const Error& error) {
  tools_.loop.StopPolling(std::exchange(looking_, 0));
  auto failed = std::move(failed_);
  failed(error);
}

Result<bool> RdmaRelay::Pump() {
  auto forward = Take(*near_, *far_, flush_ ? arrived_ : forward_, forward_bytes_);
  if (!forward) return forward;
  auto back = Take(*far_, *near_, back_, back_bytes_);
  if (!back) return back;
  if (flush_) RELAY_TRY(FlushArrived());
  RELAY_TRY(SendForward());
  RELAY_TRY(SendBack());
  RELAY_TRY(near_->Ring());
  RELAY_TRY(far_->Ring());
  return *forward || *back || flushing_ != 0;
}

// Completions are in host memory and tell nothing of what is still on its way to the GPU's, which the far device would
// read by another way. The near device's own read does: one at a time, each for all that had arrived before it.
Status RdmaRelay::FlushArrived() {
  auto done = flush_->Done();
  RELAY_TRY(done);
  if (*done != flush_->started()) return {};
  for (; flushing_ != 0; --flushing_) {
    forward_.Push(arrived_.front());
    arrived_.Pop();
  }
  if (arrived_.empty()) return {};
  flushing_ = arrived_.size();
  return flush_->Start({reinterpret_cast<uint64_t>(near_->payload(arrived_.front())), slots_.on_near->remote_key()});
}

// What `from` has: packets for `to`, and slots of `to` that have left through it. True: there was something.
Result<bool> RdmaRelay::Take(Channel& from, Channel& to, Queue& queue, std::vector<uint32_t>& bytes) {
  Channel::Event events[16];
  auto count = from.Poll(events);
  RELAY_TRY(count);
  for (const Channel::Event& event : std::span(events).first(*count)) {
    switch (event.kind) {
      case Channel::Event::Kind::kArrived:
        bytes[event.slot] = event.bytes;
        queue.Push(event.slot);
        ++held_;
        break;
      case Channel::Event::Kind::kSent:
        to.GiveBack(static_cast<uint32_t>(event.id));
        --held_;
        break;
      case Channel::Event::Kind::kImmediate:
        return Fail(ErrorCode::kRemote, "an immediate that is no relay's: the neighbour breaks the protocol");
    }
  }
  return *count != 0;
}

Status RdmaRelay::SendForward() {
  while (!forward_.empty() && (last_ ? far_->MayWrite() : far_->MaySend())) {
    const uint32_t slot = forward_.front();
    const rdma::Piece payload{near_->payload(slot), forward_bytes_[slot], slots_.on_far->local_key()};
    if (last_) {
      using Header = std::span<const std::byte, rdma::kPacketBytes>;
      auto packet = rdma::DecodePacket(Header(near_->header(slot), rdma::kPacketBytes));
      RELAY_TRY(packet);
      if (packet->type != rdma::PacketType::kData || packet->length != payload.bytes) {
        return Fail(ErrorCode::kRemote, "a packet whose payload is not what its header says");
      }
      far_->Write(&payload, {packet->address + packet->offset, packet->key},
                  packet->last() ? std::optional(packet->total) : std::nullopt, slot);
    } else {
      far_->Forward({near_->header(slot), rdma::kPacketBytes, near_headers_on_far_->local_key()}, &payload, slot);
    }
    Add(tools_.counters.relayed_bytes, payload.bytes);
    Add(tools_.counters.relayed_packets);
    forward_.Pop();
  }
  return {};
}

Status RdmaRelay::SendBack() {
  while (!back_.empty() && near_->MaySend()) {
    const uint32_t slot = back_.front();
    if (back_bytes_[slot] != 0) return Fail(ErrorCode::kRemote, "a packet to the sender with payload");
    near_->Forward({far_->header(slot), rdma::kPacketBytes, far_headers_on_near_->local_key()}, nullptr, slot);
    back_.Pop();
  }
  return {};
}

}  // namespace relay::agent
