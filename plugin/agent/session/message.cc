#include "agent/session/message.h"

#include "agent/trust/printable.h"
#include "base/codec.h"

namespace relay::agent {
namespace {

constexpr size_t kPatienceBound = 60'000;  // ms

tl::unexpected<Error> Malformed(const char* what) {
  return Fail(ErrorCode::kRemote, std::string("malformed ") + what + " from a neighbour");
}

}  // namespace

std::vector<std::byte> EncodeBody(const SessionMessage& m) {
  ByteWriter out;
  out.Put<uint64_t>(m.node);
  out.PutString(std::string_view(m.name).substr(0, kMaxNameBytes));
  out.Put<uint64_t>(m.incarnation);
  out.PutString(std::string_view(m.build).substr(0, kMaxBuildBytes));
  out.PutString(m.near_port);
  out.PutString(m.far_port);
  out.Put<uint16_t>(m.agent_port);
  return out.take();
}

Result<SessionMessage> DecodeSession(std::span<const std::byte> body) {
  ByteReader in(body);
  SessionMessage m;
  m.node = in.Get<uint64_t>();
  m.name = in.GetString(kMaxNameBytes);
  m.incarnation = in.Get<uint64_t>();
  m.build = in.GetString(kMaxBuildBytes);
  m.near_port = in.GetString(kMaxNameBytes);
  m.far_port = in.GetString(kMaxNameBytes);
  m.agent_port = in.Get<uint16_t>();
  const bool printable =
      IsPrintable(m.name) && IsPrintable(m.build) && IsPrintable(m.near_port) && IsPrintable(m.far_port);
  if (!in.AtEnd() || !printable || m.agent_port == 0) return Malformed("SESSION");
  return m;
}

std::vector<std::byte> EncodeBody(const SurveyMessage& m) {
  ByteWriter out;
  out.Put<uint64_t>(m.origin);
  out.Put<uint64_t>(m.id);
  out.Put<uint32_t>(m.patience_ms);
  out.PutString(m.question);
  return out.take();
}

Result<SurveyMessage> DecodeSurvey(std::span<const std::byte> body) {
  ByteReader in(body);
  SurveyMessage m;
  m.origin = in.Get<uint64_t>();
  m.id = in.Get<uint64_t>();
  m.patience_ms = in.Get<uint32_t>();
  m.question = in.GetString(kMaxQuestionBytes);
  if (!in.AtEnd() || m.patience_ms > kPatienceBound || !IsPrintable(m.question)) return Malformed("SURVEY");
  return m;
}

std::vector<std::byte> EncodeBody(const FindingsMessage& m) {
  ByteWriter out;
  out.Put<uint64_t>(m.origin);
  out.Put<uint64_t>(m.id);
  out.Put<uint16_t>(m.last ? 1 : 0);
  if (m.last) return out.take();
  out.Put<uint64_t>(m.finding.node);
  out.PutString(std::string_view(m.finding.name).substr(0, kMaxNameBytes));
  out.PutString(std::string_view(m.finding.text).substr(0, kMaxFindingBytes));
  return out.take();
}

Result<FindingsMessage> DecodeFindings(std::span<const std::byte> body) {
  ByteReader in(body);
  FindingsMessage m;
  m.origin = in.Get<uint64_t>();
  m.id = in.Get<uint64_t>();
  const auto last = in.Get<uint16_t>();
  m.last = last == 1;
  if (!m.last) {
    m.finding.node = in.Get<uint64_t>();
    m.finding.name = in.GetString(kMaxNameBytes);
    m.finding.text = in.GetString(kMaxFindingBytes);
  }
  if (!in.AtEnd() || last > 1 || !IsPrintable(m.finding.name)) return Malformed("FINDINGS");
  return m;
}

}  // namespace relay::agent
