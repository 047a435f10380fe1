// The circuits that this node's processes hold, by the links that they run over: who hears that a link has gone, and
// who that a better path has been there for a while. One thread.
#pragma once
#include <map>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "agent/setup/agent_parts.h"
#include "fabric/route.h"
#include "relay/control.h"

namespace relay::agent {

class CircuitWatch {
 public:
  // A better path must have been there, unchanged, for so long: one that comes and goes is not worth the move. Who does
  // not take it hears of it again after twice that, four times, at most kLongestPause times.
  static constexpr Duration kHoldDown = std::chrono::seconds(10);
  static constexpr int kLongestPause = 30;
  // One client watches no more: several times the connections of the largest job that one process takes part in.
  static constexpr size_t kMostOfOne = 16384;

  CircuitWatch(const AgentParts& parts, Duration hold_down) : parts_(parts), hold_down_(hold_down) {}
  ~CircuitWatch();
  CircuitWatch(const CircuitWatch&) = delete;
  CircuitWatch& operator=(const CircuitWatch&) = delete;

  // Tells at once of a link that is known to be down. False: this client watches as many as one may.
  bool Watch(ClientId client, control::Watch watch);
  void Unwatch(ClientId client, uint64_t connection);
  void DropClient(ClientId client);
  // These links are down, and the history knows why: whoever watches one hears of it. Ascending.
  void LinksLost(std::span<const fabric::LinkName> links);
  // Other paths may be the best ones now.
  void PathsChanged();
  size_t size() const { return watched_.size(); }

 private:
  using Key = std::pair<ClientId, uint64_t>;  // client, connection
  struct Watched {
    control::Watch watch;
    std::vector<fabric::LinkName> links;
    // A better path than this one, by its links; empty: there is none.
    std::vector<fabric::LinkName> better;
    Duration pause{};
    TimePoint due{};  // when it is told of next
  };
  // The best path to a node now.
  struct Best {
    fabric::Path path;
    std::vector<fabric::LinkName> links;
  };
  using Bests = std::map<NodeId, std::optional<Best>>;

  void Remove(std::map<Key, Watched>::iterator at);
  void TellLost(const Key& key, const Watched& watched, std::span<const fabric::LinkName> links);
  std::optional<Best> FindBest(NodeId node);
  bool IsBetter(const Best& best, const Watched& watched) const;
  void Look(Watched& watched, Bests& bests);
  void TellBetter(const Key& key, Watched& watched);
  void SetTimer();
  void OnTimer();

  const AgentParts& parts_;
  const Duration hold_down_;
  std::map<Key, Watched> watched_;
  std::map<fabric::LinkName, std::set<Key>> by_link_;
  std::map<ClientId, size_t> of_client_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace relay::agent
