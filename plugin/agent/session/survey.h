// Questions that are flooded over sessions, and their answers on the way back: each agent asks on all its sessions but
// the one that the question came by, passes on what comes back, and says "last" when all that it asked have. Whoever is
// asked twice says "last" at once, so the way back is a tree. Pure; one thread.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "agent/session/message.h"
#include "base/clock.h"

namespace relay::agent {

class Surveys {
 public:
  struct Hooks {
    std::function<void(SessionId, const SurveyMessage&)> ask;
    std::function<void(SessionId, const FindingsMessage&)> tell;
    std::function<Finding(const std::string& question)> answer;  // of this node
    std::function<std::vector<SessionId>()> sessions;
  };
  using Done = std::function<void(std::vector<Finding>)>;

  Surveys(NodeId self, Hooks hooks) : self_(self), hooks_(std::move(hooks)) {}

  // `done` gets one finding of each node that answered, this one's first, when all have or `patience` is over. Never
  // called before this returns: by a later call of Tick or Receive.
  void Ask(const std::string& question, Duration patience, Done done, TimePoint now);
  void Receive(SessionId from, const SurveyMessage& survey, TimePoint now);
  void Receive(SessionId from, FindingsMessage findings, TimePoint now);
  // What it was asked is not waited for any more.
  void SessionDown(SessionId session, TimePoint now);
  // Ends what is overdue; returns when to be called again (TimePoint::max(): when something was asked or received).
  TimePoint Tick(TimePoint now);
  size_t size() const { return surveys_.size(); }

 private:
  using Key = std::pair<NodeId, uint64_t>;  // origin, id
  struct Survey {
    SessionId parent = 0;  // 0: asked here, or nobody to tell any more
    std::set<SessionId> awaited;
    TimePoint deadline, forget;  // until then, asked again is asked twice
    bool over = false;
    std::set<NodeId> heard;         // passed on, or kept, once each
    std::vector<Finding> findings;  // asked here
    Done done;
  };
  void Begin(const Key& key, Survey survey, const std::string& question, uint32_t patience_ms);
  void Keep(const Key& key, Survey& survey, Finding finding);
  // When nothing is awaited any more. Last thing a member does: `done` may do anything.
  void MaybeEnd(const Key& key);

  const NodeId self_;
  const Hooks hooks_;
  std::map<Key, Survey> surveys_;
  uint64_t next_ = 1;
};

}  // namespace relay::agent
