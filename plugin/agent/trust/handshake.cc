#include "agent/trust/handshake.h"

#include <algorithm>
#include <cstdio>

#include "agent/trust/printable.h"
#include "base/codec.h"

namespace relay::agent {
namespace {

constexpr std::string_view kAcceptorProof = "relay acceptor", kDiallerProof = "relay dialler",
                           kCallSecret = "relay call";

using Reason = HandshakeRefusal::Reason;

std::string NameOf(const Party& party) {
  if (!party.name.empty()) return party.name;
  char text[32];
  snprintf(text, sizeof text, "node %016llx", static_cast<unsigned long long>(party.node));
  return text;
}

std::vector<std::byte> Introduction(const Nonce& nonce, const Party& party) {
  ByteWriter out;
  out.PutBytes(nonce);
  out.Put<uint64_t>(party.node);
  out.PutString(std::string_view(party.name).substr(0, kMaxNameBytes));
  return out.take();
}

// What is left after it belongs to the caller. nullopt: none.
std::optional<Party> GetIntroduction(ByteReader& in) {
  Party party;
  in.GetBytes(sizeof(Nonce));
  party.node = in.Get<uint64_t>();
  party.name = in.GetString(kMaxNameBytes);
  if (!in.ok() || !IsPrintable(party.name)) return std::nullopt;
  return party;
}

Mac GetMac(ByteReader& in) {
  Mac mac{};
  auto bytes = in.GetBytes(mac.size());
  std::copy(bytes.begin(), bytes.end(), mac.begin());
  return mac;
}

std::vector<std::byte> Joined(std::span<const std::byte> a, std::span<const std::byte> b) {
  std::vector<std::byte> out(a.begin(), a.end());
  out.insert(out.end(), b.begin(), b.end());
  return out;
}

// Who sends it, as far as an OPEN or a SESSION says.
Party SenderOf(SetupType type, std::span<const std::byte> body) {
  if (type == SetupType::kOpen) {
    auto open = DecodeOpen(body);
    if (!open) return {};
    if (open->hop == 0) return {open->source, IsPrintable(open->source_name) ? open->source_name : ""};
    return {open->route[open->hop].from, ""};
  }
  ByteReader in(body);
  Party party;
  party.node = in.Get<uint64_t>();
  party.name = in.GetString(kMaxNameBytes);
  return in.ok() && IsPrintable(party.name) ? party : Party{};
}

}  // namespace

std::string DifferentKeysText(const std::string& self, const std::string& other) {
  return self + " and " + other + " hold different keys: compare the files that NCCL_RELAY_KEY_FILE names";
}

DialerHandshake::DialerHandshake(std::shared_ptr<const Key> key, Call call, const Nonce& nonce)
    : key_(std::move(key)), call_(std::move(call)), prove_(Introduction(nonce, call_.self)) {}

std::vector<std::byte> DialerHandshake::Begin() {
  if (key_) return EncodeSetup(SetupType::kProve, prove_);
  state_ = State::kDone;
  return call_.message;
}

HandshakeStep DialerHandshake::Receive(SetupType type, std::span<const std::byte> body) {
  if (state_ != State::kProving) {
    return Refused(Reason::kBytes, RefusedCode::kProtocol, NameOf(call_.peer) + " goes on after a greeting that ended");
  }
  if (type == SetupType::kRefused) {
    state_ = State::kRefused;
    if (auto theirs = DecodeRefused(body)) return {{}, HandshakeRefusal{Reason::kTheirs, std::move(*theirs)}};
  }
  ByteReader in(body);
  auto peer = GetIntroduction(in);
  const Mac mac = GetMac(in);
  if (type != SetupType::kChallenge || !peer || !in.AtEnd()) {
    return Refused(Reason::kBytes, RefusedCode::kProtocol,
                   NameOf(call_.peer) + " answers a greeting with bytes that no agent sends");
  }
  const auto transcript = Joined(prove_, body.first(body.size() - mac.size()));
  if (!key_->Verify(kAcceptorProof, transcript, mac)) {
    return Refused(Reason::kOtherKey, RefusedCode::kForbidden, DifferentKeysText(NameOf(call_.self), NameOf(*peer)));
  }
  if (call_.peer.node != 0 && peer->node != call_.peer.node) {
    return Refused(Reason::kTheirs, RefusedCode::kForbidden,
                   NameOf(call_.self) + " called " + NameOf(call_.peer) + ", and " + NameOf(*peer) +
                       " answered: is one address given to two nodes?");
  }
  secret_ = Key::FromBytes(key_->Sign(kCallSecret, transcript));
  state_ = State::kDone;
  HandshakeStep step;
  step.send = EncodeSetup(SetupType::kProof, key_->Sign(kDiallerProof, Joined(transcript, call_.message)));
  step.send.insert(step.send.end(), call_.message.begin(), call_.message.end());
  return step;
}

HandshakeStep DialerHandshake::Refused(Reason reason, RefusedCode code, std::string sentence) {
  state_ = State::kRefused;
  RefusedMessage message{call_.self.node, reason != Reason::kTheirs, code, std::move(sentence)};
  auto bytes = EncodeRefused(message);
  return {std::move(bytes), HandshakeRefusal{reason, std::move(message)}};
}

AcceptorHandshake::AcceptorHandshake(std::shared_ptr<const Key> key, Party self, const Nonce& nonce, NameOfNode name_of)
    : key_(std::move(key)), self_(std::move(self)), nonce_(nonce), name_of_(std::move(name_of)) {}

std::string AcceptorHandshake::Name(const Party& party) const {
  return party.name.empty() && name_of_ ? name_of_(party.node) : NameOf(party);
}

HandshakeStep AcceptorHandshake::Receive(SetupType type, std::span<const std::byte> body) {
  if (state_ == State::kFirst) return First(type, body);
  if (state_ == State::kChallenged) return TakeProof(type, body);
  if (state_ == State::kProven) return TakeMessage(type, body);
  return Refused(Reason::kBytes, self_.name + " got more after a greeting that ended");
}

HandshakeStep AcceptorHandshake::First(SetupType type, std::span<const std::byte> body) {
  const bool message = type == SetupType::kOpen || type == SetupType::kSession;
  if (message && !key_) {
    state_ = State::kDone;
    return {};
  }
  if (message) {
    const std::string other = Name(SenderOf(type, body));
    return Refused(Reason::kNoKey, NameOf(self_) + "'s fabric has a key and " + other +
                                       " offers none: set NCCL_RELAY_KEY_FILE on " + other + " to the fabric's key");
  }
  if (type == SetupType::kProve) return Challenge(body);
  return Refused(Reason::kBytes, NameOf(self_) + " got an answer where OPEN, SESSION or PROVE was due");
}

HandshakeStep AcceptorHandshake::Challenge(std::span<const std::byte> body) {
  ByteReader in(body);
  auto dialler = GetIntroduction(in);
  if (!dialler || !in.AtEnd()) return Refused(Reason::kBytes, NameOf(self_) + " got a PROVE that it cannot read");
  dialler_ = std::move(*dialler);
  if (!key_) {
    return Refused(Reason::kNoKey, NameOf(self_) + " has no key and " + Name(dialler_) +
                                       "'s fabric has one: set NCCL_RELAY_KEY_FILE on " + NameOf(self_) +
                                       " to the fabric's key");
  }
  const auto introduction = Introduction(nonce_, self_);
  transcript_ = Joined(body, introduction);
  state_ = State::kChallenged;
  HandshakeStep step;
  step.send = EncodeSetup(SetupType::kChallenge, Joined(introduction, key_->Sign(kAcceptorProof, transcript_)));
  return step;
}

HandshakeStep AcceptorHandshake::TakeProof(SetupType type, std::span<const std::byte> body) {
  if (type == SetupType::kRefused) {
    state_ = State::kRefused;
    auto theirs = DecodeRefused(body);
    if (!theirs) return Refused(Reason::kBytes, NameOf(self_) + " got a REFUSED that it cannot read");
    // A dialler that refuses a proof does so because its key is another one, or because it called somebody else.
    const bool key = theirs->code == RefusedCode::kForbidden && theirs->final;
    if (key) theirs->sentence = DifferentKeysText(NameOf(self_), Name(dialler_));
    return {{}, HandshakeRefusal{key ? Reason::kOtherKey : Reason::kTheirs, std::move(*theirs)}};
  }
  if (type != SetupType::kProof || body.size() != proof_.size()) {
    return Refused(Reason::kBytes,
                   NameOf(self_) + " got something else where the PROOF of " + Name(dialler_) + " was due");
  }
  std::copy(body.begin(), body.end(), proof_.begin());
  state_ = State::kProven;
  return {};
}

HandshakeStep AcceptorHandshake::TakeMessage(SetupType type, std::span<const std::byte> body) {
  if (type != SetupType::kOpen && type != SetupType::kSession) {
    return Refused(Reason::kBytes,
                   NameOf(self_) + " got something else where OPEN or SESSION of " + Name(dialler_) + " was due");
  }
  if (!key_->Verify(kDiallerProof, Joined(transcript_, EncodeSetup(type, body)), proof_)) {
    return Refused(Reason::kOtherKey, DifferentKeysText(NameOf(self_), Name(dialler_)));
  }
  secret_ = Key::FromBytes(key_->Sign(kCallSecret, transcript_));
  state_ = State::kDone;
  return {};
}

HandshakeStep AcceptorHandshake::Refused(Reason reason, std::string sentence) {
  state_ = State::kRefused;
  const auto code = reason == Reason::kBytes ? RefusedCode::kProtocol : RefusedCode::kForbidden;
  RefusedMessage message{self_.node, true, code, std::move(sentence)};
  auto bytes = EncodeRefused(message);
  return {std::move(bytes), HandshakeRefusal{reason, std::move(message)}};
}

}  // namespace relay::agent
