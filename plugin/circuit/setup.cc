#include "relay/setup.h"

#include <algorithm>
#include <cstdio>

#include "base/codec.h"

namespace relay {
namespace {

constexpr uint32_t kMagic = 0x594c526e;  // "nRLY" on the wire
constexpr uint16_t kSetupVersion = 5;

constexpr size_t kMaxHopBytes = 8 + 8 + 2 * (2 + kMaxNameBytes);
constexpr size_t kOpenFixedBytes = 12 + sizeof(Token) + 8 + 8 + 2 + 2 + 2 + 2 + 4;
constexpr size_t kMaxSideBytes = 2 + kMaxBuildBytes + 2 + kMaxPluginPathBytes;
constexpr size_t kMaxParallelBytes = 2 + kMaxParallelLinks * kMaxHopBytes;
static_assert(kOpenFixedBytes + 2 + kMaxNameBytes + kMaxHops * kMaxHopBytes + kMaxOfferBytes + kMaxSideBytes +
                  kMaxParallelBytes <=
              kMaxSetupBody);

std::vector<std::byte> Finish(SetupType type, const ByteWriter& body) { return EncodeSetup(type, body.bytes()); }

void PutName(ByteWriter& out, const CircuitName& name) {
  out.Put<uint64_t>(name.connection);
  out.Put<uint32_t>(name.epoch);
}

CircuitName GetName(ByteReader& in) {
  CircuitName name;
  name.connection = in.Get<uint64_t>();
  name.epoch = in.Get<uint32_t>();
  return name;
}

void PutOffer(ByteWriter& out, const std::vector<std::byte>& offer) {
  out.Put<uint16_t>(static_cast<uint16_t>(offer.size()));
  out.PutBytes(std::span(offer).first(static_cast<uint16_t>(offer.size())));
}

// False when it is longer than an offer may be.
bool GetOffer(ByteReader& in, std::vector<std::byte>& offer) {
  size_t size = in.Get<uint16_t>();
  if (size > kMaxOfferBytes) return false;
  auto bytes = in.GetBytes(size);
  offer.assign(bytes.begin(), bytes.end());
  return true;
}

void PutHop(ByteWriter& out, const RouteHop& hop) {
  out.Put<uint64_t>(hop.from);
  out.Put<uint64_t>(hop.to);
  out.PutString(hop.from_port);
  out.PutString(hop.to_port);
}

RouteHop GetHop(ByteReader& in) {
  RouteHop hop;
  hop.from = in.Get<uint64_t>();
  hop.to = in.Get<uint64_t>();
  hop.from_port = in.GetString(kMaxNameBytes);
  hop.to_port = in.GetString(kMaxNameBytes);
  return hop;
}

// False for what is no list of links beside the only one of a route.
bool GetParallel(ByteReader& in, OpenMessage& m) {
  const size_t count = in.Get<uint16_t>();
  if (count > kMaxParallelLinks || (count > 0 && m.route.size() != 1)) return false;
  for (size_t i = 0; i < count; ++i) {
    m.parallel.push_back(GetHop(in));
    if (m.parallel.back().from != m.route[0].from || m.parallel.back().to != m.route[0].to) return false;
  }
  return true;
}

void PutSide(ByteWriter& out, const std::string& build, const std::string& plugin) {
  out.PutString(std::string_view(build).substr(0, kMaxBuildBytes));
  out.PutString(std::string_view(plugin).substr(0, kMaxPluginPathBytes));
}

tl::unexpected<Error> Malformed(const char* what) {
  return Fail(ErrorCode::kRemote, std::string("malformed ") + what + " from a neighbour");
}

}  // namespace

std::string TokenText(const Token& token) {
  char text[9];
  snprintf(text, sizeof text, "%02x%02x%02x%02x", static_cast<unsigned>(token[0]), static_cast<unsigned>(token[1]),
           static_cast<unsigned>(token[2]), static_cast<unsigned>(token[3]));
  return text;
}

size_t MaxBody(SetupType type) {
  switch (type) {
    case SetupType::kProve:
    case SetupType::kChallenge:
      return 256;  // a nonce, a node with its name, a MAC
    case SetupType::kProof:
      return 32;
    case SetupType::kSession:
      return 1024;
    case SetupType::kPing:
    case SetupType::kPong:
      return 8;
    case SetupType::kSurvey:
      return 256;
    case SetupType::kFindings:
      return 40 * 1024;  // one answer and who gave it
    case SetupType::kTable:
      return kMaxTableBody;
    case SetupType::kOpen:
    case SetupType::kOpened:
    case SetupType::kRefused:
      break;
  }
  return kMaxSetupBody;
}

std::vector<std::byte> EncodeSetup(SetupType type, std::span<const std::byte> body) {
  ByteWriter out;
  out.Put<uint32_t>(kMagic);
  out.Put<uint16_t>(kSetupVersion);
  out.Put<uint16_t>(static_cast<uint16_t>(type));
  out.Put<uint32_t>(static_cast<uint32_t>(body.size()));
  out.PutBytes(body);
  return out.take();
}

std::vector<std::byte> EncodeOpen(const OpenMessage& m) {
  ByteWriter body;
  PutName(body, m.name);
  body.PutBytes(m.token);
  body.Put<uint64_t>(m.agreement);
  body.Put<uint64_t>(m.source);
  body.PutString(m.source_name);
  body.Put<uint16_t>(m.hop);
  body.Put<uint16_t>(static_cast<uint16_t>(m.route.size()));
  for (const RouteHop& hop : m.route) PutHop(body, hop);
  PutOffer(body, m.offer);
  PutSide(body, m.build, m.plugin);
  body.Put<uint16_t>(m.declared ? 1 : 0);
  body.Put<uint32_t>(m.settled_s);
  const size_t parallel = std::min(m.parallel.size(), kMaxParallelLinks);
  body.Put<uint16_t>(static_cast<uint16_t>(parallel));
  for (const RouteHop& hop : std::span(m.parallel).first(parallel)) PutHop(body, hop);
  body.PutBytes(m.source_token);
  body.Put<uint16_t>(m.inquiry ? 1 : 0);
  return Finish(SetupType::kOpen, body);
}

std::vector<std::byte> EncodeOpened(const OpenedMessage& m) {
  ByteWriter body;
  PutName(body, m.name);
  PutOffer(body, m.offer);
  PutSide(body, m.build, m.plugin);
  body.PutString(std::string_view(m.note).substr(0, kMaxSentenceBytes));
  return Finish(SetupType::kOpened, body);
}

std::vector<std::byte> EncodeRefused(const RefusedMessage& m) {
  ByteWriter body;
  body.Put<uint64_t>(m.node);
  body.Put<uint16_t>(m.final ? 1 : 0);
  body.Put<uint16_t>(static_cast<uint16_t>(m.code));
  body.PutString(std::string_view(m.sentence).substr(0, kMaxSentenceBytes));
  return Finish(SetupType::kRefused, body);
}

Result<SetupPrefix> DecodeSetupPrefix(std::span<const std::byte, kSetupPrefixBytes> in) {
  ByteReader reader(in);
  if (reader.Get<uint32_t>() != kMagic) return Fail(ErrorCode::kRemote, "not an nccl-relay agent: wrong magic");
  auto version = reader.Get<uint16_t>();
  if (version != kSetupVersion) {
    return Fail(ErrorCode::kUsage, "the neighbour sets up circuits in version " + std::to_string(version) +
                                       ", this node in version " + std::to_string(kSetupVersion) +
                                       ": install the same nccl-relay on both");
  }
  auto type = reader.Get<uint16_t>();
  auto length = reader.Get<uint32_t>();
  if (type < static_cast<uint16_t>(SetupType::kOpen) || type > static_cast<uint16_t>(SetupType::kFindings)) {
    return Malformed("set-up message: unknown type");
  }
  if (length > MaxBody(static_cast<SetupType>(type))) return Malformed("set-up message: too long");
  return SetupPrefix{static_cast<SetupType>(type), length};
}

Result<OpenMessage> DecodeOpen(std::span<const std::byte> body) {
  ByteReader in(body);
  OpenMessage m;
  m.name = GetName(in);
  auto token = in.GetBytes(m.token.size());
  if (!in.ok()) return Malformed("OPEN");
  std::copy(token.begin(), token.end(), m.token.begin());
  m.agreement = in.Get<uint64_t>();
  m.source = in.Get<uint64_t>();
  m.source_name = in.GetString(kMaxNameBytes);
  m.hop = in.Get<uint16_t>();
  size_t hops = in.Get<uint16_t>();
  if (!in.ok() || hops > kMaxHops || (hops == 0 ? m.hop != 0 : m.hop >= hops)) return Malformed("OPEN");
  for (size_t i = 0; i < hops && in.ok(); ++i) m.route.push_back(GetHop(in));
  if (!GetOffer(in, m.offer)) return Malformed("OPEN");
  m.build = in.GetString(kMaxBuildBytes);
  m.plugin = in.GetString(kMaxPluginPathBytes);
  auto declared = in.Get<uint16_t>();
  m.settled_s = in.Get<uint32_t>();
  if (!GetParallel(in, m)) return Malformed("OPEN");
  const auto source_token = in.GetBytes(m.source_token.size());
  const auto inquiry = in.Get<uint16_t>();
  if (!in.AtEnd() || declared > 1 || inquiry > 1) return Malformed("OPEN");
  std::copy(source_token.begin(), source_token.end(), m.source_token.begin());
  m.declared = declared == 1;
  m.inquiry = inquiry == 1;
  return m;
}

Result<OpenedMessage> DecodeOpened(std::span<const std::byte> body) {
  ByteReader in(body);
  OpenedMessage m;
  m.name = GetName(in);
  if (!GetOffer(in, m.offer)) return Malformed("OPENED");
  m.build = in.GetString(kMaxBuildBytes);
  m.plugin = in.GetString(kMaxPluginPathBytes);
  m.note = in.GetString(kMaxSentenceBytes);
  if (!in.AtEnd()) return Malformed("OPENED");
  return m;
}

Result<RefusedMessage> DecodeRefused(std::span<const std::byte> body) {
  ByteReader in(body);
  RefusedMessage m;
  m.node = in.Get<uint64_t>();
  auto final_flag = in.Get<uint16_t>();
  auto code = in.Get<uint16_t>();
  m.sentence = in.GetString(kMaxSentenceBytes);
  if (!in.AtEnd() || final_flag > 1) return Malformed("REFUSED");
  m.final = final_flag == 1;
  // A newer agent may have reasons that this one has no name for; its sentence still tells them.
  m.code = static_cast<RefusedCode>(code);
  return m;
}

}  // namespace relay
