// Set-up messages, as a neighbour sends them: a prefix, then a body of its type. What is accepted survives a round
// trip.
#include "fuzz/check.h"
#include "relay/setup.h"

namespace relay {
namespace {

void CheckBounds(const OpenMessage& m) {
  fuzz::Check(m.route.size() <= kMaxHops && (m.hop < m.route.size() || (m.route.empty() && m.hop == 0)));
  fuzz::Check(m.source_name.size() <= kMaxNameBytes && m.offer.size() <= kMaxOfferBytes);
  fuzz::Check(m.build.size() <= kMaxBuildBytes && m.plugin.size() <= kMaxPluginPathBytes);
  fuzz::Check(m.parallel.size() <= kMaxParallelLinks && (m.parallel.empty() || m.route.size() == 1));
  for (const RouteHop& hop : m.route) {
    fuzz::Check(hop.from_port.size() <= kMaxNameBytes && hop.to_port.size() <= kMaxNameBytes);
  }
}
void CheckBounds(const OpenedMessage& m) {
  fuzz::Check(m.offer.size() <= kMaxOfferBytes);
  fuzz::Check(m.build.size() <= kMaxBuildBytes && m.plugin.size() <= kMaxPluginPathBytes);
}
void CheckBounds(const RefusedMessage& m) { fuzz::Check(m.sentence.size() <= kMaxSentenceBytes); }

template <class Message>
void RoundTrip(const Result<Message>& message, std::vector<std::byte> (*encode)(const Message&),
               std::span<const std::byte> body) {
  if (!message) return;
  CheckBounds(*message);
  auto again = encode(*message);
  fuzz::Check(std::equal(body.begin(), body.end(), again.begin() + kSetupPrefixBytes, again.end()));
}

}  // namespace
}  // namespace relay

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace relay;
  if (size < kSetupPrefixBytes) return 0;
  auto bytes = fuzz::Bytes(data, size);
  auto prefix = DecodeSetupPrefix(bytes.first<kSetupPrefixBytes>());
  if (!prefix) return 0;
  fuzz::Check(prefix->body_length <= MaxBody(prefix->type));
  auto body = bytes.subspan(kSetupPrefixBytes);
  switch (prefix->type) {
    case SetupType::kOpen:
      RoundTrip(DecodeOpen(body), EncodeOpen, body);
      break;
    case SetupType::kOpened:
      RoundTrip(DecodeOpened(body), EncodeOpened, body);
      break;
    case SetupType::kRefused:
      RoundTrip(DecodeRefused(body), EncodeRefused, body);
      break;
    default:  // of greetings and sessions: session_fuzz.cc
      break;
  }
  return 0;
}
