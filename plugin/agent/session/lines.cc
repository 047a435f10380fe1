#include "agent/session/lines.h"

#include <algorithm>
#include <utility>

namespace relay::agent {
namespace {

// A session that lasted so long was a good one: the next failure is the first.
constexpr Duration kLasted = std::chrono::seconds(10);

}  // namespace

LineKey KeyOf(const Adjacent& adjacent) { return {adjacent.routed ? "" : adjacent.near_port, adjacent.far}; }

SessionTable::Inner::Inner(EventLoop& event_loop, Self own, Hooks owner_hooks, Counters& count)
    : loop(event_loop),
      self(std::move(own)),
      hooks(std::move(owner_hooks)),
      counters(count),
      log(event_loop.clock()),
      surveys(self.node, SurveyHooks()) {}

Surveys::Hooks SessionTable::Inner::SurveyHooks() {
  Surveys::Hooks out;
  out.ask = [this](SessionId id, const SurveyMessage& m) { Send(id, SetupType::kSurvey, EncodeBody(m)); };
  out.tell = [this](SessionId id, const FindingsMessage& m) { Send(id, SetupType::kFindings, EncodeBody(m)); };
  out.answer = [this](const std::string& question) {
    return Finding{self.node, self.name, hooks.answer ? hooks.answer(question) : ""};
  };
  out.sessions = [this] {
    std::vector<SessionId> ids;
    for (const auto& [id, key] : line_of_session) ids.push_back(id);
    return ids;
  };
  return out;
}

SessionTable::Inner::~Inner() {
  loop.Cancel(survey_timer);
  for (auto& [key, line] : lines) loop.Cancel(line.dial);
  for (auto& [id, waiting] : parked) loop.Cancel(waiting.timer);
}

void SessionTable::Inner::Found(const Adjacent& adjacent) {
  const LineKey key = KeyOf(adjacent);
  Line& line = lines[key];
  const bool anew = adjacent.far_incarnation > line.adjacent.far_incarnation;
  line.adjacent = adjacent;
  if (anew) line.failures = 0;
  if (line.session && line.facts.far_incarnation < adjacent.far_incarnation) {
    Close(line, {Loss::Cause::kEnded, "its agent was started anew"});
  }
  if (!line.session && (anew || (!line.call && line.dial == 0))) {
    line.call.reset();
    DialLater(key, line);
  }
  Unpark();
}

void SessionTable::Inner::Lost(const Adjacent& adjacent, Loss loss) {
  auto it = lines.find(KeyOf(adjacent));
  if (it == lines.end()) return;
  loop.Cancel(it->second.dial);
  auto gone = lines.extract(it);
  const Session* session = gone.mapped().session.get();
  if (loss.cause == Loss::Cause::kHostSilent && session != nullptr && session->HostAnswers()) {
    loss.cause = Loss::Cause::kAgentSilent;
    loss.why += ", but its host answers";
  }
  Close(gone.mapped(), loss);
}

SessionMessage SessionTable::Inner::Introduction(const Line& line) const {
  return {self.node, self.name, self.incarnation, self.build, line.adjacent.near_port, line.adjacent.far.port,
          self.port};
}

void SessionTable::Inner::Open(const LineKey& key, Session::Line opened, const SessionMessage& message) {
  Line& line = lines.at(key);
  const SessionId id = next_session++;
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
  line.session = std::make_unique<Session>(loop, std::move(opened), std::move(session_hooks));
  line.up_since = loop.clock().Now();
  if (auto started = line.session->Start(); !started) {
    log.Warn("session", "no session with " + message.name + ": " + started.error().what);
    line.session.reset();
    return DialLater(key, line);
  }
  line.facts = std::move(facts);
  line_of_session[id] = key;
  Add(counters.sessions_opened);
  hooks.up(SessionFacts(line.facts));
}

Line* SessionTable::Inner::FindLine(SessionId id) {
  auto it = line_of_session.find(id);
  return it == line_of_session.end() ? nullptr : &lines.at(it->second);
}

void SessionTable::Inner::Send(SessionId id, SetupType type, std::span<const std::byte> body) {
  if (Line* line = FindLine(id)) line->session->Send(type, body);
}

void SessionTable::Inner::OnMessage(SessionId id, Frame frame) {
  const TimePoint now = loop.clock().Now();
  const auto refuse = [&](const Error& error) {
    Add(counters.setup_refused_bytes);
    if (Line* line = FindLine(id)) line->session->End({Loss::Cause::kOther, "it sent " + error.what});
  };
  if (frame.type == SetupType::kTable) {
    auto message = fabric::DecodeLinkState(frame.body);
    if (!message) return refuse(message.error());
    Add(counters.link_state_received);
    return hooks.link_state(id, *message);
  }
  if (frame.type == SetupType::kSurvey) {
    auto survey = DecodeSurvey(frame.body);
    if (!survey) return refuse(survey.error());
    surveys.Receive(id, *survey, now);
  } else {
    auto findings = DecodeFindings(frame.body);
    if (!findings) return refuse(findings.error());
    surveys.Receive(id, std::move(*findings), now);
  }
  TickSurveys();
}

void SessionTable::Inner::OnRoundTrip(SessionId id, Duration round_trip) {
  Line* line = FindLine(id);
  if (line == nullptr) return;
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(round_trip).count() / 2;
  const uint32_t now = static_cast<uint32_t>(std::clamp<int64_t>(us, 1, UINT32_MAX)), before = line->facts.latency_us;
  if (before != 0 && now < 2 * uint64_t{before} && before < 2 * uint64_t{now}) return;
  line->facts.latency_us = now;
  if (hooks.measured) hooks.measured(SessionFacts(line->facts));
}

void SessionTable::Inner::OnEnded(SessionId id, const Loss& loss, bool forged) {
  if (forged) Add(counters.link_state_forged);
  Line* line = FindLine(id);
  if (line == nullptr) return;
  const LineKey key = line_of_session.at(id);
  if (loop.clock().Now() - line->up_since >= kLasted) line->failures = 0;
  Close(*line, loss);
  // The owner may have lost the line meanwhile.
  if (auto it = lines.find(key); it != lines.end() && !it->second.session) DialLater(key, it->second);
}

void SessionTable::Inner::Close(Line& line, const Loss& loss) {
  if (!line.session) return;
  const std::unique_ptr<Session> ended = std::move(line.session);
  const SessionFacts facts = std::exchange(line.facts, {});
  line.lease = {};
  line_of_session.erase(facts.id);
  Add(counters.sessions_lost);
  surveys.SessionDown(facts.id, loop.clock().Now());
  hooks.down(facts, loss);
}

void SessionTable::Inner::TickSurveys() {
  loop.Cancel(survey_timer);
  survey_timer = loop.After(Duration::zero(), [this] {
    survey_timer = 0;
    const TimePoint next = surveys.Tick(loop.clock().Now());
    if (next == TimePoint::max() || survey_timer != 0) return;
    survey_timer = loop.After(next - loop.clock().Now(), [this] {
      survey_timer = 0;
      TickSurveys();
    });
  });
}

}  // namespace relay::agent
