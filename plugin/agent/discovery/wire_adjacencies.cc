#include "agent/discovery/wire_adjacencies.h"

#include <algorithm>

#include "agent/discovery/hello_socket.h"

namespace relay::agent {
namespace {

// A neighbour heard over IPv4 alone waits so long for its link-local address: the two copies of a hello arrive
// together.
constexpr Duration kBetterAddress = std::chrono::milliseconds(20);
// Hellos of a fresh port ask for answers for so long, as do those after somebody new.
constexpr Duration kEager = std::chrono::seconds(1);
// Answers on a wire with many are spread over so much time for each.
constexpr Duration kSpreadPerNeighbour = std::chrono::microseconds(500), kMostSpread = std::chrono::milliseconds(100);
constexpr size_t kNoSpreadBelow = 8;
constexpr size_t kMostSightings = 8;
// Rounds of padded hellos to a new neighbour; to one that is known, one each second.
constexpr Duration kRoundOfFresh = std::chrono::milliseconds(50);

// IPv6 link-local addresses need no configuration and lead nowhere else.
int AddressRank(const SocketAddress& address) {
  if (address.family() != AF_INET6) return 2;
  return address.IsLinkLocal() ? 0 : 1;
}

// A port whose MTU is the least there is has nothing to try.
uint32_t LongestOf(const WireAdjacencies::PortFacts& facts) {
  return facts.mtu > PathMtu::kSmaller.back() ? std::min(facts.mtu, PathMtu::kMost) : 0;
}

std::string FarText(const PortName& far, const std::string& name) {
  return (name.empty() ? "a node without a name" : name) + "/" + far.port;
}

uint64_t SeedOf(NodeId node, const std::string& port) {
  uint64_t seed = node;
  for (char c : port) seed = seed * 1099511628211U + static_cast<unsigned char>(c);
  return seed;
}

}  // namespace

TimePoint WireAdjacencies::Heard::heard() const {
  TimePoint latest{};
  for (const Sighting& sighting : sightings) latest = std::max(latest, sighting.heard);
  return latest;
}

WireAdjacencies::WireAdjacencies(Self self, Hooks hooks, HelloCounts& counts)
    : self_(std::move(self)), hooks_(std::move(hooks)), counts_(counts) {}

void WireAdjacencies::PortUp(const std::string& port, const PortFacts& facts, TimePoint now) {
  auto known = ports_.find(port);
  if (known == ports_.end()) {
    known = ports_.emplace(port, Port{HelloSchedule(SeedOf(self_.node, port)), now, facts, 0, {}, {}}).first;
  }
  known->second.up = now;
  known->second.facts = facts;
  known->second.schedule.Start(now);
}

void WireAdjacencies::PortDown(const std::string& port, const Loss& loss) {
  auto known = ports_.extract(port);
  if (known.empty()) return;
  for (auto& [far, heard] : known.mapped().heard) Drop(heard, loss);
}

Duration WireAdjacencies::Spread(const Port& port) const {
  if (port.heard.size() < kNoSpreadBelow) return Duration::zero();
  return std::min<Duration>(kMostSpread, kSpreadPerNeighbour * static_cast<int64_t>(port.heard.size()));
}

// The entry for a port heard; null when there are too many and all of them hear us. Strangers make room for strangers,
// so that a flood of invented names does not keep a neighbour out.
WireAdjacencies::Heard* WireAdjacencies::Note(Port& port, const PortName& far, TimePoint now) {
  auto known = port.heard.find(far);
  if (known != port.heard.end()) return &known->second;
  if (port.heard.size() >= kMaxHeard) {
    ++counts_.crowded;
    auto oldest = port.heard.end();
    for (auto it = port.heard.begin(); it != port.heard.end(); ++it) {
      if (it->second.names_us) continue;
      if (oldest == port.heard.end() || it->second.first < oldest->second.first) oldest = it;
    }
    if (oldest == port.heard.end()) return nullptr;
    port.heard.erase(oldest);
  }
  Heard& fresh = port.heard[far];
  fresh.first = now;
  return &fresh;
}

void WireAdjacencies::See(Heard& heard, const HelloArrival& arrival, TimePoint now) {
  auto known = std::find_if(heard.sightings.begin(), heard.sightings.end(),
                            [&](const Sighting& sighting) { return sighting.from.SameHost(arrival.from); });
  if (known != heard.sightings.end()) {
    *known = {arrival.from, arrival.to, now};
  } else if (heard.sightings.size() < kMostSightings) {
    heard.sightings.push_back({arrival.from, arrival.to, now});
  }
}

void WireAdjacencies::Receive(const HelloArrival& arrival, const Hello& hello, TimePoint now) {
  auto on = ports_.find(arrival.port);
  if (on == ports_.end()) return;
  Port& port = on->second;
  const PortName far{hello.node, hello.port};
  if (hello.leaving) {
    auto gone = port.heard.find(far);
    if (gone == port.heard.end()) return;
    Drop(gone->second, {Loss::Cause::kEnded, "the agent of " + FarText(far, hello.name) + " has ended"});
    port.heard.erase(gone);
    return;
  }
  if (hello.padded) {
    // It comes after others of its port, and says no more than that it came.
    auto known = port.heard.find(far);
    if (known == port.heard.end() || known->second.incarnation != hello.incarnation) return;
    known->second.mtu.Said(hello.longest, hello.rounds);
    known->second.mtu.Came(static_cast<uint32_t>(hello.bytes) + HeaderBytes(arrival.from.family()));
    return Settle(arrival.port, port, *known, now);
  }
  Heard* heard = Note(port, far, now);
  if (heard == nullptr) return;
  const bool is_new = heard->incarnation != hello.incarnation || heard->sightings.empty();
  // A copy that comes late says nothing new but that this address works.
  const bool newest = is_new || hello.sequence >= heard->sequence;
  if (is_new) heard->sightings.clear(), heard->mtu = {};
  See(*heard, arrival, now);
  if (newest) {
    const bool named =
        std::find(hello.heard.begin(), hello.heard.end(), PortName{self_.node, arrival.port}) != hello.heard.end();
    heard->incarnation = hello.incarnation;
    heard->sequence = hello.sequence;
    heard->name = hello.name;
    heard->agent_port = hello.agent_port;
    heard->mtu.Said(hello.longest, hello.rounds);
    if (is_new) heard->first = now;
    heard->names_us = named;
    if (is_new) port.schedule.Chase(now, Spread(port));
    if (hello.answer_wanted && !named) port.schedule.Answer(now, Spread(port));
  }
  Settle(arrival.port, port, *port.heard.find(far), now);
}

// Tells what has changed of an adjacency, if anything has.
void WireAdjacencies::Settle(const std::string& name, Port& port, HeardOn& entry, TimePoint now) {
  auto& [far, heard] = entry;
  if (!heard.names_us) {
    const bool restarted = heard.told && heard.told->far_incarnation != heard.incarnation;
    return restarted ? Drop(heard, {Loss::Cause::kEnded, FarText(far, heard.name) + " has a new agent"})
                     : Drop(heard, {Loss::Cause::kOther, FarText(far, heard.name) + " no longer hears " + name});
  }
  // An address that works is kept: a better one is no reason to break what runs over this one.
  const Sighting* best = nullptr;
  for (const Sighting& sighting : heard.sightings) {
    if (now - sighting.heard >= kSilence) continue;
    const bool in_use = heard.told && heard.told->far_incarnation == heard.incarnation &&
                        heard.told->far_address.SameHost(sighting.from);
    if (in_use) {
      best = &sighting;
      break;
    }
    if (best == nullptr || AddressRank(sighting.from) < AddressRank(best->from)) best = &sighting;
  }
  if (best == nullptr) return;
  if (!heard.told && port.facts.link_local && AddressRank(best->from) != 0 && now - heard.first < kBetterAddress)
    return;
  Adjacent adjacent{name,     far,   heard.incarnation,   heard.name,       best->from.WithPort(heard.agent_port),
                    best->to, false, heard.mtu.longest(), heard.mtu.limit()};
  if (heard.told == adjacent) return;
  if (!heard.told) port.round_due = now;
  heard.told = adjacent;
  hooks_.found(adjacent);
}

void WireAdjacencies::Drop(Heard& heard, const Loss& loss) {
  if (auto told = std::exchange(heard.told, std::nullopt)) hooks_.lost(*told, loss);
}

// An agent that was stopped, or had no turn on a busy host, has heard nobody meanwhile: that is no silence of theirs.
void WireAdjacencies::Forgive(TimePoint now) {
  const Duration asleep = ticked_ ? now - *ticked_ - kHelloPeriod : Duration::zero();
  ticked_ = now;
  if (asleep < kHelloPeriod / 2) return;
  for (auto& [name, port] : ports_) {
    for (auto& [far, heard] : port.heard) {
      for (Sighting& sighting : heard.sightings) sighting.heard = std::min(now, sighting.heard + asleep);
    }
  }
}

void WireAdjacencies::Age(const std::string& name, Port& port, TimePoint now) {
  for (auto it = port.heard.begin(); it != port.heard.end();) {
    auto& [far, heard] = *it;
    if (now - heard.heard() < kSilence) {
      std::erase_if(heard.sightings, [&](const Sighting& sighting) { return now - sighting.heard >= kSilence; });
      Settle(name, port, *it, now);
      ++it;
      continue;
    }
    Drop(heard, {Loss::Cause::kHostSilent,
                 FarText(far, heard.name) + " has been silent on " + name + " for " + SecondsText(kSilence), kSilence});
    it = port.heard.erase(it);
    port.schedule.Answer(now, Duration::zero());  // the other side, if it still hears us, learns at once
  }
}

TimePoint WireAdjacencies::Tick(TimePoint now) {
  Forgive(now);
  TimePoint next = now + kHelloPeriod;
  if (std::any_of(ports_.begin(), ports_.end(), [&](auto& port) { return port.second.schedule.period_due() <= now; })) {
    for (auto& [name, port] : ports_) port.schedule.GoAlong(now);
  }
  for (auto& [name, port] : ports_) {
    Age(name, port, now);
    bool unanswered = false;
    for (const auto& [far, heard] : port.heard) {
      unanswered = unanswered || !heard.names_us;
      next = std::min(next, heard.heard() + kSilence);
      if (heard.names_us && !heard.told) next = std::min(next, std::max(heard.first + kBetterAddress, now));
    }
    const bool say = port.schedule.Take(now, unanswered);
    if (say) Say(name, port, now, false);
    next = std::min({next, port.schedule.due(), TryLengths(name, port, now, say)});
  }
  return next;
}

// One round of padded hellos, where there is a neighbour to count them; returns when this port needs a waking for the
// next. The first follow one another, because circuits are about to be opened over a new link; later ones go with the
// hellos of each second (`said`).
TimePoint WireAdjacencies::TryLengths(const std::string& name, Port& port, TimePoint now, bool said) {
  const uint32_t longest = LongestOf(port.facts);
  bool known = false, fresh = false;
  for (const auto& [far, heard] : port.heard) {
    known = known || heard.told;
    fresh = fresh || (heard.told && now - heard.first < kEager);
  }
  if (longest == 0 || !known) return TimePoint::max();
  if (now < port.round_due || (!fresh && !said)) return fresh ? port.round_due : TimePoint::max();
  port.round_due = now + (fresh ? kRoundOfFresh : kHelloPeriod / 2);
  ++port.rounds;
  Hello hello = Introduction(name, port);
  hello.padded = true;
  for (uint32_t bytes : PathMtu::kSmaller) {
    if (bytes < longest) hooks_.send_padded(name, hello, bytes);
  }
  hooks_.send_padded(name, hello, longest);
  return fresh ? port.round_due : TimePoint::max();
}

Hello WireAdjacencies::Introduction(const std::string& name, const Port& port) const {
  Hello hello;
  hello.node = self_.node;
  hello.incarnation = self_.incarnation;
  hello.name = self_.name;
  hello.port = name;
  hello.agent_port = self_.agent_port;
  hello.longest = LongestOf(port.facts);
  hello.rounds = port.rounds;
  return hello;
}

void WireAdjacencies::Say(const std::string& name, const Port& port, TimePoint now, bool leaving) {
  Hello hello = Introduction(name, port);
  hello.leaving = leaving;
  hello.answer_wanted = !leaving && now - port.up < kEager;
  for (const auto& [far, heard] : port.heard) {
    hello.heard.push_back(far);
    if (!leaving && !heard.names_us && now - heard.first < kEager) hello.answer_wanted = true;
  }
  hooks_.send(name, hello);
}

void WireAdjacencies::Leave() {
  for (const auto& [name, port] : ports_) Say(name, port, TimePoint::max(), true);
}

bool WireAdjacencies::IsAdjacent(const std::string& near_port, NodeId node) const {
  auto port = ports_.find(near_port);
  return port != ports_.end() && std::any_of(port->second.heard.begin(), port->second.heard.end(), [&](const auto& h) {
           return h.first.node == node && h.second.told.has_value();
         });
}

bool WireAdjacencies::IsAdjacent(NodeId node) const {
  return std::any_of(ports_.begin(), ports_.end(), [&](const auto& port) { return IsAdjacent(port.first, node); });
}

std::string WireAdjacencies::Describe(const std::string& port) const {
  auto on = ports_.find(port);
  if (on == ports_.end()) return "";
  std::string out;
  for (const auto& [far, heard] : on->second.heard) {
    out += (out.empty() ? "" : "; ") + FarText(far, heard.name);
    if (heard.told) {
      out += " at " + heard.told->far_address.HostText();
      if (heard.told->passes != 0) {
        out += ", of whose packets of up to " + std::to_string(heard.told->longest) + " bytes none longer than " +
               std::to_string(heard.told->passes) + " arrives";
      }
    } else {
      out += heard.names_us ? ", about to be believed" : ", who does not hear us";
    }
  }
  return port + ": " + (out.empty() ? "nobody is heard" : out);
}

}  // namespace relay::agent
