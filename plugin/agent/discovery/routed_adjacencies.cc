#include "agent/discovery/routed_adjacencies.h"

#include <algorithm>
#include <array>

#include "agent/discovery/address_range.h"

namespace relay::agent {
namespace {

// Between the first questions to an address; then the last one again and again.
constexpr std::array<Duration, 5> kQuestions = {std::chrono::milliseconds(200), std::chrono::milliseconds(500),
                                                std::chrono::seconds(1), std::chrono::seconds(2),
                                                RoutedAdjacencies::kListedPeriod};
constexpr Duration kRouteGoodFor = std::chrono::seconds(5);
// An agent that was heard at an address is taken to be there for so long.
constexpr Duration kAgentStays = std::chrono::seconds(30);
// The hops that a check explores beyond those that the answers took: the two ways may differ.
constexpr int kMoreHops = 2, kMostHopsExplored = 16;
constexpr uint8_t kUnicastTtl = 255;
// However often somebody asks.
constexpr Duration kBetweenAnswers = std::chrono::milliseconds(50);
// One that asks and is not asked is answered for so long after its last question.
constexpr Duration kKeepCaller = std::chrono::seconds(10);

std::string PeerKey(const SocketAddress& address) {
  if (!address.IsLinkLocal()) return address.ToText();
  const auto scope = reinterpret_cast<const sockaddr_in6*>(address.get())->sin6_scope_id;
  return address.ToText() + "%" + std::to_string(scope);
}

std::string PeerText(const Hello& hello, const SocketAddress& address) {
  return (hello.name.empty() ? "a node without a name" : hello.name) + " at " + address.HostText();
}

}  // namespace

RoutedAdjacencies::RoutedAdjacencies(WireAdjacencies::Self self, Hooks hooks, HelloCounts& counts)
    : self_(std::move(self)), hooks_(std::move(hooks)), counts_(counts) {}

RoutedAdjacencies::Peer* RoutedAdjacencies::Note(const SocketAddress& address, TimePoint now) {
  const std::string key = PeerKey(address);
  auto known = peers_.find(key);
  if (known == peers_.end()) {
    if (peers_.size() >= kMostPeers || address.port() == 0) return nullptr;
    known = peers_.emplace(key, Peer{}).first;
    known->second.address = address;
    known->second.next = now;
  }
  return &known->second;
}

void RoutedAdjacencies::Probe(NodeId node, const std::vector<SocketAddress>& addresses, TimePoint now) {
  if (node == self_.node) return;
  for (const SocketAddress& address : addresses) {
    Peer* peer = Note(address, now);
    if (peer == nullptr) continue;
    if (!Asked(*peer, now)) {
      peer->attempt = 0;
      peer->next = now;
    }
    peer->router = false;
    if (!peer->listed) peer->node = node;
    peer->asked_until = now + kProbeFor;
  }
}

void RoutedAdjacencies::SetListed(const std::vector<SocketAddress>& addresses, TimePoint now) {
  for (auto& [key, peer] : peers_) peer.listed = false;
  for (const SocketAddress& address : addresses) {
    Peer* peer = Note(address, now);
    if (peer == nullptr) continue;
    peer->listed = true;
    peer->router = false;
    peer->node = 0;
  }
}

bool RoutedAdjacencies::MayAnswer(const SocketAddress& from, TimePoint now) {
  if (!hooks_.open()) return true;
  auto route = hooks_.route(from);
  if (route && route->gateway.empty() && !route->local) return true;
  if (!IsPrivateAddress(from)) return false;
  stranger_tokens_ =
      std::min(kStrangersAtOnce, stranger_tokens_ + Seconds(now - stranger_tokens_at_) * kStrangersPerSecond);
  stranger_tokens_at_ = now;
  if (stranger_tokens_ < 1) return false;
  stranger_tokens_ -= 1;
  return true;
}

// The peer that a hello comes from; null for a stranger.
RoutedAdjacencies::Peer* RoutedAdjacencies::Caller(const HelloArrival& arrival, TimePoint now) {
  auto known = peers_.find(PeerKey(arrival.from));
  if (known != peers_.end()) return &known->second;
  const auto callers = std::count_if(peers_.begin(), peers_.end(), [](const auto& p) { return p.second.caller; });
  Peer* peer = nullptr;
  if (static_cast<size_t>(callers) < kMostCallers && MayAnswer(arrival.from, now)) peer = Note(arrival.from, now);
  if (peer == nullptr) {
    ++counts_.refused_stranger;
    hooks_.warn("stranger",
                "a hello from " + arrival.from.ToText() + " is not answered: this node has no key and does " +
                    "not ask that address itself; list it in NCCL_RELAY_PEERS, or give all nodes a key",
                now);
    return nullptr;
  }
  peer->caller = true;
  return peer;
}

void RoutedAdjacencies::Receive(const HelloArrival& arrival, const Hello& hello, TimePoint now) {
  if (arrival.ttl < 0 || arrival.ttl > hello.ttl) return;
  Peer* peer = Caller(arrival, now);
  if (peer == nullptr) return;
  if (agents_at_.size() < kMostPeers || agents_at_.contains(arrival.from.HostText())) {
    agents_at_[arrival.from.HostText()] = now;
  }
  if (hello.answer_wanted) {
    peer->kept_until = now + kKeepCaller;
    peer->router = false;
  }
  if (hello.leaving) {
    Drop(*peer, "the agent of " + PeerText(hello, arrival.from) + " has ended", Loss::Cause::kEnded);
    peer->heard.reset();
    return;
  }
  HearFrom(*peer, arrival, hello, now);
  Settle(*peer, now);
}

void RoutedAdjacencies::HearFrom(Peer& peer, const HelloArrival& arrival, const Hello& hello, TimePoint now) {
  const bool is_new =
      !peer.heard || peer.heard->hello.incarnation != hello.incarnation || peer.heard->hello.node != hello.node;
  const bool named = std::any_of(hello.heard.begin(), hello.heard.end(),
                                 [&](const PortName& heard) { return heard.node == self_.node; });
  Heard heard{hello, arrival.to, arrival.via, now, hello.ttl - arrival.ttl, named};
  heard.hello.heard.clear();
  peer.heard = std::move(heard);
  if (is_new) {
    peer.route_until = {};
    peer.way.Restart(now);
  }
  if (is_new || (hello.answer_wanted && !named)) peer.next = std::min(peer.next, peer.said + kBetweenAnswers);
}

void RoutedAdjacencies::RouterSeen(const SocketAddress& destination, const SocketAddress& router, TimePoint now) {
  for (auto& [key, peer] : peers_) {
    if (peer.address.SameHost(destination) && !peer.address.SameHost(router)) peer.way.AddRouter(router, now);
  }
}

void RoutedAdjacencies::CheckRoutes() {
  for (auto& [key, peer] : peers_) peer.route_until = {};
}

void RoutedAdjacencies::LookAtRoute(Peer& peer, TimePoint now) {
  if (now < peer.route_until) return;
  peer.route = hooks_.route(peer.address);
  peer.route_until = now + kRouteGoodFor;
}

bool RoutedAdjacencies::OnItsWire(const Peer& peer) const {
  return peer.heard && peer.route && peer.heard->hops == 0 && peer.route->gateway.empty();
}

// A node that multicast finds on the same wire needs no second adjacency there.
bool RoutedAdjacencies::Needed(const Peer& peer) const {
  if (peer.router || !peer.heard || !peer.route || peer.route->local) return false;
  if (peer.node != 0 && peer.node != peer.heard->hello.node) return false;
  if (!OnItsWire(peer)) return true;
  // Where several cables share a subnet the kernel's route may name the wrong one.
  return peer.heard->via == peer.route->interface && !hooks_.on_wire(peer.route->interface, peer.heard->hello.node);
}

bool RoutedAdjacencies::WayIsClear(Peer& peer, TimePoint now) {
  // On its wire nothing stands between, but multicast may find it there in a moment: that check takes its time, too.
  if (!peer.route->gateway.empty()) peer.way.AddRouter(peer.route->gateway, now);
  if (peer.way.TakeRound(now) && !OnItsWire(peer)) AskAlongTheWay(peer, now);
  const auto verdict = peer.way.Judge(now, [&](const SocketAddress& router) {
    auto agent = agents_at_.find(router.HostText());
    return hooks_.is_own_fabric(router) || (agent != agents_at_.end() && now - agent->second < kAgentStays);
  });
  if (verdict != WayCheck::Verdict::kThroughFabric) return verdict == WayCheck::Verdict::kClear;
  const std::string why = "the way to " + PeerText(peer.heard->hello, peer.address) + " leads through " +
                          peer.way.culprit().HostText() + ", a node of this fabric: it is no link";
  if (!peer.refused) {
    ++counts_.refused_through_fabric;
    hooks_.warn("through " + PeerKey(peer.address), why, now);
  }
  peer.refused = true;
  Drop(peer, why);
  return false;
}

// Short-lived hellos die at the routers, which say so; and a router may have an agent of its own.
void RoutedAdjacencies::AskAlongTheWay(Peer& peer, TimePoint now) {
  const int explored = std::min(peer.heard->hops + kMoreHops, kMostHopsExplored);
  for (int ttl = 1; ttl <= explored; ++ttl) Say(peer, static_cast<uint8_t>(ttl), now);
  for (const SocketAddress& router : peer.way.routers()) {
    const SocketAddress agent = router.WithPort(peer.address.port());
    const bool known = peers_.contains(PeerKey(agent));
    Peer* asked = Note(agent, now);
    if (asked == nullptr) continue;
    if (!known) asked->router = true;
    if (!asked->router) continue;
    asked->kept_until = now + kKeepCaller;
    Say(*asked, kUnicastTtl, now);
  }
}

// Another peer's adjacency between the same two ports: one is enough.
bool RoutedAdjacencies::Taken(const Peer& peer, const Adjacent& adjacent) const {
  return std::any_of(peers_.begin(), peers_.end(), [&](const auto& other) {
    const auto& told = other.second.told;
    return &other.second != &peer && told && told->near_port == adjacent.near_port && told->far == adjacent.far;
  });
}

void RoutedAdjacencies::Settle(Peer& peer, TimePoint now) {
  if (!peer.heard) return;
  const std::string who = PeerText(peer.heard->hello, peer.address);
  if (now - peer.heard->when >= kSilence) {
    Drop(peer, who + " has been silent for " + SecondsText(kSilence), Loss::Cause::kHostSilent);
    peer.heard.reset();
    peer.attempt = 0;
    return;
  }
  LookAtRoute(peer, now);
  if (!peer.route) return Drop(peer, "the kernel has no route to " + who);
  if (hooks_.carries_data && !hooks_.carries_data(peer.route->interface)) {
    const std::string why = "the way to " + who + " leaves by " + peer.route->interface +
                            ", which carries no data: name it in NCCL_RELAY_IFNAME to use it";
    hooks_.warn("interface " + PeerKey(peer.address), why, now);
    peer.clear = false;
    return Drop(peer, why);
  }
  if (!Needed(peer)) {
    peer.clear = false;
    return Drop(peer, who + " is reached without routers");
  }
  const bool was_clear = std::exchange(peer.clear, WayIsClear(peer, now));
  if (!peer.clear) return;
  peer.refused = false;
  if (!was_clear) peer.next = now;  // the other side waits for that word
  if (!peer.heard->names_us) return Drop(peer, who + " does not hear this node, or not by a way of its own");
  const Hello& hello = peer.heard->hello;
  const SocketAddress near = peer.heard->at.empty() ? peer.route->source : peer.heard->at;
  Adjacent adjacent{peer.route->interface,
                    {hello.node, hello.port},
                    hello.incarnation,
                    hello.name,
                    peer.address.WithPort(hello.agent_port),
                    near,
                    true};
  if (Taken(peer, adjacent)) return;
  if (peer.told && (peer.told->near_port != adjacent.near_port || peer.told->far != adjacent.far)) {
    Drop(peer, "the way to " + who + " has changed");
  }
  if (peer.told == adjacent) return;
  peer.told = adjacent;
  hooks_.found(adjacent);
}

void RoutedAdjacencies::Drop(Peer& peer, const std::string& why, Loss::Cause cause) {
  if (auto told = std::exchange(peer.told, std::nullopt)) {
    hooks_.lost(*told, {cause, why, cause == Loss::Cause::kHostSilent ? kSilence : Duration::zero()});
  }
}

bool RoutedAdjacencies::Asked(const Peer& peer, TimePoint now) const { return peer.listed || now < peer.asked_until; }

bool RoutedAdjacencies::Wanted(const Peer& peer, TimePoint now) const {
  return Asked(peer, now) || peer.told || now < peer.kept_until;
}

void RoutedAdjacencies::Say(Peer& peer, uint8_t ttl, TimePoint now, bool leaving) {
  LookAtRoute(peer, now);
  if (!peer.route || peer.route->local) return;
  Hello hello;
  hello.node = self_.node;
  hello.incarnation = self_.incarnation;
  hello.name = self_.name;
  hello.port = peer.route->interface;
  hello.agent_port = self_.agent_port;
  // Who only answers does not ask for answers: two of them would never fall silent.
  hello.answer_wanted = !leaving && !peer.told && ttl == kUnicastTtl && (peer.router || Asked(peer, now));
  hello.leaving = leaving;
  hello.ttl = ttl;
  if (peer.clear && peer.heard) hello.heard.push_back({peer.heard->hello.node, peer.heard->hello.port});
  peer.said = now;
  hooks_.send(peer.address, peer.heard ? peer.heard->at : SocketAddress(), hello);
}

Duration RoutedAdjacencies::Interval(Peer& peer) {
  if (peer.told || (peer.heard && !peer.refused && Needed(peer))) return kHelloPeriod;
  return kQuestions[std::min(peer.attempt++, kQuestions.size() - 1)];
}

void RoutedAdjacencies::SendDue(Peer& peer, TimePoint now) {
  if (peer.router || now < peer.next || !Wanted(peer, now)) return;
  LookAtRoute(peer, now);
  peer.next = now + Interval(peer);
  // Who is asked because of a handle is not asked while a wire leads there.
  if (peer.node != 0 && !peer.told && now >= peer.kept_until && hooks_.on_wire("", peer.node)) return;
  Say(peer, kUnicastTtl, now);
}

TimePoint RoutedAdjacencies::Tick(TimePoint now) {
  TimePoint next = TimePoint::max();
  // By key: a check may add peers.
  std::vector<std::string> keys;
  for (const auto& [key, peer] : peers_) keys.push_back(key);
  for (const std::string& key : keys) {
    Peer& peer = peers_.at(key);
    Settle(peer, now);
    SendDue(peer, now);
    if (!Wanted(peer, now) && !peer.heard) {
      peers_.erase(key);
      continue;
    }
    if (Wanted(peer, now) && !peer.router) next = std::min(next, peer.next);
    if (!peer.listed && !peer.told) next = std::min(next, now + kListedPeriod);
    if (peer.heard) next = std::min({next, peer.heard->when + kSilence, now + kHelloPeriod});
    if (Needed(peer)) next = std::min(next, std::max(peer.way.due(), now + std::chrono::milliseconds(1)));
  }
  std::erase_if(agents_at_, [&](const auto& agent) { return now - agent.second >= kAgentStays; });
  return next;
}

void RoutedAdjacencies::Leave(TimePoint now) {
  for (auto& [key, peer] : peers_) {
    if (peer.heard && !peer.router) Say(peer, kUnicastTtl, now, true);
  }
}

std::string RoutedAdjacencies::Describe() const {
  std::string out;
  for (const auto& [key, peer] : peers_) {
    if (peer.router) continue;
    out += (out.empty() ? "" : "\n") + key + ": ";
    if (!peer.heard) {
      out += "asked, no answer";
    } else {
      out += PeerText(peer.heard->hello, peer.address) + ", " + std::to_string(peer.heard->hops) + " routers away, ";
      out += peer.told ? "a routed link" : peer.refused ? "reached through the own fabric" : "no routed link";
    }
  }
  return out;
}

}  // namespace relay::agent
