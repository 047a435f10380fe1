// Many agents' link states in one process, joined by cables that delay and lose messages. Time is what the events say;
// chance comes from a seed.
#pragma once
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "fabric/hash.h"
#include "unit/fabric/sample_records.h"

namespace relay::fabric {

class FloodingSimulation {
 public:
  struct Options {
    uint64_t seed = 1;
    uint32_t lost_percent = 0;
    Duration least_delay = std::chrono::microseconds(100), most_delay = std::chrono::milliseconds(2);
  };

  explicit FloodingSimulation(Options options) : options_(options), random_(options.seed) {}
  FloodingSimulation(const FloodingSimulation&) = delete;

  size_t Draw(size_t below) { return static_cast<size_t>((random_ = Mix(random_)) % below); }

  // Returns the agent's number. Its first record leaves when it is started.
  size_t AddAgent(NodeId id, const std::string& name = "") {
    agents_.push_back({id, name.empty() ? "host" + std::to_string(id) : name, nullptr, 0, {}, {}});
    return agents_.size() - 1;
  }
  size_t AddCable(size_t x, size_t y) {
    cables_.push_back({x, y, false, 0});
    agents_[x].cables.push_back(cables_.size() - 1);
    agents_[y].cables.push_back(cables_.size() - 1);
    return cables_.size() - 1;
  }

  void Start(size_t number, uint64_t incarnation) {
    Agent& agent = agents_[number];
    LinkStateOptions options;
    options.self = agent.id;
    options.incarnation = incarnation;
    LinkState::Hooks hooks;
    hooks.send = [this, number](SessionId session, const LinkStateMessage& message) { Post(number, session, message); };
    hooks.seal = FakeSeal;
    hooks.verify = [](std::span<const std::byte> bytes, const Mac& mac) { return FakeSeal(bytes) == mac; };
    agent.state = std::make_unique<LinkState>(options, std::move(hooks));
    ++agent.life;
    for (size_t cable : agent.live) agent.state->SessionUp(cable + 1, now_);
    Publish(agent);
    Push({now_, 0, Event::kTick, number, agent.life, 0, 0, nullptr});
  }
  // The agent is gone at once; its neighbours notice within `most_delay`.
  void Kill(size_t number) {
    agents_[number].state.reset();
    agents_[number].live.clear();
    ++agents_[number].life;
    for (size_t cable : agents_[number].cables) SetCable(cable, false);
  }
  // Both ends notice, each in its time.
  void SetCable(size_t number, bool up) {
    Cable& cable = cables_[number];
    if (cable.up == up) return;
    cable.up = up;
    ++cable.epoch;
    for (size_t end : {cable.x, cable.y}) {
      const auto kind = up ? Event::kEndUp : Event::kEndDown;
      Push({now_ + Delay(), 0, kind, end, agents_[end].life, number, cable.epoch, nullptr});
    }
  }

  void RunFor(Duration duration) {
    const TimePoint until = now_ + duration;
    while (!events_.empty() && events_.top().at <= until) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      Handle(event);
    }
    now_ = until;
  }
  // How long it took until all running agents agreed; `most` when they did not.
  Duration RunUntilAgreed(Duration most) {
    Duration run{};
    while (!Agreed() && run < most) {
      RunFor(std::chrono::milliseconds(50));
      run += std::chrono::milliseconds(50);
    }
    return run;
  }

  // All running agents hold the same editions and draw the same graph.
  bool Agreed() const {
    std::set<uint64_t> digests, hashes;
    for (const Agent& agent : agents_) {
      if (agent.state) digests.insert(agent.state->digest());
    }
    if (digests.size() > 1) return false;
    for (size_t i = 0; i < agents_.size(); ++i) {
      if (agents_[i].state) hashes.insert(AgreementHash(GraphAt(i)));
    }
    return hashes.size() <= 1;
  }
  Fabric GraphAt(size_t number) const {
    const auto records = agents_[number].state->Records();
    return MakeGraph(records, agents_[number].id);
  }
  const LinkState& StateOf(size_t number) const { return *agents_[number].state; }
  size_t cables() const { return cables_.size(); }
  // Whether the other cables join all agents.
  bool JoinedWithout(size_t number) const {
    std::set<size_t> seen{0};
    for (std::vector<size_t> open{0}; !open.empty();) {
      const size_t at = open.back();
      open.pop_back();
      for (size_t cable : agents_[at].cables) {
        const size_t other = cables_[cable].x == at ? cables_[cable].y : cables_[cable].x;
        if (cable != number && seen.insert(other).second) open.push_back(other);
      }
    }
    return seen.size() == agents_.size();
  }
  uint64_t records_sent() const { return records_sent_; }
  // Messages that an agent took for misbehaviour.
  uint64_t refused() const { return refused_; }

