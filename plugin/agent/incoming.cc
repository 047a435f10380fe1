#include "agent/incoming.h"

#include <sys/socket.h>

#include "agent/control_server.h"
#include "agent/refusal.h"
#include "agent/relay.h"
#include "base/log.h"

namespace relay::agent {
namespace {

constexpr Duration kOpenPatience = std::chrono::seconds(5);
// Two sockets, and in the worst case a pipe with bytes in it for each direction.
constexpr size_t kCircuitDescriptors = 6;

}  // namespace

Incoming::Incoming(const Services& services, Call call, Done done)
    : services_(services), call_(std::move(call)), done_(std::move(done)) {}

Incoming::~Incoming() {
  if (call_.socket) services_.loop.Forget(call_.socket.get());
  services_.loop.Cancel(timer_);
}

Status Incoming::Start() {
  RELAY_TRY(services_.loop.Watch(call_.socket.get(), EPOLLIN | EPOLLRDHUP, [this](uint32_t) { OnEvents(); }));
  timer_ = services_.loop.After(kOpenPatience, [this] { Finish("no OPEN in time"); });
  return {};
}

void Incoming::OnEvents() {
  if (reading_) return ReadOpen();
  // Whoever asks for a circuit is silent until it is open: this is the end of the stream, or of its good behaviour.
  Finish();
}

void Incoming::ReadOpen() {
  auto progress = reader_.Read(call_.socket.get());
  if (!progress) {
    if (progress.error().code == ErrorCode::kUsage) {
      return RefuseWith(Refuse(services_.node, RefusedCode::kVersion, Again::kCannotHelp,
                               services_.node.name() + ": " + progress.error().what));
    }
    // Calling and hanging up is how a neighbour asks whether an agent is here.
    return Finish(reader_.began() ? progress.error().what : "");
  }
  if (*progress == Progress::kAgain) return;
  if (reader_.type() != SetupType::kOpen) return Finish("an answer where OPEN was due");
  auto open = DecodeOpen(reader_.body());
  if (!open) {
    RefusedMessage refused = Refuse(services_.node, RefusedCode::kProtocol, Again::kCannotHelp,
                                    services_.node.name() + " got an OPEN that it cannot read");
    WriteWhole(call_.socket.get(), EncodeRefused(refused));
    return Finish(open.error().what);
  }
  Take(std::move(*open));
}

void Incoming::Take(OpenMessage open) {
  reading_ = false;
  services_.loop.Cancel(timer_);
  open_ = std::move(open);
  if (auto refused = CheckRoute(services_.node, open_, call_.arrival)) return RefuseWith(*refused);
  if (open_.hop + 1u == open_.route.size()) return FindOwner();
  DialOn();
}

void Incoming::FindOwner() {
  search_ = std::make_unique<OwnerSearch>(services_, open_.token, [this](OwnerSearch::Outcome outcome) {
    if (!outcome) return RefuseWith(outcome.error());
    HandOver(*outcome);
  });
}

void Incoming::HandOver(ClientId owner) {
  ClientSession* session = services_.clients.Find(owner);
  if (session == nullptr) {
    return RefuseWith(Refuse(services_.node, RefusedCode::kOwnerGone, Again::kCannotHelp,
                             "the receiving process on " + services_.node.name() + " is gone"));
  }
  services_.loop.Forget(call_.socket.get());
  Add(services_.counters.circuits_opened);
  std::string path = RouteText(services_.node, open_);
  session->Send({0, control::Arrived{open_, std::move(path)}}, std::move(call_.socket));
  Finish();
}

void Incoming::DialOn() {
  auto lease = services_.budget.Take(kCircuitDescriptors);
  if (!lease) {
    return RefuseWith(Refuse(services_.node, RefusedCode::kLimit, Again::kMayHelp,
                             services_.node.name() + " relays as many circuits as its `ulimit -n` of " +
                                 std::to_string(services_.budget.limit()) + " allows: raise it for its agent"));
  }
  circuit_lease_ = std::move(*lease);
  OpenMessage onward = open_;
  ++onward.hop;
  onward.offer.clear();
  dialer_ = std::make_unique<HopDialer>(services_.loop, services_.node, std::move(onward),
                                        [this](HopDialer::Outcome outcome) {
                                          if (!outcome) return RefuseWith(outcome.error());
                                          JoinHops(std::move(*outcome));
                                        });
}

void Incoming::JoinHops(HopDialer::Opened opened) {
  if (!WriteWhole(call_.socket.get(), EncodeOpened(opened.message))) return Finish();
  services_.loop.Forget(call_.socket.get());
  Add(services_.counters.circuits_opened);
  const LocalNode& node = services_.node;
  RelayedCircuit::Facts facts{open_.name, RouteText(node, open_), node.NameOf(open_.source),
                              node.NameOf(open_.route.back().to)};
  services_.relay.Join(std::move(facts), {std::move(call_.socket), std::move(opened.socket)},
                       std::move(circuit_lease_));
  Finish();
}

void Incoming::RefuseWith(const RefusedMessage& refused) {
  Add(services_.counters.circuits_refused);
  RELAY_INFO("refused: %s", refused.sentence.c_str());
  int fd = call_.socket.get();
  WriteWhole(fd, EncodeRefused(refused));
  shutdown(fd, SHUT_WR);
  // Unread bytes would make the kernel reset the connection and the refusal with it.
  char unread[4096];
  for (int i = 0; i < 16 && recv(fd, unread, sizeof unread, MSG_DONTWAIT) > 0; ++i) {
  }
  Finish();
}

void Incoming::Finish(std::string misbehaviour) {
  Done done = std::move(done_);
  done(std::move(misbehaviour));
}

}  // namespace relay::agent
