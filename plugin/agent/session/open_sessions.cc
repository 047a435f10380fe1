#include "agent/session/open_sessions.h"

#include <algorithm>
#include <utility>

namespace relay::agent {
namespace {

// A session that lasted so long was a good one: the next failure is the first.
constexpr Duration kLasted = std::chrono::seconds(10);

}  // namespace

OpenSessions::OpenSessions(SessionParts& parts, Lines& lines, SessionTable::Hooks hooks, Without without)
    : parts_(parts),
      lines_(lines),
      hooks_(std::move(hooks)),
      without_(std::move(without)),
      surveys_(parts.loop, parts.self.node, SurveyHooks()) {}

Surveys::Hooks OpenSessions::SurveyHooks() {
  Surveys::Hooks out;
  out.ask = [this](SessionId id, const SurveyMessage& m) { Send(id, SetupType::kSurvey, EncodeBody(m)); };
  out.tell = [this](SessionId id, const FindingsMessage& m) { Send(id, SetupType::kFindings, EncodeBody(m)); };
  out.answer = [this](const std::string& question) {
    return Finding{parts_.self.node, parts_.self.name, hooks_.answer ? hooks_.answer(question) : ""};
  };
  out.sessions = [this] { return lines_.sessions(); };
  return out;
}

bool OpenSessions::Open(const LineKey& key, Session::Line opened, const SessionMessage& message) {
  Line& line = lines_.At(key);
  const SessionId id = next_++;
  const Adjacent& a = line.adjacent;
  SessionFacts facts;
  facts.id = id;
  facts.near_port = a.near_port;
  facts.far = a.far;
  facts.far_incarnation = message.incarnation;
  facts.far_name = message.name;
  facts.far_build = message.build;
  facts.routed = a.routed;
  facts.target = {a.routed ? "" : a.near_port, a.near_address, a.far_address.WithPort(message.agent_port)};
  Session::Hooks session_hooks;
  session_hooks.message = [this, id](Frame frame) { OnMessage(id, std::move(frame)); };
  session_hooks.round_trip = [this, id](Duration d) { OnRoundTrip(id, d); };
  session_hooks.ended = [this, id](const Loss& loss, bool forged) { OnEnded(id, loss, forged); };
  line.session = std::make_unique<Session>(parts_.loop, std::move(opened), std::move(session_hooks));
  line.up_since = parts_.loop.clock().Now();
  if (auto started = line.session->Start(); !started) {
    parts_.log.Warn("session", "no session with " + message.name + ": " + started.error().what);
    line.session.reset();
    return false;
  }
  line.facts = std::move(facts);
  lines_.Bind(id, key);
  Add(parts_.counters.sessions_opened);
  hooks_.up(SessionFacts(line.facts));
  return true;
}

bool OpenSessions::Send(SessionId id, SetupType type, std::span<const std::byte> body) {
  Line* line = lines_.Of(id);
  if (line != nullptr) line->session->Send(type, body);
  return line != nullptr;
}

void OpenSessions::OnMessage(SessionId id, Frame frame) {
  const Status taken = Take(id, frame);
  if (taken) return;
  Add(parts_.counters.setup_refused_bytes);
  if (Line* line = lines_.Of(id)) line->session->End({Loss::Cause::kOther, "it sent " + taken.error().what});
}

Status OpenSessions::Take(SessionId id, const Frame& frame) {
  if (frame.type == SetupType::kTable) {
    auto message = fabric::DecodeLinkState(frame.body);
    RELAY_TRY(message);
    Add(parts_.counters.link_state_received);
    hooks_.link_state(id, *message);
  } else if (frame.type == SetupType::kSurvey) {
    auto survey = DecodeSurvey(frame.body);
    RELAY_TRY(survey);
    surveys_.Receive(id, std::move(*survey));
  } else {
    auto findings = DecodeFindings(frame.body);
    RELAY_TRY(findings);
    surveys_.Receive(id, std::move(*findings));
  }
  return {};
}

void OpenSessions::OnRoundTrip(SessionId id, Duration round_trip) {
  Line* line = lines_.Of(id);
  if (line == nullptr) return;
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(round_trip).count() / 2;
  const uint32_t now = static_cast<uint32_t>(std::clamp<int64_t>(us, 1, UINT32_MAX)), before = line->facts.latency_us;
  if (before != 0 && now < 2 * uint64_t{before} && before < 2 * uint64_t{now}) return;
  line->facts.latency_us = now;
  if (hooks_.measured) hooks_.measured(SessionFacts(line->facts));
}

void OpenSessions::OnEnded(SessionId id, const Loss& loss, bool forged) {
  if (forged) Add(parts_.counters.link_state_forged);
  Line* line = lines_.Of(id);
  if (line == nullptr) return;
  const LineKey key = lines_.KeyOf(id);
  if (parts_.loop.clock().Now() - line->up_since >= kLasted) line->failures = 0;
  Close(*line, loss);
  // The owner may have lost the line meanwhile.
  if (const Line* left = lines_.Find(key); left != nullptr && !left->session) without_(key);
}

void OpenSessions::Close(Line& line, const Loss& loss) {
  if (!line.session) return;
  const std::unique_ptr<Session> ended = std::move(line.session);
  const SessionFacts facts = std::exchange(line.facts, {});
  line.lease = {};
  lines_.Unbind(facts.id);
  Add(parts_.counters.sessions_lost);
  surveys_.SessionDown(facts.id);
  hooks_.down(facts, loss);
}

}  // namespace relay::agent
