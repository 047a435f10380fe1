// Dials the neighbours whose lines this end is to dial, the one with the lower node id: again and again, with back-off,
// while a line has no session.
#pragma once
#include "agent/session/open_sessions.h"

namespace relay::agent {

class LineDialer {
 public:
  LineDialer(SessionParts& parts, Lines& lines, OpenSessions& sessions)
      : parts_(parts), lines_(lines), sessions_(sessions) {}

  // Soon, or after the pause that its failures ask for. Nothing, where the other end dials.
  void DialLater(const LineKey& key, Line& line);

 private:
  void Dial(const LineKey& key);
  void OnCallDone(const LineKey& key, SessionCall::Outcome outcome);

  SessionParts& parts_;
  Lines& lines_;
  OpenSessions& sessions_;
};

}  // namespace relay::agent
