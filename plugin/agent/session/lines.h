// The lines that discovery found, each with its call or its session, found by name and by session.
#pragma once
#include <compare>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/session/session.h"
#include "agent/session/session_call.h"
#include "agent/session/session_table.h"

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

// What an end says of itself over this line.
SessionMessage Introduction(const SessionTable::Self& self, const Line& line);

class Lines {
 public:
  // Made where there is none.
  Line& Make(const LineKey& key) { return lines_[key]; }
  // Which is there.
  Line& At(const LineKey& key) { return lines_.at(key); }
  bool Has(const LineKey& key) const { return lines_.contains(key); }
  Line* Find(const LineKey& key);
  // Taken out; its session is still known by its id.
  std::optional<Line> Remove(const LineKey& key);
  // Which of them a call of this message came over. `near_port`: interface of the listener.
  std::optional<LineKey> Called(const std::string& near_port, const SessionMessage& message) const;

  // A session is known from Bind to Unbind.
  void Bind(SessionId id, const LineKey& key) { line_of_session_[id] = key; }
  void Unbind(SessionId id) { line_of_session_.erase(id); }
  Line* Of(SessionId id);
  LineKey KeyOf(SessionId id) const { return line_of_session_.at(id); }
  std::vector<SessionId> sessions() const;
  std::vector<SessionFacts> facts() const;

  // All go, with their calls and sessions.
  void Clear(EventLoop& loop);

 private:
  std::map<LineKey, Line> lines_;
  std::map<SessionId, LineKey> line_of_session_;
};

}  // namespace relay::agent
