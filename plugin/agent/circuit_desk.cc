#include "agent/circuit_desk.h"

#include <cinttypes>

#include "agent/control_server.h"
#include "agent/refusal.h"
#include "base/log.h"

namespace relay::agent {
namespace {

constexpr size_t kMostIncoming = 1024;
constexpr Duration kComplaintPause = std::chrono::seconds(1);

}  // namespace

void CircuitDesk::Connect(ClientId client, uint64_t request, const control::Connect& connect) {
  const Request key{client, request};
  auto lease = services_.budget.Take(2);  // dialled and handed over while the client's own copy is in flight
  if (!lease || outgoing_.contains(key)) {
    auto code = lease ? RefusedCode::kProtocol : RefusedCode::kLimit;
    std::string why = lease
                          ? "a request number is used twice"
                          : "the agent of " + services_.node.name() + " has no descriptor left: raise its `ulimit -n`";
    return Answer(key, tl::unexpected(Refuse(services_.node, code, Again::kMayHelp, std::move(why))));
  }
  auto held = std::make_shared<Budget::Lease>(std::move(*lease));
  outgoing_[key] = std::make_unique<Outgoing>(services_, connect, [this, key, held](Outgoing::Outcome outcome) {
    auto ended = outgoing_.extract(key);
    Answer(key, std::move(outcome));
  });
}

void CircuitDesk::Answer(Request request, Outgoing::Outcome outcome) {
  ClientSession* session = services_.clients.Find(request.first);
  if (session == nullptr) return;
  if (!outcome) {
    RELAY_INFO("not connected: %s", outcome.error().sentence.c_str());
    session->Send({request.second, control::Failed{std::move(outcome).error()}});
    return;
  }
  Add(services_.counters.circuits_opened);
  RELAY_INFO("opened circuit %016" PRIx64 ".%u.%u: %s", outcome->message.opened.name.connection,
             outcome->message.opened.name.circuit, outcome->message.opened.name.epoch, outcome->message.path.c_str());
  session->Send({request.second, std::move(outcome->message)}, std::move(outcome->socket));
}

void CircuitDesk::Cancel(ClientId client, uint64_t request) { outgoing_.erase({client, request}); }

void CircuitDesk::DropClient(ClientId client) {
  outgoing_.erase(outgoing_.lower_bound({client, 0}), outgoing_.upper_bound({client, UINT64_MAX}));
}

void CircuitDesk::Accepted(size_t port, transport::tcp::Accepted accepted) {
  if (incoming_.size() >= kMostIncoming) {
    Misbehaved(accepted.from, "too many half-open calls, the oldest is dropped");
    incoming_.erase(incoming_.begin());
  }
  auto lease = services_.budget.Take(1);
  if (!lease) {
    Misbehaved(accepted.from, "no descriptor is left for another call: raise `ulimit -n`");
    return;
  }
  uint64_t id = next_incoming_++;
  SocketAddress from = accepted.from;
  Incoming::Call call{std::move(accepted.fd), {port, from}, std::move(*lease)};
  auto incoming = std::make_unique<Incoming>(services_, std::move(call), [this, id, from](const std::string& how) {
    auto ended = incoming_.extract(id);
    if (!how.empty()) Misbehaved(from, how);
  });
  auto started = incoming->Start();
  if (started) incoming_[id] = std::move(incoming);
}

// A flood of bad calls must not become a flood of lines.
void CircuitDesk::Misbehaved(const SocketAddress& from, const std::string& how) {
  Add(services_.counters.circuits_refused);
  TimePoint now = services_.loop.clock().Now();
  if (last_complaint_ != TimePoint{} && now - last_complaint_ < kComplaintPause) {
    ++complaints_kept_back_;
    return;
  }
  RELAY_WARN("call from %s: %s (and %" PRIu64 " others since the last such line)", from.HostText().c_str(), how.c_str(),
             complaints_kept_back_);
  last_complaint_ = now;
  complaints_kept_back_ = 0;
}

}  // namespace relay::agent
