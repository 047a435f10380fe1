#include "agent/session/lines.h"

namespace relay::agent {

LineKey KeyOf(const Adjacent& adjacent) { return {adjacent.routed ? "" : adjacent.near_port, adjacent.far}; }

SessionMessage Introduction(const SessionTable::Self& self, const Line& line) {
  return {self.node, self.name, self.incarnation, self.build, line.adjacent.near_port, line.adjacent.far.port,
          self.port};
}

Line* Lines::Find(const LineKey& key) {
  auto it = lines_.find(key);
  return it == lines_.end() ? nullptr : &it->second;
}

std::optional<Line> Lines::Remove(const LineKey& key) {
  auto gone = lines_.extract(key);
  if (!gone) return std::nullopt;
  return std::move(gone.mapped());
}

std::optional<LineKey> Lines::Called(const std::string& near_port, const SessionMessage& message) const {
  const PortName far{message.node, message.near_port};
  if (message.far_port == near_port && lines_.contains({near_port, far})) return LineKey{near_port, far};
  if (lines_.contains({"", far})) return LineKey{"", far};
  // Beyond routers, the port that a call leaves by is the kernel's choice, which may have changed since the last hello.
  for (const auto& [key, line] : lines_) {
    if (line.adjacent.routed && key.far.node == message.node) return key;
  }
  return std::nullopt;
}

Line* Lines::Of(SessionId id) {
  auto it = line_of_session_.find(id);
  return it == line_of_session_.end() ? nullptr : &lines_.at(it->second);
}

std::vector<SessionId> Lines::sessions() const {
  std::vector<SessionId> out;
  for (const auto& [id, key] : line_of_session_) out.push_back(id);
  return out;
}

std::vector<SessionFacts> Lines::facts() const {
  std::vector<SessionFacts> out;
  for (const auto& [id, key] : line_of_session_) out.push_back(lines_.at(key).facts);
  return out;
}

void Lines::Clear(EventLoop& loop) {
  for (auto& [key, line] : lines_) loop.Cancel(line.dial);
  line_of_session_.clear();
  lines_.clear();
}

}  // namespace relay::agent
