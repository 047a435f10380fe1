// What travels on a session between agents: a type, and its fields.
#include <algorithm>

#include "base/codec.h"
#include "fabric/link_state_message.h"

namespace relay::fabric {
namespace {

enum LinkStateType : uint8_t { kRecordsType = 1, kDigestType = 2, kSummaryType = 3 };

constexpr size_t kSummaryEntryBytes = 24;
static_assert(kMaxFabricNodes * kSummaryEntryBytes + 16 < kMaxLinkStateBytes, "a summary is one message");

void PutMessage(ByteWriter& out, const message::Records& records) {
  out.Put<uint8_t>(kRecordsType);
  out.Put<uint32_t>(static_cast<uint32_t>(records.records.size()));
  for (const SealedRecord& sealed : records.records) {
    out.Put<uint32_t>(static_cast<uint32_t>(sealed.bytes.size()));
    out.PutBytes(sealed.bytes);
    out.PutBytes(sealed.mac);
    out.Put<uint32_t>(sealed.age_ms);
  }
}

void PutMessage(ByteWriter& out, const message::Digest& digest) {
  out.Put<uint8_t>(kDigestType);
  out.Put<uint64_t>(digest.hash);
}

void PutMessage(ByteWriter& out, const message::Summary& summary) {
  out.Put<uint8_t>(kSummaryType);
  out.Put<uint8_t>(summary.answer ? 1 : 0);
  out.Put<uint32_t>(static_cast<uint32_t>(summary.held.size()));
  for (const EditionOf& held : summary.held) {
    out.Put<uint64_t>(held.node);
    out.Put<uint64_t>(held.edition.incarnation);
    out.Put<uint64_t>(held.edition.sequence);
  }
}

tl::unexpected<Error> Refuse(const char* reason) {
  return Fail(ErrorCode::kRemote, std::string("a link-state message ") + reason);
}

Result<LinkStateMessage> GetRecords(ByteReader& in) {
  message::Records out;
  const auto count = in.Get<uint32_t>();
  for (uint32_t i = 0; i < count && in.ok(); ++i) {
    SealedRecord sealed;
    const auto length = in.Get<uint32_t>();
    if (length > kMaxRecordBytes) return Refuse("holds a record that is too long");
    const auto bytes = in.GetBytes(length);
    const auto mac = in.GetBytes(sealed.mac.size());
    sealed.age_ms = in.Get<uint32_t>();
    if (!in.ok()) break;
    sealed.bytes.assign(bytes.begin(), bytes.end());
    std::copy(mac.begin(), mac.end(), sealed.mac.begin());
    out.records.push_back(std::move(sealed));
  }
  return out;
}

Result<LinkStateMessage> GetSummary(ByteReader& in) {
  message::Summary out;
  const auto answer = in.Get<uint8_t>();
  const auto count = in.Get<uint32_t>();
  if (answer > 1) return Refuse("is a summary with unknown flags");
  out.answer = answer == 1;
  // What is not there is not reserved for either.
  if (in.ok() && count > in.remaining() / kSummaryEntryBytes) return Refuse("is a summary cut short");
  for (uint32_t i = 0; i < count; ++i) {
    const auto node = in.Get<uint64_t>();
    const auto incarnation = in.Get<uint64_t>();
    const auto sequence = in.Get<uint64_t>();
    if (!out.held.empty() && node <= out.held.back().node) return Refuse("is a summary out of order");
    out.held.push_back({node, {incarnation, sequence}});
  }
  return out;
}

Result<LinkStateMessage> GetMessage(ByteReader& in) {
  switch (in.Get<uint8_t>()) {
    case kRecordsType:
      return GetRecords(in);
    case kDigestType:
      return message::Digest{in.Get<uint64_t>()};
    case kSummaryType:
      return GetSummary(in);
    default:
      return Refuse("is of an unknown type");
  }
}

}  // namespace

std::vector<std::byte> EncodeLinkState(const LinkStateMessage& message) {
  ByteWriter out;
  std::visit([&](const auto& body) { PutMessage(out, body); }, message);
  return out.take();
}

Result<LinkStateMessage> DecodeLinkState(std::span<const std::byte> bytes) {
  if (bytes.size() > kMaxLinkStateBytes) return Refuse("is too long");
  ByteReader in(bytes);
  Result<LinkStateMessage> message = GetMessage(in);
  if (message && !in.ok()) return Refuse("is cut short");
  if (message && !in.AtEnd()) return Refuse("has bytes left over");
  return message;
}

}  // namespace relay::fabric
