#include "agent/setup/circuit_watch.h"

#include <algorithm>

#include "agent/clients/control_server.h"
#include "agent/node/link_history.h"
#include "base/log.h"

namespace relay::agent {

CircuitWatch::~CircuitWatch() { parts_.loop.Cancel(timer_); }

bool CircuitWatch::Watch(ClientId client, control::Watch watch) {
  const Key key{client, watch.connection};
  if (auto known = watched_.find(key); known != watched_.end()) Remove(known);
  const auto count = of_client_.find(client);
  if (count != of_client_.end() && count->second >= kMostOfOne) return false;
  ++of_client_[client];
  Watched& added = watched_[key];
  added.links = fabric::NamesOf(watch.route);
  added.watch = std::move(watch);
  std::vector<fabric::LinkName> down;
  for (const fabric::LinkName& link : added.links) {
    by_link_[link].insert(key);
    if (parts_.history.Find(link) != nullptr) down.push_back(link);
  }
  if (!down.empty()) TellLost(key, added, down);
  Bests bests;
  Look(added, bests);
  if (!added.better.empty()) SetTimer();
  return true;
}

void CircuitWatch::Remove(std::map<Key, Watched>::iterator at) {
  for (const fabric::LinkName& link : at->second.links) {
    const auto keys = by_link_.find(link);
    keys->second.erase(at->first);
    if (keys->second.empty()) by_link_.erase(keys);
  }
  const auto count = of_client_.find(at->first.first);
  if (--count->second == 0) of_client_.erase(count);
  watched_.erase(at);
}

void CircuitWatch::Unwatch(ClientId client, uint64_t connection) {
  if (auto known = watched_.find({client, connection}); known != watched_.end()) Remove(known);
}

void CircuitWatch::DropClient(ClientId client) {
  for (auto it = watched_.lower_bound({client, 0}); it != watched_.end() && it->first.first == client;) Remove(it++);
}

void CircuitWatch::LinksLost(std::span<const fabric::LinkName> links) {
  std::set<Key> concerned;
  for (const fabric::LinkName& link : links) {
    if (const auto keys = by_link_.find(link); keys != by_link_.end()) {
      concerned.insert(keys->second.begin(), keys->second.end());
    }
  }
  for (const Key& key : concerned) TellLost(key, watched_.at(key), links);
}

// One sentence, whatever went: of the link that is nearest to this node, because what lies behind it went with it.
void CircuitWatch::TellLost(const Key& key, const Watched& watched, std::span<const fabric::LinkName> links) {
  const auto& route = watched.watch.route;
  const LinkHistory::Event* event = nullptr;
  for (size_t i = 0; i < route.size() && event == nullptr; ++i) {
    const fabric::LinkName name = fabric::NameOf(watched.watch.source ? route[i] : route[route.size() - 1 - i]);
    if (std::binary_search(links.begin(), links.end(), name)) event = parts_.history.Find(name);
  }
  ClientSession* session = parts_.clients.Find(key.first);
  if (event == nullptr || session == nullptr) return;
  Add(parts_.counters.links_lost_told);
  session->Send({0, control::LinkLost{key.second, DownText(*event)}});
}

std::optional<CircuitWatch::Best> CircuitWatch::FindBest(NodeId node) {
  const fabric::Fabric& fabric = parts_.node.fabric;
  const auto to = fabric::FindNode(fabric, node);
  if (!to || *to == parts_.node.self || parts_.node.draining) return std::nullopt;
  auto path = parts_.paths.To(fabric, *to);
  if (!path) return std::nullopt;
  auto links = fabric::NamesOf(fabric::RouteOf(fabric, *path));
  // One that begins with a cable that is out can only be a declared fabric's.
  for (const fabric::LinkName& link : links) {
    if (parts_.history.Find(link) != nullptr) return std::nullopt;
  }
  return Best{std::move(*path), std::move(links)};
}

bool CircuitWatch::IsBetter(const Best& best, const Watched& watched) const {
  const fabric::Fabric& fabric = parts_.node.fabric;
  const auto path = fabric::PathOf(fabric, watched.watch.route);
  if (!path || fabric::LeadsThroughDraining(fabric, *path)) return true;
  return fabric::ComesBefore(best.path, *path);
}

void CircuitWatch::Look(Watched& watched, Bests& bests) {
  if (!watched.watch.source || watched.watch.route.empty()) return;
  const NodeId to = watched.watch.node;
  auto known = bests.find(to);
  if (known == bests.end()) known = bests.emplace(to, FindBest(to)).first;
  const auto& best = known->second;
  // Links parallel to a direct path are watched with it: the best path then is some of them.
  const bool better = best && !fabric::AllAmong(best->links, watched.links) && IsBetter(*best, watched);
  if (!better) return watched.better.clear();
  if (watched.better == best->links) return;
  watched.better = best->links;
  watched.pause = hold_down_;
  watched.due = parts_.loop.clock().Now() + hold_down_;
}

void CircuitWatch::PathsChanged() {
  Bests bests;
  for (auto& [key, watched] : watched_) Look(watched, bests);
  SetTimer();
}

void CircuitWatch::SetTimer() {
  parts_.loop.Cancel(std::exchange(timer_, 0));
  TimePoint next = TimePoint::max();
  for (const auto& [key, watched] : watched_) {
    if (!watched.better.empty()) next = std::min(next, watched.due);
  }
  if (next == TimePoint::max()) return;
  timer_ = parts_.loop.After(std::max(next - parts_.loop.clock().Now(), Duration::zero()), [this] { OnTimer(); });
}

void CircuitWatch::OnTimer() {
  timer_ = 0;
  const TimePoint now = parts_.loop.clock().Now();
  for (auto& [key, watched] : watched_) {
    if (!watched.better.empty() && watched.due <= now) TellBetter(key, watched);
  }
  SetTimer();
}

void CircuitWatch::TellBetter(const Key& key, Watched& watched) {
  watched.pause = std::min<Duration>(2 * watched.pause, kLongestPause * hold_down_);
  watched.due = parts_.loop.clock().Now() + watched.pause;
  const auto best = FindBest(watched.watch.node);
  ClientSession* session = parts_.clients.Find(key.first);
  if (!best || session == nullptr) return;
  Add(parts_.counters.better_paths_told);
  session->Send({0, control::BetterPath{key.second, fabric::PathText(parts_.node.fabric, best->path)}});
}

}  // namespace relay::agent