  // A random connected graph: a tree, and more cables up to `links`; no two between the same agents.
  void MakeConnected(size_t nodes, size_t links, size_t most_links_of_one) {
    std::set<std::pair<size_t, size_t>> joined;
    for (size_t i = 0; i < nodes; ++i) AddAgent(1000 + i);
    for (size_t i = 1; i < nodes; ++i) {
      size_t other = Draw(i);
      while (agents_[other].cables.size() >= most_links_of_one) other = Draw(i);
      AddCable(other, i);
      joined.emplace(other, i);
    }
    while (cables_.size() < links) {
      const size_t x = Draw(nodes), y = Draw(nodes);
      if (x == y || agents_[x].cables.size() >= most_links_of_one) continue;
      if (agents_[y].cables.size() < most_links_of_one && joined.emplace(std::min(x, y), std::max(x, y)).second) {
        AddCable(x, y);
      }
    }
  }
  void StartAll() {
    for (size_t i = 0; i < agents_.size(); ++i) Start(i, 1);
  }
  // All at once with every cable up.
  void StartAllJoined() {
    for (size_t i = 0; i < cables_.size(); ++i) {
      cables_[i].up = true;
      for (size_t end : {cables_[i].x, cables_[i].y}) agents_[end].live.insert(i);
    }
    StartAll();
  }
  void RaiseAll() {
    for (size_t i = 0; i < cables_.size(); ++i) SetCable(i, true);
  }

 private:
  struct Agent {
    NodeId id = 0;
    std::string name;
    std::unique_ptr<LinkState> state;
    uint32_t life = 0;  // what was meant for an earlier one does not arrive
    std::vector<size_t> cables;
    std::set<size_t> live;  // cables whose session is up at this end
  };
  struct Cable {
    size_t x = 0, y = 0;
    bool up = false;
    uint32_t epoch = 0;
  };
  struct Event {
    enum Kind { kDeliver, kEndUp, kEndDown, kTick };
    TimePoint at;
    uint64_t order = 0;
    Kind kind = kTick;
    size_t agent = 0;
    uint32_t life = 0;
    size_t cable = 0;
    uint32_t epoch = 0;
    std::shared_ptr<const LinkStateMessage> message;
    bool operator<(const Event& other) const { return std::tie(at, order) > std::tie(other.at, other.order); }
  };

  Duration Delay() {
    const auto spread = static_cast<size_t>((options_.most_delay - options_.least_delay).count());
    return options_.least_delay + Duration(Draw(spread + 1));
  }
  void Push(Event event) {
    event.order = ++order_;
    events_.push(std::move(event));
  }

  void Post(size_t from, SessionId session, const LinkStateMessage& message) {
    const size_t number = static_cast<size_t>(session - 1);
    const Cable& cable = cables_[number];
    if (const auto* records = std::get_if<message::Records>(&message)) records_sent_ += records->records.size();
    if (!cable.up || Draw(100) < options_.lost_percent) return;
    const size_t to = cable.x == from ? cable.y : cable.x;
    Push({now_ + Delay(), 0, Event::kDeliver, to, agents_[to].life, number, cable.epoch,
          std::make_shared<LinkStateMessage>(message)});
  }

  void Publish(Agent& agent) {
    Record record;
    record.name = agent.name;
    record.build = "0.1.0";
    for (size_t number : agent.cables) {
      const Cable& cable = cables_[number];
      const bool first = agents_[cable.x].id == agent.id;
      const std::string address = "10." + std::to_string(number / 200) + "." + std::to_string(number % 200) + ".";
      record.ports.push_back(PortOf("e" + std::to_string(number), address + (first ? "1" : "2")));
      if (!agent.live.contains(number)) continue;
      const NodeId peer = agents_[first ? cable.y : cable.x].id;
      record.neighbours.push_back(
          {static_cast<uint16_t>(record.ports.size() - 1), peer, record.ports.back().name, 1, false});
    }
    agent.state->Publish(std::move(record), now_);
  }

  void Handle(const Event& event) {
    Agent& agent = agents_[event.agent];
    if (!agent.state || agent.life != event.life) return;
    const SessionId session = event.cable + 1;
    const bool current = event.kind == Event::kTick || cables_[event.cable].epoch == event.epoch;
    if (event.kind == Event::kTick) {
      Push({agent.state->Tick(now_), 0, Event::kTick, event.agent, agent.life, 0, 0, nullptr});
    } else if (event.kind == Event::kEndUp && current) {
      agent.live.insert(event.cable);
      agent.state->SessionUp(session, now_);
      Publish(agent);
    } else if (event.kind == Event::kEndDown && current && agent.live.erase(event.cable) != 0) {
      agent.state->SessionDown(session);
      Publish(agent);
    } else if (event.kind == Event::kDeliver && current && agent.live.contains(event.cable)) {
      if (!agent.state->Receive(session, *event.message, now_)) ++refused_;
    }
  }

  Options options_;
  uint64_t random_;
  TimePoint now_{std::chrono::hours(1)};
  std::vector<Agent> agents_;
  std::vector<Cable> cables_;
  std::priority_queue<Event> events_;
  uint64_t order_ = 0, records_sent_ = 0, refused_ = 0;
};

}  // namespace relay::fabric
