#include "agent/node/live_fabric.h"

#include <algorithm>
#include <utility>

#include "agent/node/refusal.h"
#include "base/log.h"

namespace relay::agent {
namespace {

constexpr char kRecordPurpose[] = "record", kHelloPurpose[] = "hello";
// A fabric that has not changed for so long is worth a line in the log.
constexpr Duration kSettleTime = std::chrono::seconds(1);
// New measurements of latency alone are no news.
constexpr Duration kMeasurePause = std::chrono::seconds(10);
// The kernel puts an interface's address into the device's table of GIDs a moment after it has told of the address.
constexpr Duration kGidsSettle = std::chrono::milliseconds(500);

std::string LinkName(const LocalNode& node, const SessionFacts& facts) {
  return node.name() + "/" + facts.near_port + " to " + facts.far_name + "/" + facts.far.port +
         (facts.routed ? " beyond routers" : "");
}

}  // namespace

LiveFabric::LiveFabric(EventLoop& loop, LocalNode& node, Options options, Counters& counters, Hooks hooks)
    : loop_(loop),
      node_(node),
      options_(std::move(options)),
      counters_(counters),
      hooks_(std::move(hooks)),
      found_(node),
      records_({.self = options_.identity.node, .incarnation = options_.identity.incarnation}, RecordHooks()) {
  SessionTable::Self self;
  self.node = options_.identity.node;
  self.incarnation = options_.identity.incarnation;
  self.name = options_.name;
  self.build = RELAY_VERSION;
  self.port = node_.port;
  self.hop = node_.hop;
  self.key = options_.key;
  sessions_ = std::make_unique<SessionTable>(loop_, std::move(self), SessionHooks(), counters_);
}

LiveFabric::~LiveFabric() {
  for (EventLoop::TimerId timer : {rebuild_, tick_, settle_, measured_, verbs_again_}) loop_.Cancel(timer);
}

Result<std::unique_ptr<LiveFabric>> LiveFabric::Start(EventLoop& loop, LocalNode& node, Options options,
                                                      Counters& counters, Hooks hooks) {
  std::unique_ptr<LiveFabric> live(new LiveFabric(loop, node, std::move(options), counters, std::move(hooks)));
  node.declared = false;
  node.rdma = live->options_.rdma;
  node.verbs_roots = live->options_.verbs_roots;
  node.fabric = {"discovered", {{live->options_.identity.node, live->options_.name, {}}}, {}};
  node.settled = loop.clock().Now();
  live->Publish();
  live->Rebuild();
  RELAY_TRY(live->StartDiscovery());
  live->Tick();
  return live;
}

fabric::LinkState::Hooks LiveFabric::RecordHooks() {
  return {[this](SessionId session, const fabric::LinkStateMessage& message) { sessions_->Send(session, message); },
          [this](std::span<const std::byte> bytes) {
            return options_.key ? options_.key->Sign(kRecordPurpose, bytes) : Mac{};
          },
          [this](std::span<const std::byte> bytes, const Mac& mac) {
            return !options_.key || options_.key->Verify(kRecordPurpose, bytes, mac);
          }};
}

SessionTable::Hooks LiveFabric::SessionHooks() {
  SessionTable::Hooks hooks;
  hooks.up = [this](const SessionFacts& facts) { OnSessionUp(facts); };
  hooks.down = [this](const SessionFacts& facts, const Loss& loss) { OnSessionDown(facts, loss); };
  hooks.measured = [this](const SessionFacts&) {
    if (measured_ != 0) return;
    measured_ = loop_.After(kMeasurePause, [this] {
      measured_ = 0;
      Publish();
    });
  };
  hooks.link_state = [this](SessionId session, const fabric::LinkStateMessage& message) {
    OnRecords(session, message);
  };
  hooks.answer = hooks_.answer;
  return hooks;
}

Status LiveFabric::StartDiscovery() {
  DiscoveryOptions options;
  options.node = options_.identity.node;
  options.incarnation = options_.identity.incarnation;
  options.name = options_.name;
  options.port = node_.port;
  options.ifname = options_.ifname;
  options.peers = options_.peers;
  Discovery::Hooks hooks;
  hooks.ports = [this](const std::vector<fabric::Port>& ports) { OnPorts(ports); };
  hooks.found = [this](const Adjacent& adjacent) {
    const bool whole = adjacent.passes == 0;
    SetLimit(adjacent, whole ? std::nullopt : std::optional(PacketLimit{adjacent.longest, adjacent.passes}));
    sessions_->Found(adjacent);
  };
  hooks.lost = [this](const Adjacent& adjacent, const Loss& loss) {
    node_.limits.Set({adjacent.near_port, adjacent.far.node, adjacent.far.port}, std::nullopt);
    hooks_.limits(adjacent.near_port);
    sessions_->Lost(adjacent, loss);
  };
  hooks.seal = [this](std::span<const std::byte> bytes) {
    return options_.key ? options_.key->Sign(kHelloPurpose, bytes) : Mac{};
  };
  hooks.verify = [this](std::span<const std::byte> bytes, const Mac& mac) {
    return options_.key ? options_.key->Verify(kHelloPurpose, bytes, mac) : mac == Mac{};
  };
  hooks.is_own_fabric = [this](const SocketAddress& address) { return node_.IsOfAnotherNode(address); };
  auto discovery = Discovery::Start(loop_, std::move(options), std::move(hooks), counters_);
  RELAY_TRY(discovery);
  discovery_ = std::move(*discovery);
  return {};
}

// What is open goes on as it is: where it is stuck, the connection asks for another circuit.
void LiveFabric::SetLimit(const Adjacent& adjacent, std::optional<PacketLimit> limit) {
  if (!node_.limits.Set({adjacent.near_port, adjacent.far.node, adjacent.far.port}, limit)) return;
  const std::string near = node_.name() + "/" + adjacent.near_port, far = adjacent.far_name + "/" + adjacent.far.port;
  if (limit) {
    RELAY_WARN("link %s to %s: %s", near.c_str(), far.c_str(), LimitText(near, far, *limit).c_str());
  } else {
    RELAY_INFO("link %s to %s: packets of %u bytes come now", near.c_str(), far.c_str(), adjacent.longest);
  }
  hooks_.limits(adjacent.near_port);
}

void LiveFabric::OnPorts(const std::vector<fabric::Port>& ports) {
  found_.Found(ports);
  found_.Say(/*for_good=*/false);
  Publish();
  // At once: whoever hears of these ports may call.
  Rebuild();
  hooks_.ports();
  if (!found_.any_device()) return;
  loop_.Cancel(verbs_again_);
  verbs_again_ = loop_.After(kGidsSettle, [this] {
    verbs_again_ = 0;
    LookUpVerbsAgain();
  });
}

void LiveFabric::LookUpVerbsAgain() {
  found_.LookAgain();
  found_.Say(/*for_good=*/true);
  node_.verbs = found_.VerbsOf(node_.node().ports);
  Publish();
}

std::vector<Acceptor::Door> LiveFabric::Doors() const {
  std::vector<Acceptor::Door> doors;
  for (const fabric::Port& port : found_.ports()) {
    for (const SocketAddress& address : port.addresses) doors.push_back({port.name, address.WithPort(node_.port)});
  }
  return doors;
}

void LiveFabric::OnSessionUp(const SessionFacts& facts) {
  RELAY_INFO("link %s is up", LinkName(node_, facts).c_str());
  node_.reach[{facts.near_port, facts.far.node, facts.far.port}] = facts.target;
  hooks_.link_up(facts);
  const TimePoint now = loop_.clock().Now();
  records_.SessionUp(facts.id, now);
  Publish();
}

void LiveFabric::OnSessionDown(const SessionFacts& facts, const Loss& loss) {
  RELAY_WARN("link %s is down: %s", LinkName(node_, facts).c_str(), loss.why.c_str());
  hooks_.link_down(facts, loss);
  node_.reach.erase({facts.near_port, facts.far.node, facts.far.port});
  records_.SessionDown(facts.id);
  Publish();
}

void LiveFabric::OnRecords(SessionId session, const fabric::LinkStateMessage& message) {
  const uint64_t forged = records_.counts().forged;
  const Status taken = records_.Receive(session, message, loop_.clock().Now());
  Add(counters_.link_state_forged, records_.counts().forged - forged);
  // Whoever passes on what nobody with the key has said is no neighbour.
  if (!taken) sessions_->Drop(session, "its link state is refused: " + taken.error().what);
  RebuildSoon();
}

void LiveFabric::Publish() {
  fabric::Record own;
  own.name = options_.name;
  own.build = RELAY_VERSION;
  own.agent_port = node_.port;
  own.draining = draining_;
  own.ports = found_.ports();
  for (const SessionFacts& facts : sessions_->sessions()) {
    const auto port = std::find_if(own.ports.begin(), own.ports.end(),
                                   [&](const fabric::Port& p) { return p.name == facts.near_port; });
    if (port == own.ports.end()) continue;
    own.neighbours.push_back({static_cast<uint16_t>(port - own.ports.begin()), facts.far.node, facts.far.port,
                              facts.latency_us, facts.routed});
  }
  records_.Publish(std::move(own), loop_.clock().Now());
  RebuildSoon();
}

// Many records come at once when a neighbour does.
void LiveFabric::RebuildSoon() {
  if (rebuild_ == 0 && records_.version() != built_version_) {
    rebuild_ = loop_.After(Duration::zero(), [this] { Rebuild(); });
  }
}

void LiveFabric::Rebuild() {
  loop_.Cancel(std::exchange(rebuild_, 0));
  built_version_ = records_.version();
  const auto records = records_.Records();
  fabric::Fabric graph = fabric::MakeGraph(records, options_.identity.node);
  graph.name = "discovered";
  const fabric::Fabric before = std::exchange(node_.fabric, std::move(graph));
  node_.self = fabric::FindNode(node_.fabric, options_.identity.node).value_or(0);
  node_.interfaces.clear();
  for (const fabric::Port& port : node_.node().ports) node_.interfaces.push_back(port.name);
  node_.verbs = found_.VerbsOf(node_.node().ports);
  const uint64_t agreement = fabric::AgreementHash(node_.fabric);
  if (agreement != std::exchange(node_.agreement, agreement)) {
    node_.settled = loop_.clock().Now();
    loop_.Cancel(settle_);
    settle_ = loop_.After(kSettleTime, [this] { SayWhenSettled(); });
  }
  hooks_.fabric(before);
}

void LiveFabric::SayWhenSettled() {
  settle_ = 0;
  RELAY_INFO("fabric: %zu nodes, %zu links (%s)", node_.fabric.nodes.size(), node_.fabric.links.size(),
             HashText(node_.agreement).c_str());
}

// Two machines from one image share a node's id: neither can be told from the other until one draws a new one.
void LiveFabric::SayWhenContested() {
  if (records_.contested() == std::exchange(contested_, records_.contested()) || !contested_) return;
  RELAY_WARN(
      "another machine is in this fabric under the id of this node, %s: end one of the two agents, remove its "
      "file node-* in %s and start it again",
      HashText(options_.identity.node).c_str(), RuntimeDirectory().c_str());
}

void LiveFabric::CountHellos() {
  const HelloCounts& counts = discovery_->counts();
  const auto set = [](std::atomic<uint64_t>& counter, uint64_t value) {
    counter.store(value, std::memory_order_relaxed);
  };
  set(counters_.hellos_sent, counts.sent);
  set(counters_.hellos_received, counts.received);
  set(counters_.hellos_refused_ttl, counts.refused_ttl);
  set(counters_.hellos_refused_bytes, counts.refused_bytes);
  set(counters_.hellos_refused_key, counts.refused_wrong_key + counts.refused_no_key);
  set(counters_.hellos_refused_replay, counts.refused_replay);
  set(counters_.hellos_refused_stranger, counts.refused_stranger);
  set(counters_.hellos_refused_through_fabric, counts.refused_through_fabric);
}

void LiveFabric::Tick() {
  const TimePoint now = loop_.clock().Now();
  if (found_.Outdated(now)) LookUpVerbsAgain();
  const TimePoint next = records_.Tick(loop_.clock().Now());
  SayWhenContested();
  RebuildSoon();
  const Duration wait = std::max<Duration>(next - loop_.clock().Now(), std::chrono::milliseconds(10));
  tick_ = loop_.After(wait, [this] { Tick(); });
}

std::string LiveFabric::Describe() const {
  std::string out = discovery_->Describe();
  for (const std::string& line : found_.Describe()) out += (out.empty() ? "" : "\n") + line;
  return out;
}

std::string LiveFabric::WhyNotFound(NodeId node) const {
  std::string reached;
  for (size_t i = 0; i < node_.fabric.nodes.size(); ++i) {
    if (i != node_.self) reached += (reached.empty() ? "" : ", ") + node_.fabric.nodes[i].name;
  }
  std::string silent;
  const auto sessions = sessions_->sessions();
  for (const fabric::Port& port : found_.ports()) {
    const bool heard = std::any_of(sessions.begin(), sessions.end(),
                                   [&](const SessionFacts& facts) { return facts.near_port == port.name; });
    if (!heard) silent += (silent.empty() ? "" : ", ") + port.name;
  }
  const fabric::Record* known = records_.Find(node);
  const std::string who = known != nullptr ? known->name : node_.NameOf(node);
  return node_.name() + " reaches " + (reached.empty() ? "no other node" : reached) + ", not " + who +
         (silent.empty() ? "" : "; nobody answers on its port " + silent) +
         ": start `nccl-relay agent` on every node between them, and check the cables";
}

std::string LiveFabric::WhoDropped(const fabric::LinkName& link) const {
  const auto names = [&](NodeId node, const std::string& port, NodeId far, const std::string& far_port) {
    const fabric::Record* record = records_.Find(node);
    return record != nullptr &&
           std::any_of(record->neighbours.begin(), record->neighbours.end(), [&](const fabric::Neighbour& n) {
             return n.node == far && n.far_port == far_port && record->ports[n.port].name == port;
           });
  };
  const auto name_of = [&](NodeId node) {
    const fabric::Record* record = records_.Find(node);
    return fabric::FindNode(node_.fabric, node) || record == nullptr ? node_.NameOf(node) : record->name;
  };
  const bool a = names(link.a, link.a_port, link.b, link.b_port), b = names(link.b, link.b_port, link.a, link.a_port);
  if (a && b) return "no way leads there any more";
  return name_of(a ? link.b : link.a) + " no longer reports it";
}

void LiveFabric::Drain() {
  draining_ = true;
  Publish();
}

void LiveFabric::Reconfigure(const std::string& ifname, const std::string& peers, std::shared_ptr<const Key> key) {
  const bool another_key = (key == nullptr) != (options_.key == nullptr) || key != options_.key;
  options_.key = std::move(key);
  if (another_key) {
    sessions_->SetKey(options_.key);
    Publish();
  }
  discovery_->Reconfigure(ifname, peers);
}

}  // namespace relay::agent
