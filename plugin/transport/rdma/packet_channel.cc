#include "transport/rdma/packet_channel.h"

#include <algorithm>
#include <cstring>

#include "transport/rdma/fence.h"
#include "transport/rdma/gid_choice.h"

namespace relay::transport::rdma {
namespace {

constexpr uint64_t kCreditId = ~uint64_t{0};  // no owner's id
// Every so many credits one asks for a completion, which frees the places of those before.
constexpr uint64_t kSignalEvery = 8;
// Credits are told when so large a part of the slots has been given back.
constexpr uint64_t kTellPart = 4;

}  // namespace

PacketChannel::PacketChannel(std::shared_ptr<Device> device, const Shape& shape, SlotSpace space, uint32_t space_key,
                             WindowMemory headers, WindowMemory staging, std::unique_ptr<QueuePair> queue_pair)
    : device_(std::move(device)),
      shape_(shape),
      space_(space),
      space_key_(space_key),
      headers_(std::move(headers)),

      staging_(std::move(staging)),
      queue_pair_(std::move(queue_pair)),
      near_(queue_pair_->near()) {}

Result<std::unique_ptr<PacketChannel>> PacketChannel::Make(std::shared_ptr<Device> device, const Shape& shape,
                                                           SlotSpace space, uint32_t space_key) {
  auto headers = WindowMemory::Make(*device, std::max<size_t>(1, shape.slots) * kPacketBytes);
  RELAY_TRY(headers);

  auto staging = WindowMemory::Make(*device, shape.sends * kPacketBytes);
  RELAY_TRY(staging);
  auto queue_pair = QueuePair::Create(device, {.sends = shape.sends,
                                               .receives = shape.slots + shape.immediates + kSpareReceives,
                                               .pieces = 2,
                                               .inline_bytes = kPacketBytes,
                                               .hop_timeout = shape.hop_timeout});
  RELAY_TRY(queue_pair);
  std::unique_ptr<PacketChannel> channel(new PacketChannel(
      std::move(device), shape, space, space_key, std::move(*headers), std::move(*staging), std::move(*queue_pair)));
  // Before anybody can send.
  for (uint32_t slot = 0; slot < shape.slots; ++slot) channel->PostReceive(slot);
  for (uint32_t i = 0; shape.slots == 0 && i < kSpareReceives; ++i) channel->PostReceive(kNoSlot);
  RELAY_TRY(channel->queue_pair_->Ring());
  return channel;
}

HopOffer PacketChannel::offer() const {
  return {.endpoint = near_, .slots = Offered(), .slot_bytes = space_.slot_bytes};
}

Status PacketChannel::Accept(const HopOffer& far, const std::optional<SocketAddress>& near_address,
                             const std::optional<SocketAddress>& far_address) {
  auto pair = ChooseGids(near_, far.endpoint, near_address, far_address);
  RELAY_TRY(pair);
  RELAY_TRY(queue_pair_->Connect(far.endpoint, *pair));
  near_.chosen = static_cast<uint8_t>(pair->far);
  near_.own = static_cast<uint8_t>(pair->near);
  far_ = far;
  return {};
}

Status PacketChannel::Connect(const HopOffer& far) {
  const GidPair pair{far.endpoint.chosen, far.endpoint.own};
  const bool chosen = pair.near < near_.gids.size() && pair.far < far.endpoint.gids.size();
  if (!chosen) return Fail(ErrorCode::kRemote, "the neighbour chose addresses for RDMA that neither side has");
  far_ = far;
  return queue_pair_->Connect(far.endpoint, pair);
}

void PacketChannel::PostReceive(uint64_t id) {
  if (id == kNoSlot) return queue_pair_->Receive({}, id);
  const auto slot = static_cast<uint32_t>(id);
  const Piece pieces[2] = {{header(slot), kPacketBytes, headers_.local_key()},
                           {payload(slot), space_.slot_bytes, space_key_}};
  queue_pair_->Receive(std::span(pieces, space_.slot_bytes == 0 ? 1 : 2), slot);
}

void PacketChannel::Send(const Packet& packet, const Piece* payload, uint64_t id) {
  std::byte* place = staging_.data() + staged_++ % shape_.sends * kPacketBytes;
  const PacketHeader bytes = EncodePacket(packet);
  std::memcpy(place, bytes.data(), bytes.size());
  Forward({place, kPacketBytes, staging_.local_key()}, payload, id);
}

void PacketChannel::Forward(const Piece& header, const Piece* payload, uint64_t id) {
  Piece pieces[2] = {header, payload != nullptr ? *payload : Piece{}};
  const bool alone = pieces[1].bytes == 0;
  queue_pair_->Send(std::span(pieces, alone ? 1 : 2), id,
                    {.inlined = alone && queue_pair_->inline_bytes() >= kPacketBytes});
  ++sent_;
}

void PacketChannel::Write(const Piece* payload, const Remote& to, std::optional<uint32_t> immediate, uint64_t id) {
  queue_pair_->Write(std::span(payload, payload->bytes == 0 ? 0 : 1), to, id, {.immediate = immediate});
}

void PacketChannel::GiveBack(uint32_t slot) {
  PostReceive(slot);
  ++given_back_;
}

void PacketChannel::ReturnCredits() {
  const uint64_t due = std::max<uint64_t>(1, Offered() / kTellPart);
  if (given_back_ - told_ < due || !queue_pair_->HasRoom(1)) return;
  queue_pair_->Write(
      {}, {}, kCreditId,
      {.signaled = credits_sent_ % kSignalEvery == kSignalEvery - 1, .immediate = EncodeCredit(given_back_)});
  ++credits_sent_;
  told_ = given_back_;
}

Status PacketChannel::TakeCredit(uint32_t immediate) {
  const uint32_t more = (immediate - static_cast<uint32_t>(returned_)) & ~kCreditFlag;
  if (more > sent_ - returned_) return Fail(ErrorCode::kRemote, "a neighbour gives back slots that nobody took");
  returned_ += more;
  return {};
}

Status PacketChannel::Ring() {
  ReturnCredits();
  return queue_pair_->Ring();
}

Result<size_t> PacketChannel::Poll(std::span<Event> out) {
  Completion completions[16];
  const size_t most = std::min(out.size(), std::size(completions));
  size_t given = 0;
  while (given == 0) {
    auto count = queue_pair_->Poll(std::span(completions).first(most));
    RELAY_TRY(count);
    if (*count == 0) return 0;
    auto news = Sort(std::span(completions).first(*count), out);
    if (!news) return news;
    given = *news;
  }
  return given;
}

// Credits are taken here; the rest goes into `out`.
Result<size_t> PacketChannel::Sort(std::span<const Completion> completions, std::span<Event> out) {
  size_t given = 0;
  for (const Completion& completion : completions) {
    if (completion.work != Work::kReceive) {
      if (completion.id != kCreditId) out[given++] = {.kind = Event::Kind::kSent, .id = completion.id};
      continue;
    }
    if (completion.immediate && IsCredit(*completion.immediate)) {
      RELAY_TRY(TakeCredit(*completion.immediate));
      PostReceive(completion.id);
      continue;
    }
    if (completion.immediate) {
      if (completion.id != kNoSlot) return Fail(ErrorCode::kRemote, "a neighbour sent an immediate where none is due");
      out[given++] = {.kind = Event::Kind::kImmediate, .immediate = *completion.immediate};
      continue;
    }
    if (completion.bytes < kPacketBytes)
      return Fail(ErrorCode::kRemote, "a neighbour sent a packet without its header");
    out[given++] = {.kind = Event::Kind::kArrived,
                    .slot = static_cast<uint32_t>(completion.id),
                    .bytes = completion.bytes - static_cast<uint32_t>(kPacketBytes)};
  }
  return given;
}

Status PacketChannel::Fence(const std::function<Status(uint32_t immediate)>& take) {
  QueuePair* const queue_pair = queue_pair_.get();
  return FenceAll({&queue_pair, 1}, [&](size_t, const Completion& completion) -> Status {
    if (!completion.immediate || IsCredit(*completion.immediate)) return {};
    return take(*completion.immediate);
  });
}

void PacketChannel::TakeEvents() {
  queue_pair_->TakeEvents();
  device_->TakeEvents();
}

}  // namespace relay::transport::rdma
