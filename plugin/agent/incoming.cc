#include "agent/incoming.h"

#include "agent/control_server.h"
#include "agent/link_history.h"
#include "agent/parallel_ports.h"
#include "agent/refusal.h"
#include "agent/relay.h"
#include "circuit/offer.h"
#include "fabric/route.h"

namespace relay::agent {
namespace {

// Two sockets, and in the worst case a pipe with bytes in it for each direction.
constexpr size_t kCircuitDescriptors = 6;

}  // namespace

Incoming::Incoming(const Services& services, Call call, Hooks hooks)
    : services_(services),
      call_(std::move(call)),
      hooks_(std::move(hooks)),
      handshake_(call_.key, {services.node.node().id, services.node.name()}, RandomNonce(),
                 [this](NodeId id) { return services_.node.NameOf(id); }) {}

Incoming::~Incoming() {
  if (call_.socket) services_.loop.Forget(call_.socket.get());
  services_.loop.Cancel(timer_);
}

Status Incoming::Start() {
  RELAY_TRY(services_.loop.Watch(call_.socket.get(), EPOLLIN | EPOLLRDHUP, [this](uint32_t) { OnEvents(); }));
  timer_ = services_.loop.After(kGreetingPatience, [this] {
    Misbehaved(services_.counters.handshakes_late, "late", "no OPEN or SESSION in time");
  });
  return {};
}

void Incoming::OnEvents() {
  if (greeting_) return ReadGreeting();
  // Whoever asks for a circuit is silent until it is open: this is the end of the stream, or of its good behaviour.
  Finish();
}

void Incoming::ReadGreeting() {
  while (true) {
    auto progress = reader_.Read(call_.socket.get());
    if (!progress) {
      if (progress.error().code == ErrorCode::kUsage) {
        return RefuseWith(Refuse(services_.node, RefusedCode::kVersion, Again::kCannotHelp,
                                 services_.node.name() + ": " + progress.error().what));
      }
      // Calling and hanging up is how a neighbour asks whether an agent is here.
      if (!reader_.began()) return Finish();
      return Misbehaved(services_.counters.setup_refused_bytes, "bytes", progress.error().what);
    }
    if (*progress == Progress::kAgain) return;
    if (!TakeStep(handshake_.Receive(reader_.type(), reader_.body()))) return;
    if (handshake_.done()) return reader_.type() == SetupType::kSession ? TakeSession() : TakeOpen();
    reader_ = {};
  }
}

// False: the call has ended.
bool Incoming::TakeStep(const HandshakeStep& step) {
  using Reason = HandshakeRefusal::Reason;
  if (!step.refused) {
    if (step.send.empty() || WriteWhole(call_.socket.get(), step.send)) return true;
    Finish();
    return false;
  }
  const std::string& sentence = step.refused->message.sentence;
  Counters& counters = services_.counters;
  if (step.refused->reason == Reason::kOtherKey) {
    Misbehaved(counters.handshakes_refused_key, "key", sentence, step.send);
  } else if (step.refused->reason == Reason::kNoKey) {
    Misbehaved(counters.handshakes_refused_no_key, "no key", sentence, step.send);
  } else {
    Misbehaved(counters.setup_refused_bytes, "bytes", sentence, step.send);
  }
  return false;
}

void Incoming::TakeSession() {
  if (!hooks_.session || services_.node.declared) {
    Add(services_.counters.sessions_refused);
    return RefuseWith(Refuse(services_.node, RefusedCode::kForbidden, Again::kCannotHelp,
                             services_.node.name() + " follows a declared fabric and takes no sessions: set " +
                                 "NCCL_RELAY_FABRIC to the same file on every node, or on none"));
  }
  services_.loop.Forget(call_.socket.get());
  SessionDesk::Call call{std::move(call_.socket),   {},
                         call_.arrival.interface,   call_.arrival.from,
                         call_.arrival.to,          handshake_.secret(),
                         handshake_.dialler().node, std::move(call_.lease)};
  call.body.assign(reader_.body().begin(), reader_.body().end());
  hooks_.session(std::move(call));
  Finish();
}

void Incoming::TakeOpen() {
  greeting_ = false;
  services_.loop.Cancel(timer_);
  auto open = DecodeOpen(reader_.body());
  if (!open) {
    const RefusedMessage refused = Refuse(services_.node, RefusedCode::kProtocol, Again::kCannotHelp,
                                          services_.node.name() + " got an OPEN that it cannot read");
    return Misbehaved(services_.counters.setup_refused_bytes, "bytes", open.error().what, EncodeRefused(refused));
  }
  open_ = std::move(*open);
  if (!hooks_.greeted()) {
    return RefuseWith(Refuse(services_.node, RefusedCode::kLimit, Again::kMayHelp,
                             services_.node.name() + " is setting up as many circuits as it does at once"));
  }
  if (auto refused = CheckOpen()) {
    if (refused->code == RefusedCode::kForbidden) Add(services_.counters.opens_refused_route);
    return RefuseWith(*refused);
  }
  if (open_.hop + 1u == open_.route.size()) return FindOwner();
  DialOn();
}

std::optional<RefusedMessage> Incoming::CheckOpen() const {
  if (auto refused = CheckRoute(services_.node, open_, call_.arrival)) return refused;
  const NodeId proven = handshake_.dialler().node, named = open_.route[open_.hop].from;
  if (!call_.key || proven == named) return std::nullopt;
  return Refuse(services_.node, RefusedCode::kForbidden, Again::kCannotHelp,
                services_.node.name() + " refuses a circuit that names " + services_.node.NameOf(named) +
                    " as its neighbour, but " + services_.node.NameOf(proven) + " sent it");
}

void Incoming::FindOwner() {
  const Duration patience = open_.inquiry ? OwnerSearch::kForInquiry : OwnerSearch::kForCircuit;
  search_ = std::make_unique<OwnerSearch>(services_, open_.token, patience, [this](OwnerSearch::Outcome outcome) {
    if (open_.inquiry) return AnswerInquiry(outcome);
    if (!outcome) {
      Add(services_.counters.opens_refused_token);
      return RefuseWith(outcome.error());
    }
    HandOver(*outcome);
  });
}

void Incoming::AnswerInquiry(const OwnerSearch::Outcome& outcome) {
  Add(services_.counters.inquiries);
  RefuseWith(outcome ? OwnerLives(services_.node, open_.token) : outcome.error());
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
  services_.flows.Opened(open_.name, FlowRole::kDestination, path, {call_.socket.get()});
  std::string note = DisagreementNote(services_.node, open_, services_.loop.clock().Now());
  if (!note.empty()) hooks_.log.Warn("disagreement", note);
  control::Arrived arrived{open_, std::move(path), std::move(note)};
  if (auto verbs = VerbsHere(); verbs && !open_.offer.empty()) {
    arrived.device = verbs->device;
    arrived.device_port = verbs->port;
    arrived.parallel = ParallelPortsTo(services_.node, open_, arrived.note);
  }
  session->Send({0, std::move(arrived)}, std::move(call_.socket));
  Finish();
}

// The device behind the port that this call came over.
std::optional<VerbsPort> Incoming::VerbsHere() const {
  const LocalNode& node = services_.node;
  for (size_t port = 0; port < node.interfaces.size(); ++port) {
    if (node.interfaces[port] == call_.arrival.interface) return node.VerbsOf(port);
  }
  return std::nullopt;
}

void Incoming::DialOn() {
  // In a declared fabric: it still has the link.
  const auto* down = services_.history.Find(fabric::NameOf(open_.route[open_.hop + 1u]));
  if (down != nullptr) {
    return RefuseWith(Refuse(services_.node, RefusedCode::kLinkDown, Again::kMayHelp,
                             DownText(*down) + ": it is on the way from " + open_.source_name + " to " +
                                 services_.node.NameOf(open_.route.back().to)));
  }
  // An inquiry needs one socket onward, for a moment.
  auto lease = services_.budget.TakeLeaving(open_.inquiry ? 1 : kCircuitDescriptors, services_.budget.limit() / 8);
  if (!lease) {
    return RefuseWith(Refuse(services_.node, RefusedCode::kLimit, Again::kMayHelp,
                             services_.node.name() + " relays as many circuits as its `ulimit -n` of " +
                                 std::to_string(services_.budget.limit()) + " allows: raise it for its agent"));
  }
  circuit_lease_ = std::move(*lease);
  OpenMessage onward = open_;
  ++onward.hop;
  onward.offer.clear();
  if (!open_.offer.empty() && !open_.inquiry) PrepareRdma(onward);
  dialer_ = std::make_unique<HopDialer>(
      services_.loop, services_.node, std::move(onward),
      [this](HopDialer::Outcome outcome) {
        if (outcome) return JoinHops(std::move(*outcome));
        RefusedMessage& refused = outcome.error();
        if (refused.node == services_.node.node().id) {
          const auto* last = services_.history.Find(fabric::NameOf(open_.route[open_.hop + 1u]));
          refused.sentence += LastText(last, services_.loop.clock().Now());
        }
        RefuseWith(refused);
      },
      DialTrust{call_.key, &services_.counters});
}

// The neighbour offers a queue pair: slots here, and a queue pair for the next hop. Where that cannot be, the whole
// circuit goes over its sockets, and both ends hear why.
void Incoming::PrepareRdma(OpenMessage& onward) {
  const LocalNode& node = services_.node;
  const auto link = fabric::FindLink(node.fabric, onward.route[onward.hop]);
  const auto ends = link ? EndsFrom(node, *link) : std::nullopt;
  const auto near = VerbsHere(), far = ends ? node.VerbsOf(ends->near.port) : std::nullopt;
  if (!near || !far) {
    without_rdma_ = node.name() + " has no verbs device on both links";
    return;
  }
  auto offer = transport::rdma::DecodeHopOffer(open_.offer);
  if (!offer) {
    without_rdma_ = node.name() + ": " + offer.error().what;
    return;
  }
  const bool last = onward.hop + 1u == onward.route.size();
  auto rdma =
      RdmaRelay::Make({services_.loop, services_.counters, services_.relay.slots(), nullptr},
                      {*near, *far, last, node.hop.hop_timeout}, *offer, {call_.arrival.to, call_.arrival.from});
  if (!rdma) {
    without_rdma_ = node.name() + ": " + rdma.error().what;
    return;
  }
  rdma_ = std::move(*rdma);
  onward.offer = transport::rdma::EncodeHopOffer(rdma_->offer_onward());
}

// The answer from the far side goes back as this node's own. False: this has ended with a refusal.
bool Incoming::ConnectRdma(OpenedMessage& opened) {
  auto offer = circuit::DecodeOffer(opened.offer);
  if (!offer) return true;  // the source refuses it
  if (rdma_ && !offer->rdma.empty()) {
    auto answer = transport::rdma::DecodeHopOffer(offer->rdma);
    Status connected = answer ? rdma_->ConnectFar(*answer) : tl::unexpected(std::move(answer).error());
    if (connected) {
      offer->rdma = transport::rdma::EncodeHopOffer(rdma_->offer_back());
      opened.offer = circuit::EncodeOffer(*offer);
      return true;
    }
    // The far side holds a queue pair for this circuit and would wait at it.
    RefuseWith(Refuse(services_.node, RefusedCode::kLinkDown, Again::kMayHelp,
                      services_.node.name() + " cannot relay by RDMA: " + connected.error().what));
    return false;
  }
  rdma_.reset();
  if (without_rdma_.empty()) return true;
  opened.note += (opened.note.empty() ? "" : "; ") + ("the path is used without RDMA: " + without_rdma_);
  return true;
}

void Incoming::JoinHops(HopDialer::Opened opened) {
  if (open_.inquiry) {
    return RefuseWith(Refuse(services_.node, RefusedCode::kProtocol, Again::kCannotHelp,
                             services_.node.NameOf(open_.route.back().to) + " answers an inquiry with a circuit"));
  }
  if (!open_.offer.empty() && !ConnectRdma(opened.message)) return;
  if (!WriteWhole(call_.socket.get(), EncodeOpened(opened.message))) return Finish();
  services_.loop.Forget(call_.socket.get());
  Add(services_.counters.circuits_opened);
  const LocalNode& node = services_.node;
  RelayedCircuit::Facts facts{open_.name,
                              RouteText(node, open_),
                              node.NameOf(open_.source),
                              node.NameOf(open_.route.back().to),
                              {fabric::NameOf(open_.route[open_.hop]), fabric::NameOf(open_.route[open_.hop + 1u])}};
  services_.flows.Opened(open_.name, FlowRole::kRelay, facts.path, {call_.socket.get(), opened.socket.get()});
  services_.relay.Join(std::move(facts), {std::move(call_.socket), std::move(opened.socket)}, std::move(circuit_lease_),
                       std::move(rdma_));
  Finish();
}

void Incoming::RefuseWith(const RefusedMessage& refused) {
  // What an inquiry hears is an answer.
  if (!open_.inquiry) Add(services_.counters.circuits_refused);
  if (!open_.inquiry)
    hooks_.log.Info("refused " + std::to_string(static_cast<int>(refused.code)), "refused: " + refused.sentence);
  SayLastWords(call_.socket.get(), EncodeRefused(refused));
  Finish();
}

void Incoming::Misbehaved(std::atomic<uint64_t>& counter, const char* kind, const std::string& how,
                          std::span<const std::byte> last_words) {
  Add(services_.counters.circuits_refused);
  Add(counter);
  if (!last_words.empty()) SayLastWords(call_.socket.get(), last_words);
  hooks_.log.Warn(kind, "call from " + call_.arrival.from.HostText() + ": " + how);
  Finish();
}

void Incoming::Finish() {
  auto done = std::move(hooks_.done);
  done();
}

}  // namespace relay::agent
