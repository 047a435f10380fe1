#include "comm/recovery/recv_recovery.h"

#include <sys/socket.h>

#include <cerrno>

#include "base/log.h"

namespace relay::comm {
namespace {

// Whoever opened it has given it up: nobody would read the answer.
bool IsDead(int socket) {
  char byte;
  const ssize_t n = recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

}  // namespace

RecvRecovery::RecvRecovery(const CircuitTools& tools, stream::RecvStream& receiver,
                           std::shared_ptr<Registrations> registrations, const Token& token, const Arrival& first)
    : tools_(tools),
      receiver_(receiver),
      registrations_(std::move(registrations)),
      token_(token),
      first_(first.name),
      source_(first.source) {
  if (first.source_token != Token{}) {
    inquiry_ = std::make_unique<Inquiry>(
        tools_.agent, control::Connect{.node = source_, .token = first.source_token, .name = first_});
  }
  Watch(first.route);
}

void RecvRecovery::Watch(const std::vector<RouteHop>& route) {
  direct_ = route.size() == 1;
  if (!route.empty()) tools_.agent.Watch({first_.connection, source_, /*source=*/false, route});
}

void RecvRecovery::Tend(TimePoint now, const Need& need) {
  if (need.ended) return Release();
  if (auto received = tools_.agent.TakeArrival(token_)) return Take(std::move(*received));
  if (auto sentence = tools_.agent.TakeLinkLost(first_.connection)) receiver_.Warn(*sentence);
  if (need.circuit || need.doubt) {
    Ask(now, need);
  } else if (inquiry_) {
    inquiry_->Stop();
  }
}

// The old circuit ends first: what the new one brings may be written where the old one's bytes were on their way to.
void RecvRecovery::Take(control::Received received) {
  const CircuitName name = std::get<control::Arrived>(received.packet.message).open.name;
  tools_.agent.Expect(token_, name.connection, name.epoch);
  if (IsDead(received.fd.get())) return;
  receiver_.Fence();
  Arrival arrival = MakeArrival(tools_, std::move(received));
  if (Status prepared = registrations_->Prepare(arrival.devices); !prepared) {
    // Nobody answers: the sending end tries again.
    return receiver_.NoteTrouble("path " + arrival.circuit.circuit->path() + ": " + prepared.error().what);
  }
  RELAY_INFO("connection with %s goes on over %s", arrival.source_name.c_str(),
             arrival.circuit.circuit->path().c_str());
  Add(tools_.counters.circuits_resumed);
  arrival.circuit.on_taken = [this] { registrations_->Move(); };
  receiver_.Adopt(std::move(arrival.circuit));
  registrations_->DropFormer();
  Watch(arrival.route);
}

void RecvRecovery::Ask(TimePoint now, const Need& need) {
  if (!inquiry_) return;
  if (need.waiting) inquiry_->Go(now);
  const auto answer = inquiry_->Take();
  if (!answer) return;
  const bool gone = absence_.OnRefused(*answer, {need.hung_up, direct_}, now);
  if (gone || answer->code == RefusedCode::kOwnerGone)
    return receiver_.PeerGone("the peer has ended: " + answer->sentence);
  if (answer->code == RefusedCode::kOwnerLives) return receiver_.PeerLives();
  receiver_.NoteTrouble(answer->sentence);
}

void RecvRecovery::Release() {
  if (std::exchange(released_, true)) return;
  if (inquiry_) inquiry_->Stop();
  tools_.agent.Unwatch(first_.connection);
  tools_.agent.Unregister(token_);
}

}  // namespace relay::comm
