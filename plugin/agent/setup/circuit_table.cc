#include "agent/setup/circuit_table.h"

#include <sys/socket.h>

#include <algorithm>
#include <cinttypes>

#include "agent/clients/control_server.h"
#include "agent/node/refusal.h"
#include "base/log.h"

namespace relay::agent {
namespace {

constexpr size_t kMostGreeting = 1024;
constexpr size_t kMostTaken = 4096;                 // whose OPEN was read and which are not open yet
constexpr size_t kMostTakenOfOne = kMostTaken / 2;  // neighbour
constexpr size_t kMostConnects = 4096;              // of one client, under way

SocketAddress LocalAddress(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size);
  return SocketAddress::From(reinterpret_cast<sockaddr*>(&storage));
}

}  // namespace

void CircuitTable::Connect(ClientId client, uint64_t request, const control::Connect& connect) {
  const Request key{client, request};
  if (auto refused = RefuseConnect(key)) return Answer(key, tl::unexpected(std::move(*refused)));
  // Dialled and handed over while the client's own copy is in flight.
  auto lease = parts_.budget.Take(2);
  if (!lease) {
    return Answer(key, tl::unexpected(Refuse(
                           parts_.node, RefusedCode::kLimit, Again::kMayHelp,
                           "the agent of " + parts_.node.name() + " has no descriptor left: raise its `ulimit -n`")));
  }
  const ClientSession* session = parts_.clients.Find(client);
  Outgoing::Request asked{connect, session ? session->hello().build : "", session ? session->hello().plugin : "", key_,
                          [this, key](control::Prepare prepare) {
                            ClientSession* asks = parts_.clients.Find(key.first);
                            if (asks != nullptr) asks->Send({key.second, std::move(prepare)});
                          }};
  auto held = std::make_shared<Budget::Lease>(std::move(*lease));
  outgoing_[key] = std::make_unique<Outgoing>(parts_, std::move(asked), [this, key, held](Outgoing::Outcome outcome) {
    auto ended = outgoing_.extract(key);
    Answer(key, std::move(outcome));
  });
}

std::optional<RefusedMessage> CircuitTable::RefuseConnect(Request request) const {
  const LocalNode& node = parts_.node;
  if (outgoing_.contains(request)) {
    return Refuse(node, RefusedCode::kProtocol, Again::kMayHelp, "a request number is used twice");
  }
  const auto first = outgoing_.lower_bound({request.first, 0}),
             end = outgoing_.upper_bound({request.first, UINT64_MAX});
  if (static_cast<size_t>(std::distance(first, end)) < kMostConnects) return std::nullopt;
  return Refuse(node, RefusedCode::kLimit, Again::kMayHelp,
                "the agent of " + node.name() + " is opening " + std::to_string(kMostConnects) +
                    " circuits for this process, as many as it does at once: wait for some of them");
}

void CircuitTable::Answer(Request request, Outgoing::Outcome outcome) {
  ClientSession* session = parts_.clients.Find(request.first);
  if (session == nullptr) return;
  if (!outcome) {
    RELAY_INFO("not connected: %s", outcome.error().sentence.c_str());
    session->Send({request.second, control::Failed{std::move(outcome).error()}});
    return;
  }
  Add(parts_.counters.circuits_opened);
  RELAY_INFO("opened circuit %016" PRIx64 ".%u: %s", outcome->message.opened.name.connection,
             outcome->message.opened.name.epoch, outcome->message.path.c_str());
  parts_.flows.Opened(outcome->message.opened.name, FlowRole::kSource, outcome->message.path, {outcome->socket.get()});
  session->Send({request.second, std::move(outcome->message)}, std::move(outcome->socket));
}

void CircuitTable::Prepared(ClientId client, uint64_t request, control::Prepared prepared) {
  auto it = outgoing_.find({client, request});
  if (it != outgoing_.end()) it->second->OnPrepared(std::move(prepared));
}

void CircuitTable::FabricChanged() {
  for (auto& [request, outgoing] : outgoing_) outgoing->FabricChanged();
}

void CircuitTable::Cancel(ClientId client, uint64_t request) { outgoing_.erase({client, request}); }

void CircuitTable::DropClient(ClientId client) {
  outgoing_.erase(outgoing_.lower_bound({client, 0}), outgoing_.upper_bound({client, UINT64_MAX}));
}

void CircuitTable::Accepted(const std::string& interface, transport::tcp::Accepted accepted) {
  auto lease = MakeRoom();
  if (!lease) {
    Add(parts_.counters.circuits_refused);
    return log_.Warn("descriptors", "call from " + accepted.from.HostText() +
                                        ": no descriptor is left for another call: raise `ulimit -n`");
  }
  const uint64_t id = next_incoming_++;
  const std::string host = accepted.from.HostText();
  Arrival arrival{interface, accepted.from, LocalAddress(accepted.fd.get())};
  Incoming::Hooks hooks{log_, [this, id] { return Greeted(id); }, on_session_,
                        [this, id] {
                          StopGreeting(id);
                          StopTaken(id);
                          auto ended = incoming_.extract(id);
                        }};
  auto incoming = std::make_unique<Incoming>(
      parts_, Incoming::Call{std::move(accepted.fd), std::move(arrival), std::move(*lease), key_}, std::move(hooks));
  if (!incoming->Start()) return;
  incoming_[id] = std::move(incoming);
  greeting_[id] = host;
  greeting_of_[host].insert(id);
}

std::optional<Budget::Lease> CircuitTable::MakeRoom() {
  // Half of the descriptors stay for circuits, whoever calls.
  const size_t most = std::clamp<size_t>(parts_.budget.limit() / 2, 1, kMostGreeting);
  if (greeting_.size() >= most) EndOneGreeting();
  auto lease = parts_.budget.Take(1);
  if (lease || greeting_.empty()) return lease;
  EndOneGreeting();
  return parts_.budget.Take(1);
}

void CircuitTable::EndOneGreeting() {
  const auto most = std::max_element(greeting_of_.begin(), greeting_of_.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second.size(), *b.second.begin()) < std::pair(b.second.size(), *a.second.begin());
  });
  const uint64_t oldest = *most->second.begin();
  Add(parts_.counters.circuits_refused);
  Add(parts_.counters.calls_refused_share);
  log_.Warn("share", "call from " + most->first + ": too many half-open calls, its oldest of " +
                         std::to_string(most->second.size()) + " is ended");
  StopGreeting(oldest);
  incoming_.erase(oldest);
}

// Half of the room is for others, whatever one neighbour asks for.
bool CircuitTable::Greeted(uint64_t id) {
  const std::string host = greeting_.at(id);
  StopGreeting(id);
  taken_[id] = host;
  const size_t of_this_one = ++taken_of_[host];
  return taken_.size() <= kMostTaken && of_this_one <= kMostTakenOfOne;
}

void CircuitTable::StopTaken(uint64_t id) {
  const auto it = taken_.find(id);
  if (it == taken_.end()) return;
  const auto host = taken_of_.find(it->second);
  if (--host->second == 0) taken_of_.erase(host);
  taken_.erase(it);
}

void CircuitTable::StopGreeting(uint64_t id) {
  auto it = greeting_.find(id);
  if (it == greeting_.end()) return;
  auto host = greeting_of_.find(it->second);
  host->second.erase(id);
  if (host->second.empty()) greeting_of_.erase(host);
  greeting_.erase(it);
}

}  // namespace relay::agent
