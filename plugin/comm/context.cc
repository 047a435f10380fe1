#include "comm/context.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "base/log.h"
#include "base/random.h"
#include "comm/device.h"
#include "comm/job_end.h"
#include "comm/opening/this_build.h"
#include "comm/recovery/recv_recovery.h"
#include "comm/recovery/send_recovery.h"

namespace relay::comm {
namespace {

std::atomic<int> g_contexts{0};  // the last one to go also waits for transit circuits

// Deadlines are judged often enough to be met, and seldom enough to cost nothing.
Duration HousekeepingOf(const Knobs& knobs) {
  return std::clamp<Duration>(knobs.recover_timeout / 8, std::chrono::milliseconds(5), std::chrono::seconds(1));
}

std::string HexText(uint64_t value) {
  char text[20];
  snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

Context::Context(Knobs knobs, Life life)
    : knobs_(std::move(knobs)), life_(life), agent_(knobs_, clock_), service_(clock_, HousekeepingOf(knobs_)) {
  ++g_contexts;
}

Result<std::unique_ptr<Context>> Context::Create(const Getenv& getenv_fn, const char* const* environment, Life life) {
  auto knobs = LoadKnobs(getenv_fn, environment);
  RELAY_TRY(knobs);
  std::unique_ptr<Context> context(new Context(std::move(*knobs), life));
  RELAY_TRY(context->Start());
  return context;
}

Status Context::Start() {
  agent_.set_on_news([this] { service_.HaveNews(); });
  RELAY_TRY(agent_.Start());
  RELAY_TRY(service_.Start());
  const control::Welcome& w = welcome();
  PublishDevices(w, OfferGpuMemory());
  WatchAgent();
  const std::string fabric = w.agreement == 0 ? "discovered" : "declared, " + HexText(w.agreement);
  RELAY_INFO("nccl-relay %s: node %s, agent pid %d on port %u, fabric %s", TheBuild().build.c_str(),
             w.node_name.c_str(), static_cast<int>(agent_.agent_pid()), static_cast<unsigned>(w.port), fabric.c_str());
  if (knobs_.checksum != 0) {
    RELAY_INFO(
        "NCCL_RELAY_CHECKSUM=1: payload is checked from end to end, so it goes over TCP and from host memory alone");
  }
  for (const std::string& sentence : DoubleLibraries()) RELAY_WARN("%s", sentence.c_str());
  return {};
}

// NCCL decides where its buffers are before it knows a peer, and a connection over TCP takes none of the GPU's: they
// are offered to devices only where no connection can turn out so.
GpuSupport Context::OfferGpuMemory() {
  if (knobs_.gdr == knob::Automatic::kOff || knobs_.checksum != 0) return {};
  const GpuSupport support = FindGpuSupport(welcome().verbs);
  if (!support.any()) return {};
  agent_.AwaitReach();
  if (welcome().rdma_reach == control::RdmaReach::kAll) return support;
  RELAY_INFO("GPU memory is not offered to devices: not every node is reached by RDMA from end to end");
  return {};
}

// Service thread, or before it has anything to do.
void Context::WatchAgent() {
  watched_fd_ = agent_.fd();
  service_.WatchFd(watched_fd_, [this] {
    agent_.Pump();
    FindAgent();
  });
}

// Looks for a lost agent, on the service thread: it is the one that may wait a moment.
void Context::FindAgent() {
  if (!agent_.lost() || finding_agent_.exchange(true)) return;
  service_.WatchTime([this] {
    service_.ForgetFd(watched_fd_);
    bool found = agent_.Recover();
    if (found) WatchAgent();
    finding_agent_ = false;
    if (!found) FindAgent();
  });
}

stream::StreamOptions Context::OptionsFor(std::string peer) const {
  return {.peer = std::move(peer),
          .segment = knobs_.checksum != 0 ? std::min(knobs_.segment, kMaxChecksummedBytes) : knobs_.segment,
          .recover_timeout = knobs_.recover_timeout,
          .linger = knobs_.linger};
}

Result<ListenComm*> Context::Listen(std::span<std::byte, kHandleBytes> handle) {
  const control::Welcome& w = welcome();
  Token token = RandomValue<Token>();
  agent_.Register(token);
  FindAgent();
  EncodeHandle({.port = w.port,
                .node = w.node,
                .agreement = w.agreement,
                .token = token,
                .node_name = w.node_name,
                .addresses = w.addresses},
               handle);
  std::lock_guard lock(mutex_);
  listens_.push_back(std::unique_ptr<ListenComm>(new ListenComm{.context = *this, .token = token}));
  return listens_.back().get();
}

Result<Comm*> Context::Connect(std::span<const std::byte, kHandleBytes> bytes) {
  auto handle = DecodeHandle(bytes);
  RELAY_TRY(handle);
  std::lock_guard lock(mutex_);
  auto it = attempts_.find(handle->token);
  if (it == attempts_.end()) {
    Attempt attempt{.machine = ConnectMachine(knobs_.connect_timeout),
                    .connect = {.node = handle->node,
                                .token = handle->token,
                                .name = {.connection = RandomValue<uint64_t>(), .epoch = 0},
                                .agreement = handle->agreement,
                                .addresses = handle->addresses,
                                .source_token = RandomValue<Token>()},
                    .node_name = handle->node_name};
    agent_.RegisterSource(attempt.connect.source_token);
    it = attempts_.emplace(handle->token, std::move(attempt)).first;
  }
  auto comm = Advance(it->second);
  if (!comm) agent_.Unregister(it->second.connect.source_token);
  if (!comm || *comm != nullptr) attempts_.erase(it);
  return comm;
}

Result<Comm*> Context::Advance(Attempt& attempt) {
  FindAgent();
  if (attempt.opening) {
    auto comm = TakeOutcome(attempt);
    if (!comm || *comm != nullptr) return comm;
  }
  switch (attempt.machine.Tick(clock_.Now())) {
    case ConnectMachine::Action::kAsk:
      attempt.opening = std::make_unique<Opening>(Tools(), attempt.connect, attempt.node_name);
      break;
    case ConnectMachine::Action::kReportBroken: {
      std::string why = attempt.machine.sentence().empty() ? "the agent has not answered" : attempt.machine.sentence();
      return Fail(ErrorCode::kNoPath, "no connection from " + welcome().node_name + " to " + attempt.node_name +
                                          " within " + SecondsText(knobs_.connect_timeout) +
                                          " (NCCL_RELAY_CONNECT_TIMEOUT): " + why);
    }
    default:
      break;
  }
  return nullptr;
}

Result<Comm*> Context::TakeOutcome(Attempt& attempt) {
  auto outcome = attempt.opening->Take();
  if (!outcome) return nullptr;
  attempt.opening.reset();
  if (*outcome) {
    attempt.machine.OnConnected();
    return MakeSendComm(attempt, std::move(**outcome));
  }
  const RefusedMessage& refused = outcome->error();
  // The other end may have taken this one all the same: the next is told apart from it.
  ++attempt.connect.name.epoch;
  auto action = attempt.machine.OnRefused(refused.final, refused.sentence, clock_.Now());
  if (action != ConnectMachine::Action::kReportBroken) return nullptr;
  return Fail(refused.code == RefusedCode::kAgreement ? ErrorCode::kUsage : ErrorCode::kNoPath,
              "no connection from " + welcome().node_name + " to " + attempt.node_name + ": " + refused.sentence);
}

// The service does not know its stream yet.
Comm* Context::AddComm(Comm::Kind kind, std::shared_ptr<stream::Stream> stream, Devices devices) {
  stream->handover().set_service(&service_);
  comms_.push_back(std::make_unique<Comm>(kind, *this, std::move(stream), std::move(devices), knobs_.hop_timeout));
  Comm* comm = comms_.back().get();
  comm->stream().set_keys(
      [registrations = comm->registrations()](const void* region) { return registrations->KeysOf(region); });
  return comm;
}

Comm* Context::MakeSendComm(Attempt& attempt, Opening::Opened opened) {
  auto sender = std::make_shared<stream::SendStream>(OptionsFor(attempt.node_name), counters_);
  sender->Adopt(std::move(opened.circuit));
  Comm* comm = AddComm(Comm::Kind::kSend, sender, std::move(opened.devices));
  auto recovery = std::make_unique<SendRecovery>(Tools(), *sender, comm->registrations(), attempt.connect,
                                                 attempt.node_name, std::move(opened.route));
  service_.Add(std::move(sender), std::move(recovery));
  return comm;
}

Result<Comm*> Context::Accept(ListenComm& listen) {
  std::lock_guard lock(mutex_);
  if (auto arrival = agent_.TakeArrival(listen.token)) return MakeRecvComm(listen, std::move(*arrival));
  RELAY_TRY(JudgeAccept(listen));
  return nullptr;
}

Comm* Context::MakeRecvComm(ListenComm& listen, control::Received received) {
  Arrival arrival = MakeArrival(Tools(), std::move(received));
  listen.accepted = true;
  agent_.Expect(listen.token, arrival.name.connection, arrival.name.epoch);
  auto receiver = std::make_shared<stream::RecvStream>(OptionsFor(arrival.source_name), counters_, knobs_.eager);
  receiver->Adopt(std::move(arrival.circuit));
  Comm* comm = AddComm(Comm::Kind::kRecv, receiver, std::move(arrival.devices));
  auto recovery = std::make_unique<RecvRecovery>(Tools(), *receiver, comm->registrations(), listen.token, arrival);
  service_.Add(std::move(receiver), std::move(recovery));
  return comm;
}

// NCCL has exchanged the handle before it asks, so the peer is on its way; a peer that never comes must not hang us.
// Only the connecting side knows why: this side can say which neighbour does not answer.
Status Context::JudgeAccept(ListenComm& listen) {
  FindAgent();
  TimePoint now = clock_.Now();
  if (listen.first_accept == TimePoint{}) listen.first_accept = now;
  Duration waited = now - listen.first_accept;
  if (waited > knobs_.connect_timeout / 2 && listen.neighbours_request == 0) {
    listen.neighbours_request = agent_.Ask("neighbours");
  }
  if (listen.neighbours_request != 0 && listen.neighbours.empty()) {
    if (auto outcome = agent_.TakeOutcome(listen.neighbours_request)) {
      if (auto* answer = std::get_if<control::Answer>(&outcome->packet.message)) listen.neighbours = answer->text;
      if (auto* failed = std::get_if<control::Failed>(&outcome->packet.message)) {
        listen.neighbours = failed->refused.sentence;
      }
    }
  }
  if (waited < knobs_.connect_timeout) return {};
  return Fail(ErrorCode::kNoPath,
              "node " + welcome().node_name + ": no peer has connected within " + SecondsText(knobs_.connect_timeout) +
                  " (NCCL_RELAY_CONNECT_TIMEOUT); " +
                  (listen.neighbours.empty() ? "the agent does not answer" : "seen from here: " + listen.neighbours) +
                  "; the connecting rank's log says why");
}

void Context::CloseListen(ListenComm* listen) {
  std::lock_guard lock(mutex_);
  if (!listen->accepted) agent_.Unregister(listen->token);
  if (listen->neighbours_request != 0) agent_.Forget(listen->neighbours_request);
  std::erase_if(listens_, [listen](const auto& l) { return l.get() == listen; });
}

void Context::Close(Comm* comm) {
  comm->stream().Close();
  bool last = false;
  {
    std::lock_guard lock(mutex_);
    std::erase_if(comms_, [comm](const auto& c) { return c.get() == comm; });
    last = comms_.empty() && listens_.empty();
  }
  if (!last || life_ != Life::kProcess) return;
  AwaitPeers();
  if (g_contexts == 1) AwaitTransit();
}

void Context::AwaitPeers() {
  if (service_.Drain(knobs_.linger)) return;
  RELAY_INFO("peers have not confirmed the end of their connections within %s", SecondsText(knobs_.linger).c_str());
}

// Where the agent dies with the job, others may still be relayed through this node.
void Context::AwaitTransit() {
  if (agent_.fd() < 0 || !welcome().auto_started || !AgentEndsWithJob()) return;
  TimePoint deadline = clock_.Now() + knobs_.linger;
  bool said = false;
  while (clock_.Now() < deadline && !agent_.lost()) {
    uint64_t request = agent_.Ask("transit");
    std::optional<control::Received> outcome;
    while (!(outcome = agent_.TakeOutcome(request)) && clock_.Now() < deadline) usleep(1000);
    auto* answer = outcome ? std::get_if<control::Answer>(&outcome->packet.message) : nullptr;
    if (answer == nullptr || answer->text == "0") return;
    if (!said) RELAY_INFO("waiting for %s circuits relayed through this node to end", answer->text.c_str());
    said = true;
    usleep(20000);
  }
}

Context::~Context() {
  while (!comms_.empty()) Close(comms_.back().get());
  while (!listens_.empty()) CloseListen(listens_.back().get());
  AwaitPeers();
  service_.Stop();
  if (--g_contexts == 0) AwaitTransit();
}

}  // namespace relay::comm
