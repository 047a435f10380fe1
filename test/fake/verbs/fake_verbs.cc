// The hardware's side of FakeVerbs: devices, cables, faults, and what a test looks at.
#include "fake/verbs/fake_verbs.h"

#include <cstdio>
#include <cstring>

#include "base/socket_address.h"
#include "fake/verbs/events.h"

namespace relay::fake {
namespace {

using Lock = std::unique_lock<std::mutex>;

PortSpec& PortOf(FakeVerbs::State& state, const PortName& name) {
  return state.devices.at(name.device)->spec.ports.at(name.number - 1u);
}

void RaiseOnPort(FakeVerbs::State& state, const PortName& name, ibv_event_type type) {
  ibv_async_event event{};
  event.event_type = type;
  event.element.port_num = name.number;
  for (FakeContext* context : state.devices.at(name.device)->open) {
    context->fatal = context->fatal || type == IBV_EVENT_DEVICE_FATAL;
    state.Raise(*context, event);
  }
}

}  // namespace

PortSpec RocePort(const std::string& ipv4) {
  using transport::rdma::Gid;
  using transport::rdma::GidType;
  const auto address = SocketAddress::Parse(ipv4);
  const auto host = address->HostBytes();
  Gid mapped, link_local;
  mapped.bytes[10] = mapped.bytes[11] = std::byte{0xff};
  std::copy(host.begin(), host.end(), mapped.bytes.begin() + 12);
  link_local.bytes[0] = std::byte{0xfe};
  link_local.bytes[1] = std::byte{0x80};
  link_local.bytes[11] = std::byte{0xff};
  link_local.bytes[12] = std::byte{0xfe};
  std::copy(host.begin() + 1, host.end(), link_local.bytes.begin() + 13);
  PortSpec port;
  uint16_t index = 0;
  for (Gid gid : {link_local, mapped}) {
    for (const GidType type : {GidType::kRoce1, GidType::kRoce2}) {
      gid.index = index++;
      gid.type = type;
      port.gids.push_back(gid);
    }
  }
  return port;
}

FakeVerbs::FakeVerbs(Pump pump) : state_(std::make_unique<State>(pump)) {
  FillObjectCalls(*state_);
  FillQueueCalls(*state_);
  FillPairCalls(*state_);
}

FakeVerbs::~FakeVerbs() = default;

transport::rdma::Verbs& FakeVerbs::table() { return state_->table; }

void FakeVerbs::Add(const DeviceSpec& spec) {
  Lock lock(state_->mutex);
  auto device = std::make_unique<FakeDevice>();
  static_cast<ibv_device&>(*device) = {};
  device->state = state_.get();
  device->spec = spec;
  device->node_type = IBV_NODE_CA;
  device->transport_type = spec.infiniband_transport ? IBV_TRANSPORT_IB : IBV_TRANSPORT_IWARP;
  snprintf(device->name, sizeof device->name, "%s", spec.name.c_str());
  snprintf(device->dev_name, sizeof device->dev_name, "uverbs%zu", state_->devices.size());
  state_->devices[spec.name] = std::move(device);
}

void FakeVerbs::Connect(const PortName& a, const PortName& b) {
  Lock lock(state_->mutex);
  state_->cables[a] = b;
  state_->cables[b] = a;
}

void FakeVerbs::AddLink(const std::string& a, const std::string& b) {
  const std::string subnet = "10.0." + std::to_string(state_->links++) + ".";
  Add({.name = a, .ports = {RocePort(subnet + "1")}});
  Add({.name = b, .ports = {RocePort(subnet + "2")}});
  Connect({a}, {b});
}

void FakeVerbs::SetGids(const PortName& port, std::vector<transport::rdma::Gid> gids) {
  Lock lock(state_->mutex);
  PortOf(*state_, port).gids = std::move(gids);
}

void FakeVerbs::Cut(const PortName& port) {
  Lock lock(state_->mutex);
  state_->cut.insert(port);
}

void FakeVerbs::Mend(const PortName& port) {
  Lock lock(state_->mutex);
  state_->cut.erase(port);
  state_->PumpIfPerPost();
}

void FakeVerbs::Hold(const std::string& device, bool held) {
  Lock lock(state_->mutex);
  if (held) {
    state_->held.insert(device);
  } else {
    state_->held.erase(device);
  }
  state_->PumpIfPerPost();
}

void FakeVerbs::SetPort(const PortName& port, bool up) {
  Lock lock(state_->mutex);
  PortOf(*state_, port).up = up;
  RaiseOnPort(*state_, port, up ? IBV_EVENT_PORT_ACTIVE : IBV_EVENT_PORT_ERR);
  state_->PumpIfPerPost();
}

size_t FakeVerbs::Step() {
  Lock lock(state_->mutex);
  size_t done = 0;
  for (auto& [number, pair] : state_->pairs) done += state_->Work(*pair) ? 1u : 0u;
  return done;
}

bool FakeVerbs::StepPair(uint32_t queue_pair) {
  Lock lock(state_->mutex);
  FakePair* pair = state_->Pair(queue_pair);
  return pair && state_->Work(*pair);
}

void FakeVerbs::StepUntilIdle() {
  while (Step() > 0) continue;
}

void FakeVerbs::HoldWritesToGpu() {
  std::lock_guard lock(state_->mutex);
  state_->holds_gpu_writes = true;
}

void FakeVerbs::SetPatience(unsigned steps) {
  Lock lock(state_->mutex);
  state_->patience = steps;
}

void FakeVerbs::FailNext(uint32_t queue_pair, ibv_wc_status status, bool receive) {
  Lock lock(state_->mutex);
  if (FakePair* pair = state_->Pair(queue_pair)) (receive ? pair->receive_faults : pair->send_faults).push_back(status);
}

bool FakeVerbs::FailNow(uint32_t queue_pair, ibv_wc_status status) {
  Lock lock(state_->mutex);
  FakePair* pair = state_->Pair(queue_pair);
  if (!pair) return false;
  bool outstanding = true;
  if (!pair->sends.empty()) {
    state_->Complete(*pair, pair->sends.front(), status);
    pair->sends.pop_front();
  } else if (!pair->receives.empty()) {
    state_->Complete(*pair, pair->receives.front(), status, 0, std::nullopt, false, true);
    pair->receives.pop_front();
  } else {
    outstanding = false;
  }
  state_->Fail(*pair);
  return outstanding;
}

void FakeVerbs::TellOfFailedSend(uint32_t queue_pair, ibv_wc_status status) {
  Lock lock(state_->mutex);
  FakePair* pair = state_->Pair(queue_pair);
  if (!pair || pair->sends_posted == 0) return;
  SendWork work;
  work.number = work.id = pair->sends_posted - 1;
  state_->Complete(*pair, work, status);
}

void FakeVerbs::RaisePairEvent(uint32_t queue_pair, ibv_event_type type) {
  Lock lock(state_->mutex);
  FakePair* pair = state_->Pair(queue_pair);
  if (!pair) return;
  ibv_async_event event{};
  event.event_type = type;
  if (type == IBV_EVENT_CQ_ERR) {
    event.element.cq = pair->send_cq;
  } else {
    event.element.qp = pair;
  }
  // A pair that is not set up yet has nothing that could fail.
  const bool set_up = pair->state != IBV_QPS_RESET;
  const bool fails = type == IBV_EVENT_QP_FATAL || type == IBV_EVENT_QP_REQ_ERR || type == IBV_EVENT_QP_ACCESS_ERR;
  if (type == IBV_EVENT_CQ_ERR) {
    pair->send_queue().dead = true;
    pair->send_queue().entries.clear();
  }
  if (set_up && (fails || type == IBV_EVENT_CQ_ERR)) state_->Fail(*pair);
  state_->Raise(*static_cast<FakeContext*>(pair->context), event);
}

void FakeVerbs::RaisePortEvent(const PortName& port, ibv_event_type event) {
  Lock lock(state_->mutex);
  RaiseOnPort(*state_, port, event);
}

void FakeVerbs::Unplug(const std::string& device) {
  Lock lock(state_->mutex);
  state_->devices.at(device)->unplugged = true;
}

void FakeVerbs::SetOnPoll(OnPoll on_poll) {
  Lock lock(state_->mutex);
  state_->on_poll = std::move(on_poll);
}

void FakeVerbs::FailCall(const std::string& name, int error, uint64_t nth, uint64_t times) {
  Lock lock(state_->mutex);
  const uint64_t from = state_->calls[name] + nth;
  state_->call_faults[name].push_back({from, from + times, error});
}

void FakeVerbs::FailNthCall(uint64_t nth, int error) {
  Lock lock(state_->mutex);
  state_->fail_at = state_->failing_calls + nth;
  state_->fail_error = error;
}

std::string FakeVerbs::failed_call() const {
  Lock lock(state_->mutex);
  return state_->failed_call;
}

uint64_t FakeVerbs::calls(const std::string& name) const {
  Lock lock(state_->mutex);
  const auto it = state_->calls.find(name);
  return it == state_->calls.end() ? 0 : it->second;
}

int FakeVerbs::State::Enter(const char* name, bool gives_back) {
  const uint64_t count = ++calls[name];
  if (!gives_back && ++failing_calls == fail_at) {
    failed_call = name;
    return fail_error;
  }
  const auto it = call_faults.find(name);
  if (it == call_faults.end()) return 0;
  for (const CallFault& fault : it->second) {
    if (count < fault.from || count >= fault.to) continue;
    failed_call = name;
    return fault.error;
  }
  return 0;
}

int FakeVerbs::State::Enter(const char* name, const ibv_context* context) {
  const int error = Enter(name);
  return error == 0 && static_cast<const FakeContext*>(context)->gone() ? EIO : error;
}

FakeVerbs::Live FakeVerbs::live() const {
  Lock lock(state_->mutex);
  return {.lists = state_->lists,
          .contexts = state_->contexts.size(),
          .domains = state_->domains,
          .regions = state_->local_keys.size(),
          .channels = state_->channels,
          .completion_queues = state_->queues,
          .queue_pairs = state_->pairs.size()};
}

std::string FakeVerbs::Leaks() const {
  const Live now = live();
  if (now == Live{}) return "";
  return std::to_string(now.lists) + " lists, " + std::to_string(now.contexts) + " contexts, " +
         std::to_string(now.domains) + " domains, " + std::to_string(now.regions) + " regions, " +
         std::to_string(now.channels) + " channels, " + std::to_string(now.completion_queues) + " completion queues, " +
         std::to_string(now.queue_pairs) + " queue pairs";
}

std::vector<uint32_t> FakeVerbs::queue_pairs() const {
  Lock lock(state_->mutex);
  std::vector<uint32_t> out;
  for (auto& [number, pair] : state_->pairs) out.push_back(number);
  return out;
}

std::vector<uint32_t> FakeVerbs::queue_pairs(const std::string& device) const {
  Lock lock(state_->mutex);
  std::vector<uint32_t> out;
  for (auto& [number, pair] : state_->pairs) {
    if (pair->device().spec.name == device) out.push_back(number);
  }
  return out;
}

bool FakeVerbs::outstanding(uint32_t queue_pair) const {
  Lock lock(state_->mutex);
  const FakePair* pair = state_->Pair(queue_pair);
  return pair && !(pair->sends.empty() && pair->receives.empty());
}

ibv_qp_state FakeVerbs::state(uint32_t queue_pair) const { return attributes(queue_pair).qp_state; }

ibv_qp_attr FakeVerbs::attributes(uint32_t queue_pair) const {
  Lock lock(state_->mutex);
  const FakePair* pair = state_->Pair(queue_pair);
  return pair ? pair->now : ibv_qp_attr{};
}

FakeVerbs::Traffic FakeVerbs::traffic() const {
  Lock lock(state_->mutex);
  return state_->traffic;
}

FakeVerbs::Work FakeVerbs::work(const std::string& device) const {
  Lock lock(state_->mutex);
  return state_->devices.at(device)->work;
}

void FakeVerbs::RecordMoves() {
  Lock lock(state_->mutex);
  state_->records = true;
}

std::vector<FakeVerbs::Move> FakeVerbs::moves() const {
  Lock lock(state_->mutex);
  return state_->moves;
}

}  // namespace relay::fake
