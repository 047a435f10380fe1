#include "agent/agent.h"

#include <algorithm>

#include "agent/node/refusal.h"
#include "base/log.h"
#include "transport/rdma/memlock.h"

namespace relay::agent {
namespace {

// Descriptors that no lease counts: standard ones, epoll, listeners, idle pipes, probes.
constexpr size_t kReserved = 160, kLeastLeases = 8;
// A discovered fabric that has not changed for so long is whole: neighbours find each other by a burst of hellos.
constexpr Duration kSettling = std::chrono::seconds(2);
constexpr Duration kSurveyPatience = std::chrono::milliseconds(800);
// An answer is text of many packets; a node's part of a survey is one message.
constexpr size_t kMostFlows = size_t{1} << 20, kMostSurveyed = 30000;

std::string DescribeDeclared(const LocalNode& node) {
  std::string out = "the fabric is declared: nothing is discovered";
  for (size_t i = 0; i < node.verbs.size(); ++i) {
    const std::string line = VerbsText(node.declared_ports[i].name, node.verbs[i]);
    if (!line.empty()) out += "\n" + line;
  }
  return out;
}

// The first GPU that CUDA shows: which one that is, CUDA_VISIBLE_DEVICES says.
SlotBudget MakeSlotBudget(const AgentOptions& options) {
  if (!options.gpu_slots) return SlotBudget(options.registered);
  auto gpu = CudaDevice::Open(0, options.cuda);
  SlotBudget out(options.registered, gpu ? *gpu : nullptr);
  if (!gpu) out.GiveUpGpu(gpu.error().what);
  return out;
}

// Before the first circuit fails for it.
void CheckLockedMemory(const LocalNode& node, size_t registered) {
  const bool rdma = std::any_of(node.verbs.begin(), node.verbs.end(), [](const PortVerbs& v) { return v.port; });
  if (!rdma) return;
  // A slot is registered with the devices of both hops.
  const Status enough = transport::rdma::CheckMemlock(2 * registered, transport::rdma::LockableBytes());
  if (!enough) RELAY_WARN("relaying may end up without RDMA: %s", enough.error().what.c_str());
}

// Says aloud what a declared port lacks.
void LookUpVerbs(LocalNode& node, fabric::PathTable& paths) {
  const fabric::Fabric before = node.fabric;
  if (LookUpDeclared(node)) paths.Changed(before, node.fabric);
  for (size_t i = 0; i < node.verbs.size(); ++i) {
    const std::string text = VerbsText(node.declared_ports[i].name, node.verbs[i]);
    const bool lacks = node.declared_ports[i].kind == fabric::PortKind::kRdma && !node.verbs[i].port && node.rdma;
    if (lacks) {
      RELAY_WARN("%s; its links count as tcp for circuits of this node", text.c_str());
    } else if (!text.empty()) {
      RELAY_INFO("%s", text.c_str());
    }
  }
}

}  // namespace

Agent::Agent(EventLoop& loop, AgentOptions options, ControlSocket socket)
    : loop_(loop),
      options_(std::move(options)),
      node_(options_.node),
      paths_(node_.self),
      budget_(options_.descriptors, kReserved),
      clients_(loop, std::move(socket), [this] { return MakeWelcome(); }, budget_, counters_,
               {[this](ClientId id, control::Packet packet) { OnPacket(id, std::move(packet)); },
                [this](ClientId id) { OnGone(id); }, [this](const std::string& who) { return OnStranger(who); },
                [this](pid_t pid) { return OnFull(pid); }}),
      relay_(loop, counters_, MakeSlotBudget(options_)),
      flows_(loop.clock()),
      log_(loop.clock()),
      parts_{loop_,
             node_,
             paths_,
             counters_,
             budget_,
             tokens_,
             clients_,
             relay_,
             flows_,
             history_,
             [this](NodeId node, const std::vector<SocketAddress>& addresses) {
               if (live_) live_->Probe(node, addresses);
             },
             [this](NodeId node) { return WhyNotFound(node); }},
      circuits_(parts_),
      watch_(parts_, options_.hold_down),
      acceptor_(loop, node_.hop,
                [this](const std::string& interface, transport::tcp::Accepted call) {
                  circuits_.Accepted(interface, std::move(call));
                }),
      probes_(loop, node_),
      ending_(loop, clients_, relay_, circuits_) {
  circuits_.set_key(options_.key);
  circuits_.set_session_handler([this](SessionTable::Call call) {
    if (live_) live_->sessions().Accepted(std::move(call));
  });
}

Agent::~Agent() = default;

Result<std::unique_ptr<Agent>> Agent::Start(EventLoop& loop, AgentOptions options, ControlSocket socket) {
  if (options.descriptors < kReserved + kLeastLeases) {
    return Fail(ErrorCode::kUsage, "`ulimit -n` is " + std::to_string(options.descriptors) +
                                       " here, and an agent needs at least " +
                                       std::to_string(kReserved + kLeastLeases) +
                                       ": raise it where the job starts, or start `nccl-relay agent` before with more");
  }
  std::unique_ptr<Agent> agent(new Agent(loop, std::move(options), std::move(socket)));
  RELAY_TRY(agent->options_.discover ? agent->StartDiscovered() : agent->StartDeclared());
  CheckLockedMemory(agent->node_, agent->options_.registered);
  RELAY_TRY(agent->clients_.Start());
  if (agent->options_.auto_started) agent->ending_.WhenIdle(agent->options_.linger);
  return agent;
}

relay::Status Agent::StartDeclared() {
  std::vector<Acceptor::Door> doors;
  const auto& ports = node_.node().ports;
  for (size_t port = 0; port < ports.size(); ++port) {
    for (const SocketAddress& address : ports[port].addresses) {
      doors.push_back({node_.InterfaceOf(port), address.WithPort(node_.port)});
    }
  }
  LookUpVerbs(node_, paths_);
  WatchDeclaredPorts();
  return acceptor_.Listen(doors);
}

relay::Status Agent::StartDiscovered() {
  LiveFabric::Hooks hooks;
  hooks.ports = [this] {
    // Before that, StartDiscovered itself listens.
    if (live_) (void)acceptor_.Follow(live_->Doors());
  };
  hooks.limits = [this](const std::string& port) { acceptor_.Limit(port, node_.limits.AtPort(port)); };
  hooks.fabric = [this](const fabric::Fabric& before) { OnFabric(before); };
  hooks.link_up = [this](const SessionFacts& facts) { OnLinkUp(facts); };
  hooks.link_down = [this](const SessionFacts& facts, const Loss& loss) { OnLinkDown(facts, loss); };
  hooks.answer = [this](const std::string& question) {
    return question == "flows" ? FlowsJson(kMostSurveyed) : std::string();
  };
  auto live = LiveFabric::Start(loop_, node_, *options_.discover, counters_, std::move(hooks));
  RELAY_TRY(live);
  live_ = std::move(*live);
  return acceptor_.Follow(live_->Doors());
}

void Agent::OnFabric(const fabric::Fabric& before) {
  paths_.Changed(before, node_.fabric);
  const fabric::FabricChange change = fabric::Compare(before, node_.fabric);
  for (size_t link : change.added_links) history_.Forget(fabric::NameOf(node_.fabric, link));
  std::vector<fabric::LinkName> lost;
  for (size_t link = 0; link < before.links.size(); ++link) {
    if (change.links[link] != fabric::FabricChange::kGone) continue;
    lost.push_back(fabric::NameOf(before, link));
    // What this node saw itself says more.
    if (history_.Find(lost.back()) != nullptr) continue;
    const std::string who = live_ ? live_->WhoDropped(lost.back()) : "";
    history_.Note(lost.back(), {fabric::LinkText(before, link), who, loop_.clock().Now()});
  }
  std::sort(lost.begin(), lost.end());
  watch_.LinksLost(lost);
  watch_.PathsChanged();
  circuits_.FabricChanged();
}

void Agent::OnLinkUp(const SessionFacts& facts) {
  history_.Forget(fabric::NameOf(RouteHop{node_.node().id, facts.far.node, facts.near_port, facts.far.port}));
}

// Where bytes cannot cross the link any more, its circuits end now. Where only the agent at its other end has gone or
// is stopped, they may have ends that live.
void Agent::OnLinkDown(const SessionFacts& facts, const Loss& loss) {
  const RouteHop hop{node_.node().id, facts.far.node, facts.near_port, facts.far.port};
  const auto link = fabric::FindLink(node_.fabric, hop);
  const bool known = fabric::FindNode(node_.fabric, facts.far.node).has_value();
  const std::string named = known ? node_.NameOf(facts.far.node) : facts.far_name;
  const std::string text = link ? fabric::LinkText(node_.fabric, *link)
                                : node_.name() + "-" + named + " (" + node_.name() + "/" + facts.near_port + " to " +
                                      named + "/" + facts.far.port + ")";
  const fabric::LinkName name = fabric::NameOf(hop);
  history_.Note(name, {text, LossText(loss, named), loop_.clock().Now()});
  const bool dead = loss.cause == Loss::Cause::kPort || loss.cause == Loss::Cause::kHostSilent;
  if (dead) relay_.LinkLost(name, DownText(*history_.Find(name)));
}

// A declared fabric stays as it is when a cable is pulled; who uses the cable should not have to wait for timeouts.
void Agent::WatchDeclaredPorts() {
  auto ports = DeclaredPorts::Start(
      loop_, node_,
      {[this](size_t port, const Loss& loss) { OnPortDown(port, loss); }, [this](size_t port) { OnPortUp(port); }});
  if (!ports) return RELAY_WARN("cables that are pulled are noticed late: %s", ports.error().what.c_str());
  declared_ports_ = std::move(*ports);
}

void Agent::OnPortDown(size_t port, const Loss& loss) {
  std::vector<fabric::LinkName> lost;
  for (size_t link = 0; link < node_.fabric.links.size(); ++link) {
    const auto ends = EndsFrom(node_, link);
    if (!ends || ends->near.port != port) continue;
    lost.push_back(fabric::NameOf(node_.fabric, link));
    const std::string far = node_.fabric.nodes[ends->far.node].name;
    history_.Note(lost.back(), {fabric::LinkText(node_.fabric, link), LossText(loss, far), loop_.clock().Now()});
    relay_.LinkLost(lost.back(), DownText(*history_.Find(lost.back())));
  }
  RELAY_WARN("port %s is down: %s", node_.node().ports[port].name.c_str(), loss.why.c_str());
  std::sort(lost.begin(), lost.end());
  watch_.LinksLost(lost);
  watch_.PathsChanged();
}

void Agent::OnPortUp(size_t port) {
  RELAY_INFO("port %s is up", node_.node().ports[port].name.c_str());
  for (size_t link = 0; link < node_.fabric.links.size(); ++link) {
    const auto ends = EndsFrom(node_, link);
    if (ends && ends->near.port == port) history_.Forget(fabric::NameOf(node_.fabric, link));
  }
  watch_.PathsChanged();
}

control::RdmaReach Agent::RdmaReach() {
  using Reach = control::RdmaReach;
  bool rdma = false;
  for (size_t port = 0; port < node_.interfaces.size(); ++port) rdma = rdma || node_.VerbsOf(port);
  if (!rdma) return Reach::kNo;
  if (!node_.declared && loop_.clock().Now() < node_.settled + kSettling) return Reach::kUnsettled;
  // A path to oneself is no device's: with nobody else there is nothing that RDMA reaches.
  if (node_.fabric.nodes.size() < 2) return Reach::kNo;
  for (size_t other = 0; other < node_.fabric.nodes.size(); ++other) {
    if (other == node_.self) continue;
    const auto path = paths_.To(node_.fabric, other);
    if (!path || !path->rdma) return Reach::kNo;
  }
  return Reach::kAll;
}

control::Welcome Agent::MakeWelcome() {
  control::Welcome welcome;
  welcome.build = RELAY_VERSION;
  welcome.node = node_.node().id;
  welcome.node_name = node_.name();
  welcome.port = node_.port;
  welcome.agreement = node_.declared ? node_.agreement : 0;
  welcome.auto_started = options_.auto_started;
  welcome.devices = DevicesOf(node_);
  if (live_) welcome.addresses = live_->Reachable();
  welcome.rdma_reach = RdmaReach();
  for (size_t port = 0; port < node_.interfaces.size(); ++port) {
    if (const auto verbs = node_.VerbsOf(port)) welcome.verbs.push_back({verbs->device, verbs->port});
  }
  return welcome;
}

std::string Agent::WhyNotFound(NodeId node) const {
  return live_ ? live_->WhyNotFound(node) : "no path leads to " + node_.NameOf(node);
}

void Agent::Drain(Duration longest) {
  if (node_.draining) return loop_.Stop();  // asked twice: at once
  RELAY_INFO("ending: new circuits are refused, %zu that pass here may finish", relay_.size());
  node_.draining = true;
  if (live_) live_->Drain();
  ending_.WhenDrained(longest, [this] {
    if (live_) live_->Leave();
  });
}

void Agent::Reconfigure(Settings settings) {
  circuits_.set_key(settings.key);
  node_.settings = std::move(settings.text);
  if (live_) return live_->Reconfigure(settings.ifname, settings.peers, settings.key);
  LookUpVerbs(node_, paths_);
}

void Agent::OnPacket(ClientId client, control::Packet packet) {
  if (auto* m = std::get_if<control::Register>(&packet.message)) {
    if (tokens_.Register(m->token, client)) return;
    return RefuseMore(client, packet.request, "tokens", TokenRegistry::kMostOfOne);
  }
  if (auto* m = std::get_if<control::Unregister>(&packet.message)) return tokens_.Unregister(m->token, client);
  if (auto* m = std::get_if<control::Connect>(&packet.message)) return circuits_.Connect(client, packet.request, *m);
  if (auto* m = std::get_if<control::Watch>(&packet.message)) {
    if (watch_.Watch(client, std::move(*m))) return;
    return RefuseMore(client, packet.request, "watched circuits", CircuitWatch::kMostOfOne);
  }
  if (auto* m = std::get_if<control::Unwatch>(&packet.message)) return watch_.Unwatch(client, m->connection);
  if (std::holds_alternative<control::Cancel>(packet.message)) return circuits_.Cancel(client, packet.request);
  if (auto* m = std::get_if<control::Prepared>(&packet.message)) {
    return circuits_.Prepared(client, packet.request, std::move(*m));
  }
  if (auto* m = std::get_if<control::Query>(&packet.message)) return OnQuery(client, packet.request, m->question);
  RELAY_WARN("a client sent a packet that only agents send");
}

// What is not answered otherwise, is when there is too much of it.
void Agent::RefuseMore(ClientId client, uint64_t request, const std::string& what, size_t most) {
  ClientSession* session = clients_.Find(client);
  if (session == nullptr) return;
  const std::string why = "the agent of " + node_.name() + " holds " + std::to_string(most) + " " + what +
                          " for this process, as many as it does for one";
  log_.Warn("more", "process " + std::to_string(session->pid()) + ": " + why);
  session->Send({request, control::Failed{Refuse(node_, RefusedCode::kLimit, Again::kMayHelp, why)}});
}

void Agent::OnQuery(ClientId client, uint64_t request, const std::string& question) {
  if (question == "neighbours") return ProbeNeighbours(client, request);
  if (question == "survey") return Survey(client, request);
  ClientSession* session = clients_.Find(client);
  if (session == nullptr) return;
  if (live_) live_->CountHellos();
  if (question == "status") return session->Answer(request, Status());
  if (question == "settings") return session->Answer(request, node_.settings);
  if (question == "give way") {
    return session->Answer(request, options_.auto_started ? ending_.GiveWay(client) : "an operator started it");
  }
  if (question == "fabric") return session->Answer(request, fabric::PrintFabric(node_.fabric));
  if (question == "flows") return session->Answer(request, FlowsJson(kMostFlows));
  if (question == "discovery") {
    return session->Answer(request, live_ ? live_->Describe() : DescribeDeclared(node_));
  }
  if (question == "transit") return session->Answer(request, std::to_string(relay_.size()));
  session->Send(
      {request, control::Failed{Refuse(node_, RefusedCode::kProtocol, Again::kCannotHelp,
                                       "the agent of " + node_.name() + " does not know the question " + question)}});
}

std::string Agent::FlowsJson(size_t most_bytes) {
  std::vector<Flows::NodePort> ports;
  for (size_t i = 0; i < node_.interfaces.size(); ++i) {
    ports.push_back({node_.node().ports[i].name, node_.interfaces[i]});
  }
  return flows_.Json({node_.node().id, node_.name(), ports}, most_bytes);
}

void Agent::Survey(ClientId client, uint64_t request) {
  const auto answer = [this, client, request](const std::vector<Finding>& findings) {
    ClientSession* session = clients_.Find(client);
    if (session == nullptr) return;
    std::string all;
    for (const Finding& finding : findings) {
      if (!finding.text.empty()) all += (all.empty() ? "" : ",") + finding.text;
    }
    session->Answer(request, "[" + all + "]");
  };
  if (live_) return live_->sessions().Survey("flows", kSurveyPatience, answer);
  answer({{node_.node().id, node_.name(), FlowsJson(kMostFlows)}});
}

void Agent::ProbeNeighbours(ClientId client, uint64_t request) {
  probes_.Start([this, client, request](std::string sentence) {
    if (ClientSession* session = clients_.Find(client)) {
      session->Send({request, control::Answer{std::move(sentence)}});
    }
  });
}

void Agent::OnGone(ClientId client) {
  tokens_.DropOwner(client);
  circuits_.DropClient(client);
  watch_.DropClient(client);
  ending_.Gone(client);
}

RefusedMessage Agent::OnFull(pid_t pid) {
  const std::string why = "the agent of " + node_.name() +
                          " serves as many processes and circuits as its `ulimit -n` of " +
                          std::to_string(budget_.whole()) + " allows: raise it for its agent";
  log_.Warn("full", "process " + std::to_string(pid) + ": " + why);
  return Refuse(node_, RefusedCode::kLimit, Again::kMayHelp, why);
}

// A process of another user, which this agent does not serve. What a job has started does not stay for ever.
RefusedMessage Agent::OnStranger(const std::string& who) {
  const bool ends = options_.auto_started && ending_.GiveWayToAnother();
  if (!ends) log_.Warn("stranger", who);
  if (ends) RELAY_INFO("%s; nobody uses this agent: it ends, so that they can have theirs", who.c_str());
  return Refuse(node_, RefusedCode::kForbidden, options_.auto_started ? Again::kMayHelp : Again::kCannotHelp,
                "the agent of this node (process " + std::to_string(getpid()) + ") is of user " +
                    std::to_string(geteuid()) +
                    " and serves no other: set NCCL_RELAY_SOCKET and NCCL_RELAY_PORT to "
                    "values of your own, or let a daemon serve everyone (docs/operating.md)");
}

}  // namespace relay::agent
