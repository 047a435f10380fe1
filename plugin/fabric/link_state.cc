#include "fabric/link_state.h"

#include <algorithm>

#include "fabric/hash.h"

namespace relay::fabric {
namespace {

using std::chrono::milliseconds;

// Changes of the own record leave at once as long as they come in bursts of at most so many, so often on average: a
// cable with a loose contact must not occupy every agent of the fabric.
constexpr Duration kFloodEvery = milliseconds(50);
constexpr int kFloodBurst = 16;
// How often within one lifetime of records the own one outbids what others say under the node's id. A restart takes
// one.
constexpr int kMostDuels = 4;
// A summary that asks for another is not repeated before this long.
constexpr Duration kAnswerPatience = std::chrono::seconds(1);

// What a node says counts, not the edition in which it says so: refreshes on their way through a large fabric make no
// two digests differ.
uint64_t Term(NodeId node, const SealedRecord& sealed) {
  const auto content = ContentOf(sealed.bytes);
  return Mix(node ^ Mix(HashBytes({reinterpret_cast<const char*>(content.data()), content.size()})));
}

// What a Records message has around each record: lengths, proof, age.
constexpr size_t kFramingBytes = 8 + sizeof(Mac);

// An edition that a decoder takes, above this one, and where that can be above all of its incarnation.
Edition Above(const Edition& edition) {
  if (edition.incarnation < kMaxEdition) return {edition.incarnation + 1, 1};
  return {edition.incarnation, std::min(edition.sequence + 1, kMaxEdition)};
}

bool SameContent(const SealedRecord& a, const SealedRecord& b) {
  return std::ranges::equal(ContentOf(a.bytes), ContentOf(b.bytes));
}

}  // namespace

LinkState::LinkState(LinkStateOptions options, Hooks hooks)
    : options_(options), hooks_(std::move(hooks)), edition_{std::min(options.incarnation, kMaxEdition), 0} {
  options_.most_nodes = std::min(options_.most_nodes, kMaxFabricNodes);
}

void LinkState::Publish(Record record, TimePoint now) {
  record.node = options_.self;
  record = WithinBounds(std::move(record));
  record.edition = edition_;
  const bool same = own_ && std::ranges::equal(ContentOf(EncodeRecord(record)), ContentOf(EncodeRecord(*own_)));
  if (same) return;
  own_ = std::move(record);
  ++version_;
  Renew(now);
}

// Seals the own record anew, above whatever is known under this node's id, and floods it.
void LinkState::Renew(TimePoint now) {
  ++edition_.sequence;
  if (const auto known = held_.find(options_.self); known != held_.end() && known->second.record.edition >= edition_) {
    edition_ = Above(known->second.record.edition);
  }
  own_->edition = edition_;
  Held held{*own_, {EncodeRecord(*own_), {}, 0}, now};
  if (hooks_.seal) held.sealed.mac = hooks_.seal(held.sealed.bytes);
  Store(std::move(held));
  // Agents that started together do not refresh together for ever.
  const uint64_t spread = Mix(options_.self ^ Mix(edition_.sequence)) % 256;
  refresh_due_ = now + options_.refresh - options_.refresh / 1024 * static_cast<int64_t>(spread);
  flood_credit_ = std::max(flood_credit_, now);
  if (flood_due_ || flood_credit_ - now > kFloodEvery * kFloodBurst) {
    if (!flood_due_) flood_due_ = flood_credit_ - kFloodEvery * kFloodBurst;
    return;
  }
  FloodOwn(now);
}

void LinkState::FloodOwn(TimePoint now) {
  flood_due_.reset();
  flood_credit_ = std::max(flood_credit_, now) + kFloodEvery;
  Flood(std::array{options_.self}, 0, now);
}

void LinkState::Store(Held held) {
  const NodeId node = held.record.node;
  const auto [at, fresh] = held_.try_emplace(node);
  if (!fresh) {
    digest_ -= Term(node, at->second.sealed);
    bytes_ -= at->second.sealed.bytes.size();
  }
  // What others say under this node's id does not change this node's graph.
  if (node != options_.self && (fresh || !SameContent(at->second.sealed, held.sealed))) ++version_;
  digest_ += Term(node, held.sealed);
  bytes_ += held.sealed.bytes.size();
  if (node != options_.self) aging_due_ = std::min(aging_due_, held.born + options_.lifetime);
  at->second = std::move(held);
}

LinkState::Table::iterator LinkState::Drop(Table::iterator at) {
  digest_ -= Term(at->first, at->second.sealed);
  bytes_ -= at->second.sealed.bytes.size();
  ++version_;
  return held_.erase(at);
}

bool LinkState::HasRoomFor(const Held& held) const {
  const auto known = held_.find(held.record.node);
  const size_t freed = known == held_.end() ? 0 : known->second.sealed.bytes.size();
  const size_t nodes = held_.size() + (known == held_.end() ? 1 : 0);
  return nodes <= options_.most_nodes && bytes_ - freed + held.sealed.bytes.size() <= options_.most_bytes;
}

void LinkState::SessionUp(SessionId session, TimePoint now) {
  sessions_[session] = {now + options_.digest, std::nullopt};
  Send(session, message::Digest{digest_});
}

void LinkState::SessionDown(SessionId session) { sessions_.erase(session); }

Status LinkState::Receive(SessionId session, const LinkStateMessage& message, TimePoint now) {
  if (!sessions_.contains(session)) return {};
  if (const auto* records = std::get_if<message::Records>(&message)) return TakeRecords(session, *records, now);
  if (const auto* digest = std::get_if<message::Digest>(&message)) TakeDigest(session, *digest, now);
  if (const auto* summary = std::get_if<message::Summary>(&message)) TakeSummary(session, *summary, now);
  return {};
}

Result<LinkState::Held> LinkState::Open(const SealedRecord& sealed, TimePoint now) {
  if (hooks_.verify && !hooks_.verify(sealed.bytes, sealed.mac)) {
    ++counts_.forged;
    return Fail(ErrorCode::kRemote,
                "a link-state record without proof that its node holds the fabric's key: compare the key files of "
                "the nodes");
  }
  Result<Record> record = DecodeRecord(sealed.bytes);
  RELAY_TRY(record);
  return Held{*std::move(record), sealed, now - milliseconds(sealed.age_ms)};
}

bool LinkState::Take(Held held, bool& older, TimePoint now) {
  ++counts_.records_received;
  older = false;
  if (now - held.born >= options_.lifetime) {
    ++counts_.records_old;
    return false;
  }
  if (const auto known = held_.find(held.record.node); known != held_.end()) {
    // Two that differ under one edition are a clone's: any order will do that everybody follows.
    const auto theirs = std::tie(held.record.edition, held.sealed.bytes);
    const auto ours = std::tie(known->second.record.edition, known->second.sealed.bytes);
    older = theirs < ours;
    if (theirs <= ours) {
      ++counts_.records_old;
      return false;
    }
  }
  if (!HasRoomFor(held)) {
    ++counts_.no_room;
    return false;
  }
  ++counts_.records_new;
  const bool own = held.record.node == options_.self;
  Store(std::move(held));
  if (!own) return true;
  Duel(now);
  // What was outbid need not travel further.
  return held_.at(options_.self).record.edition != edition_;
}

// A record of this node that is newer than its own: of an earlier life whose clock was ahead, or of a clone.
void LinkState::Duel(TimePoint now) {
  ++counts_.duels;
  if (contested_ || !own_) {
    contested_until_ = now + 2 * options_.refresh;
    return;
  }
  if (duels_ == 0 || now - duels_since_ > options_.lifetime) {
    duels_since_ = now;
    duels_ = 0;
  }
  if (++duels_ <= kMostDuels) return Renew(now);
  contested_ = true;
  contested_until_ = now + 2 * options_.refresh;
}

Status LinkState::TakeRecords(SessionId session, const message::Records& message, TimePoint now) {
  std::vector<NodeId> news, newer_here;
  Status status;
  for (const SealedRecord& sealed : message.records) {
    Result<Held> held = Open(sealed, now);
    if (!held) {
      status = tl::unexpected<Error>(std::move(held).error());
      break;
    }
    const NodeId node = held->record.node;
    bool older = false;
    if (Take(*std::move(held), older, now)) news.push_back(node);
    if (older) newer_here.push_back(node);
  }
  Flood(news, session, now);
  SendRecords(session, newer_here, now);
  return status;
}

void LinkState::TakeDigest(SessionId session, const message::Digest& message, TimePoint now) {
  if (message.hash == digest_) return;
  Session& with = sessions_.at(session);
  if (with.asked && now - *with.asked < kAnswerPatience) return;
  with.asked = now;
  Send(session, Summarize(false));
}

void LinkState::TakeSummary(SessionId session, const message::Summary& message, TimePoint now) {
  std::vector<NodeId> newer_here;
  bool newer_there = false;
  auto ours = held_.begin();
  for (const EditionOf& theirs : message.held) {
    while (ours != held_.end() && ours->first < theirs.node) newer_here.push_back((ours++)->first);
    if (ours == held_.end() || ours->first != theirs.node) {
      newer_there = true;
      continue;
    }
    const Edition& edition = ours->second.record.edition;
    if (edition > theirs.edition) newer_here.push_back(theirs.node);
    newer_there |= edition < theirs.edition;
    ++ours;
  }
  for (; ours != held_.end(); ++ours) newer_here.push_back(ours->first);
  // Where both asked, each summary is the answer to the other.
  const Session& with = sessions_.at(session);
  const bool asked = with.asked && now - *with.asked < kAnswerPatience;
  SendRecords(session, newer_here, now);
  if (newer_there && !message.answer && !asked) Send(session, Summarize(true));
}

message::Summary LinkState::Summarize(bool answer) const {
  message::Summary summary;
  summary.answer = answer;
  summary.held.reserve(held_.size());
  for (const auto& [node, held] : held_) summary.held.push_back({node, held.record.edition});
  return summary;
}

std::vector<LinkStateMessage> LinkState::Pack(std::span<const NodeId> nodes, TimePoint now) {
  std::vector<LinkStateMessage> messages;
  message::Records batch;
  size_t bytes = kFramingBytes;
  for (NodeId node : nodes) {
    const auto held = held_.find(node);
    if (held == held_.end()) continue;
    const Duration age = std::max(now - held->second.born, Duration(0));
    if (age >= options_.lifetime) continue;
    SealedRecord sealed = held->second.sealed;
    sealed.age_ms = static_cast<uint32_t>(std::min<int64_t>(age / milliseconds(1), UINT32_MAX));
    if (bytes + sealed.bytes.size() + kFramingBytes > kMaxLinkStateBytes) {
      messages.push_back(std::exchange(batch, {}));
      bytes = kFramingBytes;
    }
    bytes += sealed.bytes.size() + kFramingBytes;
    batch.records.push_back(std::move(sealed));
  }
  if (!batch.records.empty()) messages.push_back(std::move(batch));
  return messages;
}

void LinkState::Flood(std::span<const NodeId> nodes, SessionId except, TimePoint now) {
  if (nodes.empty()) return;
  const std::vector<LinkStateMessage> messages = Pack(nodes, now);
  std::vector<SessionId> sessions;
  for (const auto& [session, state] : sessions_) {
    if (session != except) sessions.push_back(session);
  }
  for (SessionId session : sessions) {
    for (const LinkStateMessage& message : messages) Send(session, message);
  }
}

void LinkState::SendRecords(SessionId session, std::span<const NodeId> nodes, TimePoint now) {
  if (nodes.empty()) return;
  for (const LinkStateMessage& message : Pack(nodes, now)) Send(session, message);
}

// A session may go down while something is sent to it or to another.
void LinkState::Send(SessionId session, const LinkStateMessage& message) {
  if (!sessions_.contains(session)) return;
  ++counts_.messages_sent;
  if (const auto* records = std::get_if<message::Records>(&message)) counts_.records_sent += records->records.size();
  hooks_.send(session, message);
}

void LinkState::Age(TimePoint now) {
  aging_due_ = TimePoint::max();
  for (auto at = held_.begin(); at != held_.end();) {
    const bool own = at->first == options_.self;
    if (!own && now - at->second.born >= options_.lifetime) {
      ++counts_.aged_out;
      at = Drop(at);
      continue;
    }
    if (!own) aging_due_ = std::min(aging_due_, at->second.born + options_.lifetime);
    ++at;
  }
}

TimePoint LinkState::Tick(TimePoint now) {
  if (contested_ && now >= contested_until_) {
    contested_ = false;
    duels_ = 0;
  }
  if (own_ && now >= refresh_due_) Renew(now);
  if (flood_due_ && now >= *flood_due_) FloodOwn(now);
  if (now >= aging_due_) Age(now);
  std::vector<SessionId> due;
  for (auto& [session, state] : sessions_) {
    if (now < state.next_digest) continue;
    state.next_digest = now + options_.digest;
    due.push_back(session);
  }
  for (SessionId session : due) Send(session, message::Digest{digest_});
  TimePoint next = std::min({now + options_.digest, refresh_due_, aging_due_});
  if (flood_due_) next = std::min(next, *flood_due_);
  if (contested_) next = std::min(next, contested_until_);
  for (const auto& [session, state] : sessions_) next = std::min(next, state.next_digest);
  return next;
}

const Record* LinkState::Find(NodeId node) const {
  if (node == options_.self) return own_ ? &*own_ : nullptr;
  const auto held = held_.find(node);
  return held == held_.end() ? nullptr : &held->second.record;
}

std::vector<const Record*> LinkState::Records() const {
  std::vector<const Record*> records;
  if (own_) records.push_back(&*own_);
  for (const auto& [node, held] : held_) {
    if (node != options_.self) records.push_back(&held.record);
  }
  return records;
}

}  // namespace relay::fabric
