#include "agent/agent.h"

#include <algorithm>

#include "agent/interfaces.h"
#include "agent/refusal.h"
#include "base/log.h"

namespace relay::agent {
namespace {

// Whoever started this agent is on its way to it.
constexpr Duration kFirstClient = std::chrono::seconds(5);
// Descriptors that no lease counts: standard ones, epoll, listeners, idle pipes, probes.
constexpr size_t kReserved = 160;

control::Welcome WelcomeOf(const AgentOptions& options) {
  const LocalNode& node = options.node;
  control::Welcome welcome;
  welcome.build = RELAY_VERSION;
  welcome.node = node.node().id;
  welcome.node_name = node.name();
  welcome.port = node.port;
  welcome.agreement = node.agreement;
  welcome.auto_started = options.auto_started;
  uint32_t speed = 0;
  for (size_t i = 0; i < node.interfaces.size(); ++i) {
    uint32_t declared = node.node().ports[i].speed_mbit;
    speed = std::max(speed, declared != 0 ? declared : SpeedOf(node.interfaces[i]));
  }
  welcome.devices = {{"relay0", "", speed}};
  return welcome;
}

}  // namespace

Agent::Agent(EventLoop& loop, AgentOptions options, ControlSocket socket)
    : loop_(loop),
      options_(std::move(options)),
      budget_(options_.descriptors - std::min(options_.descriptors, kReserved)),
      clients_(loop, std::move(socket), WelcomeOf(options_), budget_, counters_,
               {[this](ClientId id, control::Packet packet) { OnPacket(id, std::move(packet)); },
                [this](ClientId id) { OnGone(id); }}),
      relay_(loop, counters_),
      services_{loop_, options_.node, counters_, budget_, tokens_, clients_, relay_},
      desk_(services_),
      acceptor_(loop, options_.node,
                [this](size_t port, transport::tcp::Accepted call) { desk_.Accepted(port, std::move(call)); }),
      busy_until_(loop.clock().Now() + kFirstClient) {}

Agent::~Agent() { loop_.Cancel(idle_timer_); }

Result<std::unique_ptr<Agent>> Agent::Start(EventLoop& loop, AgentOptions options, ControlSocket socket) {
  std::unique_ptr<Agent> agent(new Agent(loop, std::move(options), std::move(socket)));
  RELAY_TRY(agent->acceptor_.Start());
  RELAY_TRY(agent->clients_.Start());
  if (agent->options_.auto_started) agent->WatchIdle();
  return agent;
}

void Agent::WatchIdle() {
  const TimePoint now = loop_.clock().Now();
  const bool busy = clients_.size() > 0 || relay_.size() > 0 || !desk_.idle();
  if (busy) busy_until_ = now;
  if (!busy && now >= busy_until_ + options_.linger) {
    RELAY_INFO("no client and no circuit for %g s: this agent ends", Seconds(options_.linger));
    loop_.Stop();
    return;
  }
  auto next = std::clamp<Duration>(options_.linger / 4, std::chrono::milliseconds(20), std::chrono::seconds(1));
  idle_timer_ = loop_.After(next, [this] { WatchIdle(); });
}

void Agent::OnPacket(ClientId client, control::Packet packet) {
  if (auto* m = std::get_if<control::Register>(&packet.message)) return tokens_.Register(m->token, client);
  if (auto* m = std::get_if<control::Unregister>(&packet.message)) return tokens_.Unregister(m->token, client);
  if (auto* m = std::get_if<control::Connect>(&packet.message)) return desk_.Connect(client, packet.request, *m);
  if (std::holds_alternative<control::Cancel>(packet.message)) return desk_.Cancel(client, packet.request);
  if (auto* m = std::get_if<control::Query>(&packet.message)) return OnQuery(client, packet.request, m->question);
  RELAY_WARN("a client sent a packet that only agents send");
}

void Agent::OnQuery(ClientId client, uint64_t request, const std::string& question) {
  if (question == "neighbours") return ProbeNeighbours(client, request);
  ClientSession* session = clients_.Find(client);
  if (session == nullptr) return;
  if (question == "status") return session->Send({request, control::Answer{Status()}});
  if (question == "fabric") {
    return session->Send({request, control::Answer{fabric::PrintFabric(options_.node.fabric)}});
  }
  if (question == "transit") return session->Send({request, control::Answer{std::to_string(relay_.size())}});
  session->Send({request, control::Failed{Refuse(
                              options_.node, RefusedCode::kProtocol, Again::kCannotHelp,
                              "the agent of " + options_.node.name() + " does not know the question " + question)}});
}

void Agent::ProbeNeighbours(ClientId client, uint64_t request) {
  const uint64_t id = next_probe_++;
  probes_[id] =
      std::make_unique<NeighbourProbe>(loop_, options_.node, [this, id, client, request](std::string sentence) {
        auto ended = probes_.extract(id);
        if (ClientSession* session = clients_.Find(client)) {
          session->Send({request, control::Answer{std::move(sentence)}});
        }
      });
}

void Agent::OnGone(ClientId client) {
  tokens_.DropOwner(client);
  desk_.DropClient(client);
}

}  // namespace relay::agent
