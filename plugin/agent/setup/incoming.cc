#include "agent/setup/incoming.h"

#include "agent/clients/control_server.h"
#include "agent/node/link_history.h"
#include "agent/node/refusal.h"
#include "agent/relay/relay.h"
#include "agent/setup/parallel_ports.h"
#include "circuit/offer.h"
#include "fabric/route.h"

namespace relay::agent {
namespace {

// Two sockets, and in the worst case a pipe with bytes in it for each direction.
constexpr size_t kCircuitDescriptors = 6;

}  // namespace

Incoming::Incoming(const AgentParts& parts, Call call, Hooks hooks)
    : parts_(parts),
      call_(std::move(call)),
      hooks_(std::move(hooks)),
      handshake_(call_.key, {parts.node.node().id, parts.node.name()}, RandomNonce(),
                 [this](NodeId id) { return parts_.node.NameOf(id); }) {}

Incoming::~Incoming() {
  if (call_.socket) parts_.loop.Forget(call_.socket.get());
  parts_.loop.Cancel(timer_);
}

Status Incoming::Start() {
  RELAY_TRY(parts_.loop.Watch(call_.socket.get(), EPOLLIN | EPOLLRDHUP, [this](uint32_t) { OnEvents(); }));
  timer_ = parts_.loop.After(
      kGreetingPatience, [this] { Misbehaved(parts_.counters.handshakes_late, "late", "no OPEN or SESSION in time"); });
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
        return RefuseWith(Refuse(parts_.node, RefusedCode::kVersion, Again::kCannotHelp,
                                 parts_.node.name() + ": " + progress.error().what));
      }
      // Calling and hanging up is how a neighbour asks whether an agent is here.
      if (!reader_.began()) return Finish();
      return Misbehaved(parts_.counters.setup_refused_bytes, "bytes", progress.error().what);
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
  Counters& counters = parts_.counters;
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
  if (!hooks_.session || parts_.node.declared) {
    Add(parts_.counters.sessions_refused);
    return RefuseWith(Refuse(parts_.node, RefusedCode::kForbidden, Again::kCannotHelp,
                             parts_.node.name() + " follows a declared fabric and takes no sessions: set " +
                                 "NCCL_RELAY_FABRIC to the same file on every node, or on none"));
  }
  parts_.loop.Forget(call_.socket.get());
  SessionTable::Call call{std::move(call_.socket),   {},
                          call_.arrival.interface,   call_.arrival.from,
                          call_.arrival.to,          handshake_.secret(),
                          handshake_.dialler().node, std::move(call_.lease)};
  call.body.assign(reader_.body().begin(), reader_.body().end());
  hooks_.session(std::move(call));
  Finish();
}

void Incoming::TakeOpen() {
  greeting_ = false;
  parts_.loop.Cancel(timer_);
  auto open = DecodeOpen(reader_.body());
  if (!open) {
    const RefusedMessage refused = Refuse(parts_.node, RefusedCode::kProtocol, Again::kCannotHelp,
                                          parts_.node.name() + " got an OPEN that it cannot read");
    return Misbehaved(parts_.counters.setup_refused_bytes, "bytes", open.error().what, EncodeRefused(refused));
  }
  open_ = std::move(*open);
  if (!hooks_.greeted()) {
    return RefuseWith(Refuse(parts_.node, RefusedCode::kLimit, Again::kMayHelp,
                             parts_.node.name() + " is setting up as many circuits as it does at once"));
  }
  if (auto refused = CheckOpen()) {
    if (refused->code == RefusedCode::kForbidden) Add(parts_.counters.opens_refused_route);
    return RefuseWith(*refused);
  }
  if (open_.hop + 1u == open_.route.size()) return FindOwner();
  DialOn();
}

std::optional<RefusedMessage> Incoming::CheckOpen() const {
  if (auto refused = CheckRoute(parts_.node, open_, call_.arrival)) return refused;
  const NodeId proven = handshake_.dialler().node, named = open_.route[open_.hop].from;
  if (!call_.key || proven == named) return std::nullopt;
  return Refuse(parts_.node, RefusedCode::kForbidden, Again::kCannotHelp,
                parts_.node.name() + " refuses a circuit that names " + parts_.node.NameOf(named) +
                    " as its neighbour, but " + parts_.node.NameOf(proven) + " sent it");
}

void Incoming::FindOwner() {
  const Duration patience = open_.inquiry ? OwnerSearch::kForInquiry : OwnerSearch::kForCircuit;
  search_ = std::make_unique<OwnerSearch>(parts_, open_.token, patience, [this](OwnerSearch::Outcome outcome) {
    if (open_.inquiry) return AnswerInquiry(outcome);
    if (!outcome) {
      Add(parts_.counters.opens_refused_token);
      return RefuseWith(outcome.error());
    }
    HandOver(*outcome);
  });
}

void Incoming::AnswerInquiry(const OwnerSearch::Outcome& outcome) {
  Add(parts_.counters.inquiries);
  RefuseWith(outcome ? OwnerLives(parts_.node, open_.token) : outcome.error());
}

