#include "transport/rdma/direct_recv_lane.h"

#include <algorithm>
#include <cstring>

#include "transport/rdma/fence.h"
#include "transport/rdma/gid_choice.h"

namespace relay::transport::rdma {
namespace {

constexpr uint32_t kQueuedEntries = 2 * kMaxRequests;
// Every so many entries one asks for a completion, which frees the places of those before.
constexpr uint64_t kEntrySignal = 16;
static_assert(kEntrySignal <= kMaxRequests);
constexpr size_t kTakenAtOnce = 16;

}  // namespace

Result<std::unique_ptr<DirectRecvLane>> DirectRecvLane::Make(std::shared_ptr<Device> device, const HopOffer& far,
                                                             const Addresses& addresses, Duration hop_timeout) {
  const Link link{std::move(device), addresses};
  return Make({&link, 1}, {.first = far}, hop_timeout);
}

Result<std::unique_ptr<DirectRecvLane>> DirectRecvLane::Make(std::span<const Link> links, const LaneOffer& far,
                                                             Duration hop_timeout) {
  if (1 + far.parallel.size() > links.size()) {
    return Fail(ErrorCode::kRemote, "the sender offers queue pairs for more links than its path has");
  }
  auto news = WindowMemory::Make(*links.front().device, kMaxRequests * kCtsEntryBytes);
  RELAY_TRY(news);
  std::unique_ptr<DirectRecvLane> lane(new DirectRecvLane(std::move(*news), far.first.window));
  std::vector<Stripe> stripes;
  auto first = Answer(links.front(), lane->answer_.first, far.first, hop_timeout);
  RELAY_TRY(first);
  stripes.push_back(std::move(*first));
  for (size_t i = 0; i < far.parallel.size(); ++i) {
    auto& answer = lane->answer_.parallel.emplace_back();
    if (!far.parallel[i] || !links[i + 1].device) continue;
    HopOffer offer;
    auto stripe = Answer(links[i + 1], offer, *far.parallel[i], hop_timeout);
    if (stripe) {
      answer = std::move(offer);
      stripes.push_back(std::move(*stripe));
    } else {
      AddMissing(lane->missing_, stripe.error().what);
    }
  }
  auto joined = Stripes::Join(std::move(stripes));
  RELAY_TRY(joined);
  lane->stripes_ = std::move(*joined);
  return lane;
}

Result<Stripe> DirectRecvLane::Answer(const Link& link, HopOffer& answer, const HopOffer& far, Duration hop_timeout) {
  auto queue_pair = QueuePair::Create(link.device, {.sends = kQueuedEntries,
                                                    .receives = kMaxRequests,
                                                    .pieces = 1,
                                                    .inline_bytes = kCtsEntryBytes,
                                                    .hop_timeout = hop_timeout});
  RELAY_TRY(queue_pair);
  Endpoint near = (*queue_pair)->near();
  auto pair = ChooseGids(near, far.endpoint, link.addresses.near, link.addresses.far);
  RELAY_TRY(pair);
  RELAY_TRY((*queue_pair)->Connect(far.endpoint, *pair));
  near.chosen = static_cast<uint8_t>(pair->far);
  near.own = static_cast<uint8_t>(pair->near);
  answer = {.endpoint = std::move(near)};
  return Stripe{link.device, std::move(*queue_pair)};
}

Result<bool> DirectRecvLane::Announce(const LaneBuffer& buffer) {
  if (announced_ == whole_ + kMaxRequests || !stripes_[0].HasRoom(1)) return false;
  const uint64_t message = announced_, offset = message % kMaxRequests * kCtsEntryBytes;
  CtsEntry entry{reinterpret_cast<uint64_t>(buffer.data), static_cast<uint32_t>(buffer.size)};
  for (size_t i = 0; i < stripes_.size(); ++i) entry.keys[i] = buffer.keys[i].remote;
  const CtsBytes bytes = EncodeCts(entry, message);
  std::memcpy(news_.data() + offset, bytes.data(), bytes.size());
  ++announced_;
  // Before the news of it leaves: each message that may be under way finds a receive on every stripe. What a message
  // that went over another stripe has left here serves the next.
  for (size_t i = 0; i < stripes_.size(); ++i) {
    Arrivals& arrivals = arrivals_[i];
    if (arrivals.posted + arrivals.spared < announced_) stripes_[i].Receive({}, arrivals.posted++);
  }
  const Piece piece{news_.data() + offset, kCtsEntryBytes, news_.local_key()};
  stripes_[0].Write({&piece, 1}, {ring_.address + offset, ring_.key}, message,
                    {.signaled = message % kEntrySignal == kEntrySignal - 1,
                     .inlined = stripes_[0].inline_bytes() >= kCtsEntryBytes});
  return true;
}

// Takes completions until none comes: a device that was armed does not tell of what was there before.
Status DirectRecvLane::Poll(size_t stripe) {
  Completion completions[kTakenAtOnce];
  while (true) {
    auto count = stripes_[stripe].Poll(completions);
    RELAY_TRY(count);
    moved_ += *count;
    for (const Completion& completion : std::span(completions).first(*count)) RELAY_TRY(Take(stripe, completion));
    if (*count < kTakenAtOnce) return {};
  }
}

Status DirectRecvLane::Take(size_t stripe, const Completion& completion) {
  if (completion.work != Work::kReceive) return {};  // entries that have left
  Arrivals& arrivals = arrivals_[stripe];
  if (!completion.immediate || arrivals.end - arrivals.begin == announced_ - whole_) {
    return Fail(ErrorCode::kRemote, "over " + stripes_.device(stripe).name() +
                                        " came a message without its size, or one too many: the peer breaks the "
                                        "protocol");
  }
  arrivals.sizes[arrivals.end++ % kMaxRequests] = *completion.immediate;
  return {};
}

Status DirectRecvLane::Fence() {
  if (std::exchange(fenced_, true)) return {};
  std::array<QueuePair*, kMaxStripes> queue_pairs{};
  for (size_t i = 0; i < stripes_.size(); ++i) queue_pairs[i] = &stripes_[i];
  return FenceAll(std::span(queue_pairs).first(stripes_.size()), [this](size_t stripe, const Completion& completion) {
    ++moved_;
    return Take(stripe, completion);
  });
}

// The next message, if all of it is there.
Result<std::optional<uint64_t>> DirectRecvLane::TakeWhole() {
  const size_t home = HomeStripe(whole_, stripes_.size());
  const auto front = [&](size_t stripe) -> const uint32_t* {
    const Arrivals& arrivals = arrivals_[stripe];
    return arrivals.begin == arrivals.end ? nullptr : &arrivals.sizes[arrivals.begin % kMaxRequests];
  };
  if (front(home) == nullptr) return std::nullopt;
  const uint32_t size = *front(home);
  const bool split = IsSplit(size, stripes_.size());
  for (size_t i = 0; split && i < stripes_.size(); ++i) {
    if (front(i) == nullptr) return std::nullopt;
    if (*front(i) == size) continue;
    return Fail(ErrorCode::kRemote, "a message has " + std::to_string(size) + " bytes over " +
                                        stripes_.device(home).name() + " and " + std::to_string(*front(i)) + " over " +
                                        stripes_.device(i).name() + ": the peer breaks the protocol");
  }
  for (size_t i = 0; i < stripes_.size(); ++i) ++(split || i == home ? arrivals_[i].begin : arrivals_[i].spared);
  ++whole_;
  return size;
}

Result<std::optional<uint64_t>> DirectRecvLane::NextWhole() {
  auto whole = TakeWhole();
  if (!whole || *whole || fenced_) return whole;
  for (size_t i = 0; i < stripes_.size(); ++i) RELAY_TRY(Poll(i));
  return TakeWhole();
}

}  // namespace relay::transport::rdma
