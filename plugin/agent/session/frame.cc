#include "agent/session/frame.h"

#include <algorithm>

#include "base/codec.h"

namespace relay::agent {
namespace {

const char* PurposeOf(Side sender) {
  return sender == Side::kDialler ? "relay session, dialler" : "relay session, acceptor";
}

std::vector<std::byte> Numbered(uint64_t number, std::span<const std::byte> message) {
  std::vector<std::byte> out(8 + message.size());
  PutLe<uint64_t>(out.data(), number);
  std::copy(message.begin(), message.end(), out.begin() + 8);
  return out;
}

bool OnSessions(SetupType type) {
  return type == SetupType::kRefused || (type >= SetupType::kSession && type <= SetupType::kFindings);
}

}  // namespace

std::vector<std::byte> FrameWriter::Encode(SetupType type, std::span<const std::byte> body) {
  auto out = EncodeSetup(type, body);
  if (secret_) {
    const Mac mac = secret_->Sign(PurposeOf(self_), Numbered(number_++, out));
    out.insert(out.end(), mac.begin(), mac.end());
  }
  return out;
}

void FrameReader::Append(std::span<const std::byte> bytes) {
  bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(taken_));
  taken_ = 0;
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

Result<std::optional<Frame>> FrameReader::Next() {
  const auto rest = std::span<const std::byte>(bytes_).subspan(taken_);
  if (rest.size() < kSetupPrefixBytes) return std::nullopt;
  auto prefix = DecodeSetupPrefix(rest.first<kSetupPrefixBytes>());
  RELAY_TRY(prefix);
  if (!OnSessions(prefix->type)) return Fail(ErrorCode::kRemote, "a message that no session carries");
  const size_t message = kSetupPrefixBytes + prefix->body_length;
  const bool first = number_ == 0;
  const bool sealed = secret_ && !(first && prefix->type == SetupType::kRefused);
  const size_t whole = message + (sealed ? sizeof(Mac) : 0);
  if (rest.size() < whole) return std::nullopt;
  if (sealed) {
    Mac mac;
    std::copy_n(rest.begin() + static_cast<ptrdiff_t>(message), mac.size(), mac.begin());
    if (!secret_->Verify(PurposeOf(other_), Numbered(number_, rest.first(message)), mac)) {
      forged_ = true;
      return Fail(ErrorCode::kRemote,
                  "a message without proof of the fabric's key: it was forged, changed or replayed");
    }
  }
  ++number_;
  const auto body = rest.subspan(kSetupPrefixBytes, prefix->body_length);
  Frame frame{prefix->type, {body.begin(), body.end()}};
  taken_ += whole;
  if (taken_ == bytes_.size()) {
    bytes_.clear();
    taken_ = 0;
  }
  return frame;
}

}  // namespace relay::agent
