// Calls for a session that come in, from the ends with lower node ids: taken onto their line, parked for a moment until
// discovery finds it, or refused in a sentence.
#pragma once
#include <map>
#include <string>

#include "agent/session/open_sessions.h"

namespace relay::agent {

class SessionCalls {
 public:
  using Call = SessionTable::Call;
  SessionCalls(SessionParts& parts, Lines& lines, OpenSessions& sessions)
      : parts_(parts), lines_(lines), sessions_(sessions) {}
  ~SessionCalls();
  SessionCalls(const SessionCalls&) = delete;
  SessionCalls& operator=(const SessionCalls&) = delete;

  void Accepted(Call call);
  // A line was found: whoever is parked may have called over it.
  void Unpark();

 private:
  struct Parked {
    Call call;
    SessionMessage message;
    EventLoop::TimerId timer;
  };
  void Park(Call call, SessionMessage message);
  void Take(const LineKey& key, Call call, const SessionMessage& message);
  void Refuse(const Call& call, RefusedCode code, const std::string& why);
  void RefuseUnknown(const Call& call, const SessionMessage& message);

  SessionParts& parts_;
  Lines& lines_;
  OpenSessions& sessions_;
  std::map<uint64_t, Parked> parked_;
  uint64_t next_ = 1;
};

}  // namespace relay::agent
