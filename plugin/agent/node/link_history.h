// What was heard last of each link that is not up, as far as this agent knows it: for sentences that say why something
// does not work. Bounded: the oldest is forgotten first. One thread.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "agent/discovery/adjacency.h"
#include "base/clock.h"
#include "fabric/route.h"

namespace relay::agent {

class LinkHistory {
 public:
  struct Event {
    std::string link;  // "B-C (B/bc to C/cb)"
    std::string what;  // "no carrier"
    TimePoint when{};
  };
  static constexpr size_t kMost = 4096;

  // Takes the place of what was known of that link.
  void Note(const fabric::LinkName& name, Event event);
  // It is up.
  void Forget(const fabric::LinkName& name);
  // nullptr: nothing is known, or it is up. Valid until the next Note or Forget.
  const Event* Find(const fabric::LinkName& name) const;
  // The newest one of a link that leads from a node of this fabric to one that it does not have: what cut off the rest.
  const Event* NewestAtTheEdge(const fabric::Fabric& fabric) const;
  size_t size() const { return events_.size(); }

 private:
  struct Kept {
    Event event;
    uint64_t serial = 0;
  };
  std::map<fabric::LinkName, Kept> events_;
  std::map<uint64_t, fabric::LinkName> in_order_;  // bounds events_
  uint64_t next_ = 1;
};

// "no carrier", "node B has been silent for 3.5 s", "the agent of B ended": what an Event says of a link of this node's
// own. `far` is the name of the node at its other end.
std::string LossText(const Loss& loss, const std::string& far);
// "link B-C (B/bc to C/cb) is down: no carrier".
std::string DownText(const LinkHistory::Event& event);
// "; the last of link B-C: no carrier, 12 s ago", for the end of a sentence; "" for nullptr.
std::string LastText(const LinkHistory::Event* event, TimePoint now);

}  // namespace relay::agent
