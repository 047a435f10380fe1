#include "transport/rdma/direct_send_lane.h"

#include <algorithm>

namespace relay::transport::rdma {
namespace {

// A message above the device's limit takes several writes, and few are under way at once.
constexpr uint32_t kQueuedWrites = 2 * kMaxRequests;
constexpr size_t kPollShare = 16;

}  // namespace

Result<std::unique_ptr<DirectSendLane>> DirectSendLane::Make(std::shared_ptr<Device> device, Duration hop_timeout) {
  const Link link{std::move(device)};
  return Make({&link, 1}, hop_timeout);
}

Result<std::unique_ptr<DirectSendLane>> DirectSendLane::Make(std::span<const Link> links, Duration hop_timeout) {
  auto ring = WindowMemory::Make(*links.front().device, kMaxRequests * kCtsEntryBytes);
  RELAY_TRY(ring);
  std::unique_ptr<DirectSendLane> lane(new DirectSendLane(std::move(*ring)));
  for (const Link& link : links.first(std::min(links.size(), kMaxStripes))) {
    Status dialled = lane->Dial(link, hop_timeout);
    if (dialled) continue;
    if (lane->dialled_.size() == 1) return tl::unexpected(std::move(dialled).error());
    AddMissing(lane->missing_, dialled.error().what);
  }
  return lane;
}

Status DirectSendLane::Dial(const Link& link, Duration hop_timeout) {
  dialled_.emplace_back();
  if (!link.device) return {};
  auto queue_pair = QueuePair::Create(
      link.device, {.sends = kQueuedWrites, .receives = 1, .pieces = 1, .inline_bytes = 0, .hop_timeout = hop_timeout});
  RELAY_TRY(queue_pair);
  Endpoint near = (*queue_pair)->near();
  dialled_.back() = {{link.device, std::move(*queue_pair)}, std::move(near), link.speed_mbit};
  return {};
}

HopOffer DirectSendLane::offer() const { return offers().first; }

LaneOffer DirectSendLane::offers() const {
  LaneOffer offer{.first = {.endpoint = dialled_.front()->near, .window = ring_.window()}};
  for (const auto& dialled : std::span(dialled_).subspan(1)) {
    offer.parallel.emplace_back();
    if (dialled) offer.parallel.back() = HopOffer{.endpoint = dialled->near};
  }
  return offer;
}

Status DirectSendLane::ConnectAll(const LaneOffer& far) {
  if (stripes_.size() != 0) return Fail(ErrorCode::kInternal, "a lane was connected twice");
  if (1 + far.parallel.size() > dialled_.size()) {
    return Fail(ErrorCode::kRemote, "the receiver answers for more links than were offered: it breaks the protocol");
  }
  std::vector<Stripe> stripes;
  std::vector<uint32_t> speeds;
  for (size_t i = 0; i <= far.parallel.size(); ++i) {
    const HopOffer* answer = i == 0 ? &far.first : far.parallel[i - 1] ? &*far.parallel[i - 1] : nullptr;
    if (answer == nullptr) continue;
    const Endpoint& endpoint = answer->endpoint;
    if (!dialled_[i]) return Fail(ErrorCode::kRemote, "the receiver answers for a link that was not offered");
    auto& [stripe, near, speed_mbit] = *dialled_[i];
    const GidPair pair{endpoint.chosen, endpoint.own};
    const bool chosen = pair.near < near.gids.size() && pair.far < endpoint.gids.size();
    if (!chosen) return Fail(ErrorCode::kRemote, "the receiver chose addresses for RDMA that neither side has");
    RELAY_TRY(stripe.queue_pair->Connect(endpoint, pair));
    stripes.push_back(std::move(stripe));
    speeds.push_back(speed_mbit);
  }
  auto joined = Stripes::Join(std::move(stripes));
  RELAY_TRY(joined);
  stripes_ = std::move(*joined);
  split_ = Split(speeds);
  for (auto& dialled : dialled_) {
    if (dialled) dialled->stripe = {};  // those that the receiver does not use
  }
  return {};
}

std::string DirectSendLane::Summary() const {
  std::string out;
  for (size_t i = 0; stripes_.size() > 1 && i < stripes_.size(); ++i) {
    out +=
        (i == 0 ? "" : ", ") + std::to_string(bytes_[i]) + (i == 0 ? " bytes by " : " by ") + stripes_.device(i).name();
  }
  return out;
}

Result<std::optional<uint64_t>> DirectSendLane::CapacityOf(uint64_t message) {
  if (message != started_) return Fail(ErrorCode::kInternal, "a lane was asked for messages out of order");
  if (!has_cts_) {
    auto entry = ReadCts(ring_.data() + message % kMaxRequests * kCtsEntryBytes, message);
    if (!entry) return std::nullopt;
    cts_ = *entry;
    has_cts_ = true;
    ++moved_;
  }
  return cts_.capacity;
}

// What a stripe carries of a message that goes over it.
DirectSendLane::Part DirectSendLane::PartOf(size_t stripe, uint64_t size) const {
  if (!IsSplit(size, stripes_.size())) return {0, size};
  return {split_.Begin(stripe, size), split_.End(stripe, size)};
}

uint32_t DirectSendLane::WritesOf(size_t stripe, const Part& part) const {
  const uint64_t most = stripes_.device(stripe).max_message();
  return static_cast<uint32_t>(std::max<uint64_t>(1, (part.end - part.begin + most - 1) / most));
}

Result<bool> DirectSendLane::Start(const LaneBuffer& buffer) {
  if (started_ - whole_ == kMaxRequests) return false;
  const size_t home = HomeStripe(started_, stripes_.size());
  const bool split = IsSplit(buffer.size, stripes_.size());
  const size_t first = split ? 0 : home, end = split ? stripes_.size() : home + 1;
  for (size_t i = first; i < end; ++i) {
    if (!stripes_[i].HasRoom(WritesOf(i, PartOf(i, buffer.size)))) return false;
  }
  for (size_t i = first; i < end; ++i) Write(i, PartOf(i, buffer.size), buffer);
  parts_out_[started_ % kMaxRequests] = static_cast<uint8_t>(end - first);
  ++started_;
  has_cts_ = false;
  return true;
}

void DirectSendLane::Write(size_t stripe, const Part& part, const LaneBuffer& buffer) {
  const uint64_t most = stripes_.device(stripe).max_message();
  const uint32_t writes = WritesOf(stripe, part);
  for (uint32_t i = 0; i < writes; ++i) {
    const uint64_t offset = part.begin + i * most;
    const bool last = i + 1 == writes;
    const Piece piece{buffer.data + offset, static_cast<uint32_t>(std::min(most, part.end - offset)),
                      buffer.keys[stripe].local};
    SendOptions options{.signaled = last, .solicited = last};
    if (last) options.immediate = static_cast<uint32_t>(buffer.size);
    stripes_[stripe].Write(std::span(&piece, piece.bytes == 0 ? 0 : 1), {cts_.address + offset, cts_.keys[stripe]},
                           started_, options);
  }
  bytes_[stripe] += part.end - part.begin;
}

// Takes completions until none comes: a device that was armed does not tell of what was there before.
Status DirectSendLane::Take(size_t stripe) {
  Completion completions[kPollShare];
  while (true) {
    auto count = stripes_[stripe].Poll(completions);
    RELAY_TRY(count);
    for (size_t i = 0; i < *count; ++i) {
      const uint64_t message = completions[i].id;
      if (message < whole_ || message >= started_ || parts_out_[message % kMaxRequests]-- == 0) {
        return Fail(ErrorCode::kInternal, stripes_.device(stripe).name() + " reports writes done out of order");
      }
    }
    moved_ += *count;
    if (*count < kPollShare) return {};
  }
}

Result<uint64_t> DirectSendLane::Whole() {
  for (size_t i = 0; i < stripes_.size(); ++i) RELAY_TRY(Take(i));
  while (whole_ != started_ && parts_out_[whole_ % kMaxRequests] == 0) ++whole_;
  return whole_;
}

}  // namespace relay::transport::rdma
