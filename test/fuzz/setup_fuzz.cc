// Set-up messages, as a neighbour sends them: a prefix, then a body of its type. What is accepted survives a round
// trip.
#include "fuzz/check.h"
#include "relay/setup.h"

namespace relay {
namespace {

template <class Message>
void RoundTrip(const Result<Message>& message, std::vector<std::byte> (*encode)(const Message&),
               std::span<const std::byte> body) {
  if (!message) return;
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
  fuzz::Check(prefix->body_length <= kMaxSetupBody);
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
  }
  return 0;
}