void Incoming::HandOver(ClientId owner) {
  ClientSession* session = parts_.clients.Find(owner);
  if (session == nullptr) {
    return RefuseWith(Refuse(parts_.node, RefusedCode::kOwnerGone, Again::kCannotHelp,
                             "the receiving process on " + parts_.node.name() + " is gone"));
  }
  parts_.loop.Forget(call_.socket.get());
  Add(parts_.counters.circuits_opened);
  std::string path = RouteText(parts_.node, open_);
  parts_.flows.Opened(open_.name, FlowRole::kDestination, path, {call_.socket.get()});
  std::string note = DisagreementNote(parts_.node, open_, parts_.loop.clock().Now());
  if (!note.empty()) hooks_.log.Warn("disagreement", note);
  control::Arrived arrived{open_, std::move(path), std::move(note)};
  if (auto verbs = VerbsHere(); verbs && !open_.offer.empty()) {
    arrived.device = verbs->device;
    arrived.device_port = verbs->port;
    arrived.parallel = ParallelPortsTo(parts_.node, open_, arrived.note);
  }
  session->Send({0, std::move(arrived)}, std::move(call_.socket));
  Finish();
}

// The device behind the port that this call came over.
std::optional<VerbsPort> Incoming::VerbsHere() const {
  const LocalNode& node = parts_.node;
  for (size_t port = 0; port < node.interfaces.size(); ++port) {
    if (node.interfaces[port] == call_.arrival.interface) return node.VerbsOf(port);
  }
  return std::nullopt;
}

void Incoming::DialOn() {
  // In a declared fabric: it still has the link.
  const auto* down = parts_.history.Find(fabric::NameOf(open_.route[open_.hop + 1u]));
  if (down != nullptr) {
    return RefuseWith(Refuse(parts_.node, RefusedCode::kLinkDown, Again::kMayHelp,
                             DownText(*down) + ": it is on the way from " + open_.source_name + " to " +
                                 parts_.node.NameOf(open_.route.back().to)));
  }
  // An inquiry needs one socket onward, for a moment.
  auto lease = parts_.budget.TakeLeaving(open_.inquiry ? 1 : kCircuitDescriptors, parts_.budget.limit() / 8);
  if (!lease) {
    return RefuseWith(Refuse(parts_.node, RefusedCode::kLimit, Again::kMayHelp,
                             parts_.node.name() + " relays as many circuits as its `ulimit -n` of " +
                                 std::to_string(parts_.budget.whole()) + " allows: raise it for its agent"));
  }
  circuit_lease_ = std::move(*lease);
  OpenMessage onward = open_;
  ++onward.hop;
  onward.offer.clear();
  if (!open_.offer.empty() && !open_.inquiry) PrepareRdma(onward);
  dialer_ = std::make_unique<HopDialer>(
      parts_.loop, parts_.node, std::move(onward),
      [this](HopDialer::Outcome outcome) {
        if (outcome) return JoinHops(std::move(*outcome));
        RefusedMessage& refused = outcome.error();
        if (refused.node == parts_.node.node().id) {
          const auto* last = parts_.history.Find(fabric::NameOf(open_.route[open_.hop + 1u]));
          refused.sentence += LastText(last, parts_.loop.clock().Now());
        }
        RefuseWith(refused);
      },
      DialTrust{call_.key, &parts_.counters});
}

// The neighbour offers a queue pair: slots here, and a queue pair for the next hop. Where that cannot be, the whole
// circuit goes over its sockets, and both ends hear why.
void Incoming::PrepareRdma(OpenMessage& onward) {
  const LocalNode& node = parts_.node;
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
      RdmaRelay::Make({parts_.loop, parts_.counters, parts_.relay.slots(), nullptr},
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
    RefuseWith(Refuse(parts_.node, RefusedCode::kLinkDown, Again::kMayHelp,
                      parts_.node.name() + " cannot relay by RDMA: " + connected.error().what));
    return false;
  }
  rdma_.reset();
  if (without_rdma_.empty()) return true;
  opened.note += (opened.note.empty() ? "" : "; ") + ("the path is used without RDMA: " + without_rdma_);
  return true;
}

void Incoming::JoinHops(HopDialer::Opened opened) {
  if (open_.inquiry) {
    return RefuseWith(Refuse(parts_.node, RefusedCode::kProtocol, Again::kCannotHelp,
                             parts_.node.NameOf(open_.route.back().to) + " answers an inquiry with a circuit"));
  }
  if (!open_.offer.empty() && !ConnectRdma(opened.message)) return;
  if (!WriteWhole(call_.socket.get(), EncodeOpened(opened.message))) return Finish();
  parts_.loop.Forget(call_.socket.get());
  Add(parts_.counters.circuits_opened);
  const LocalNode& node = parts_.node;
  RelayedCircuit::Facts facts{open_.name,
                              RouteText(node, open_),
                              node.NameOf(open_.source),
                              node.NameOf(open_.route.back().to),
                              {fabric::NameOf(open_.route[open_.hop]), fabric::NameOf(open_.route[open_.hop + 1u])}};
  parts_.flows.Opened(open_.name, FlowRole::kRelay, facts.path, {call_.socket.get(), opened.socket.get()});
  parts_.relay.Join(std::move(facts), {std::move(call_.socket), std::move(opened.socket)}, std::move(circuit_lease_),
                    std::move(rdma_));
  Finish();
}

void Incoming::RefuseWith(const RefusedMessage& refused) {
  // What an inquiry hears is an answer.
  if (!open_.inquiry) Add(parts_.counters.circuits_refused);
  if (!open_.inquiry)
    hooks_.log.Info("refused " + std::to_string(static_cast<int>(refused.code)), "refused: " + refused.sentence);
  SayLastWords(call_.socket.get(), EncodeRefused(refused));
  Finish();
}

void Incoming::Misbehaved(std::atomic<uint64_t>& counter, const char* kind, const std::string& how,
                          std::span<const std::byte> last_words) {
  Add(parts_.counters.circuits_refused);
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
