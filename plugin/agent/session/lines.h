// The lines that discovery found, each with its call or its session: the inside of SessionTable.
#pragma once
#include <compare>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "agent/common/rate_limited_log.h"
#include "agent/session/session.h"
#include "agent/session/session_call.h"
#include "agent/session/session_table.h"
#include "agent/session/survey.h"

namespace relay::agent {

// An adjacency by name. A routed one may change the port it leaves by.
struct LineKey {
  std::string near_port;  // empty: routed
  PortName far;
  auto operator<=>(const LineKey&) const = default;
};
LineKey KeyOf(const Adjacent& adjacent);

struct Line {
  Adjacent adjacent;
  std::unique_ptr<SessionCall> call;
  std::unique_ptr<Session> session;
  SessionFacts facts;   // of the session
  Budget::Lease lease;  // of an accepted session
  TimePoint up_since{};
  unsigned failures = 0;  // since the last session that lasted
  EventLoop::TimerId dial = 0;
};

struct SessionTable::Inner {
  Inner(EventLoop& event_loop, Self own, Hooks owner_hooks, Counters& count);
  ~Inner();
  Inner(const Inner&) = delete;
  Inner& operator=(const Inner&) = delete;

  void Found(const Adjacent& adjacent);
  void Lost(const Adjacent& adjacent, Loss loss);

  // Dialling.
  bool Dials(const Line& line) const { return self.node < line.adjacent.far.node; }
  void DialLater(const LineKey& key, Line& line);
  void Dial(const LineKey& key);
  void OnCallDone(const LineKey& key, SessionCall::Outcome outcome);

  // Being called.
  void Accepted(Call call);
  std::optional<LineKey> LineOf(const Call& call, const SessionMessage& message) const;
  void Park(Call call, SessionMessage message);
  void Unpark();
  void Take(const LineKey& key, Call call, const SessionMessage& message);
  void Refuse(const Call& call, RefusedCode code, const std::string& why);

  // Open sessions.
  SessionMessage Introduction(const Line& line) const;
  void Open(const LineKey& key, Session::Line opened, const SessionMessage& message);
  void OnMessage(SessionId id, Frame frame);
  void OnRoundTrip(SessionId id, Duration round_trip);
  void OnEnded(SessionId id, const Loss& loss, bool forged);
  // Takes the session away and tells the owner; the line stays.
  void Close(Line& line, const Loss& loss);
  Line* FindLine(SessionId id);
  void Send(SessionId id, SetupType type, std::span<const std::byte> body);

  Surveys::Hooks SurveyHooks();
  void TickSurveys();

  struct Parked {
    Call call;
    SessionMessage message;
    EventLoop::TimerId timer;
  };

  EventLoop& loop;
  Self self;
  const Hooks hooks;
  Counters& counters;
  RateLimitedLog log;
  std::map<LineKey, Line> lines;
  std::map<SessionId, LineKey> line_of_session;
  std::map<uint64_t, Parked> parked;
  Surveys surveys;
  SessionId next_session = 1;
  uint64_t next_parked = 1;
  EventLoop::TimerId survey_timer = 0;
};

}  // namespace relay::agent
