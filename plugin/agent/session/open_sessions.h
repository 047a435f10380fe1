// The sessions that are open, each on its line: what comes over them goes to the owner and to the surveys.
#pragma once
#include <functional>
#include <string>

#include "agent/session/lines.h"
#include "agent/session/session_parts.h"
#include "agent/session/timed_surveys.h"

namespace relay::agent {

class OpenSessions {
 public:
  // `without`: this line's session has ended by itself, and the line is still there.
  using Without = std::function<void(const LineKey& key)>;
  OpenSessions(SessionParts& parts, Lines& lines, SessionTable::Hooks hooks, Without without);

  // `message`: how the other end introduced itself. False: it does not start.
  bool Open(const LineKey& key, Session::Line opened, const SessionMessage& message);
  // Takes the session away and tells the owner; the line stays.
  void Close(Line& line, const Loss& loss);
  // Nothing happens when the session is gone. False: it is.
  bool Send(SessionId id, SetupType type, std::span<const std::byte> body);
  TimedSurveys& surveys() { return surveys_; }

 private:
  Surveys::Hooks SurveyHooks();
  void OnMessage(SessionId id, Frame frame);
  Status Take(SessionId id, const Frame& frame);
  void OnRoundTrip(SessionId id, Duration round_trip);
  void OnEnded(SessionId id, const Loss& loss, bool forged);

  SessionParts& parts_;
  Lines& lines_;
  const SessionTable::Hooks hooks_;
  const Without without_;
  TimedSurveys surveys_;
  SessionId next_ = 1;
};

}  // namespace relay::agent
