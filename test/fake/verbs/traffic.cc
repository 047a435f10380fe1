// What happens between the queue pairs of FakeVerbs.
#include <algorithm>
#include <cstring>

#include "fake/verbs/events.h"

namespace relay::fake {
namespace {

constexpr uint32_t kGarbage = 0xdeadbeef;
constexpr unsigned kForever = 7;  // retries: for a receiver that is not ready, and on soft-RoCE for silence too

// As a device writes: whole aligned words, in order, so that a CPU may poll them.
void CopyBytes(std::byte* to, const std::byte* from, size_t size) {
  auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % sizeof(uint64_t) == 0; };
  while (size > 0) {
    if (size >= sizeof(uint64_t) && aligned(to) && aligned(from)) {
      const auto word = __atomic_load_n(reinterpret_cast<const uint64_t*>(from), __ATOMIC_RELAXED);
      __atomic_store_n(reinterpret_cast<uint64_t*>(to), word, __ATOMIC_RELEASE);
      to += sizeof word, from += sizeof word, size -= sizeof word;
    } else {
      const auto byte = __atomic_load_n(reinterpret_cast<const uint8_t*>(from), __ATOMIC_RELAXED);
      __atomic_store_n(reinterpret_cast<uint8_t*>(to), byte, __ATOMIC_RELEASE);
      ++to, ++from, --size;
    }
  }
}

// Registered memory; of a DMA-BUF where `gpu` is its region.
struct Stretch {
  std::byte* bytes;
  size_t size;
  const std::byte* named = nullptr;  // the address that was given; null: inline
  const FakeRegion* gpu = nullptr;
};

// Where the bytes are, if the key gives the right to all of them in this domain.
std::optional<Stretch> Place(FakeVerbs::State& state, const std::map<uint32_t, FakeRegion*>& keys, uint32_t key,
                             uint64_t address, uint64_t size, const ibv_pd* domain, unsigned access) {
  const auto it = keys.find(key);
  if (it == keys.end()) {
    if (state.former_keys.contains(key)) ++state.traffic.after_deregistration;
    return std::nullopt;
  }
  const FakeRegion& region = *it->second;
  if (region.pd != domain || (region.access & access) != access) return std::nullopt;
  if (address < region.first || size > region.length || address - region.first > region.length - size) {
    return std::nullopt;
  }
  return Stretch{region.bytes + (address - region.first), size, reinterpret_cast<const std::byte*>(address),
                 region.mapping ? &region : nullptr};
}

// The pieces as memory; nullopt: one is not registered so.
std::optional<std::vector<Stretch>> Stretches(FakeVerbs::State& state, const std::vector<ibv_sge>& pieces,
                                              const ibv_pd* domain, unsigned access) {
  std::vector<Stretch> out;
  for (const ibv_sge& piece : pieces) {
    const auto place = Place(state, state.local_keys, piece.lkey, piece.addr, piece.length, domain, access);
    if (!place) return std::nullopt;
    out.push_back(*place);
  }
  return out;
}

// From one list to another, as the receiver's device writes what the sender's has read; stops at the end of either.
void CopyStretches(FakeVerbs::State& state, const FakePair& sender, const FakePair& receiver, std::vector<Stretch> to,
                   std::vector<Stretch> from) {
  FakeDevice &reader = sender.device(), &writer = receiver.device();
  if (std::any_of(from.begin(), from.end(), [](const Stretch& s) { return s.gpu; })) state.LandHeld(reader);
  auto skip = [](Stretch& stretch, size_t n) {
    stretch.bytes += n, stretch.size -= n;
    if (stretch.named) stretch.named += n;
  };
  auto t = to.begin();
  for (auto f = from.begin(); f != from.end() && t != to.end();) {
    const size_t n = std::min(t->size, f->size);
    if (state.holds_gpu_writes && t->gpu) {
      writer.held.push_back({t->gpu, t->bytes, {f->bytes, f->bytes + n}});
    } else {
      CopyBytes(t->bytes, f->bytes, n);
    }
    if (state.records) state.moves.push_back({reader.spec.name, writer.spec.name, f->named, t->named, n});
    skip(*t, n);
    skip(*f, n);
    if (t->size == 0) ++t;
    if (f->size == 0) ++f;
  }
}

bool HasGid(const PortSpec& port, const ibv_gid& gid, transport::rdma::GidType type) {
  return std::any_of(port.gids.begin(), port.gids.end(), [&](const auto& own) {
    return own.type == type && std::memcmp(own.bytes.data(), gid.raw, sizeof gid.raw) == 0;
  });
}

// The packets of this queue pair name this port as their target.
bool Addresses(const FakePair& pair, const PortSpec& target) {
  if (pair.port().infiniband != target.infiniband) return false;
  const ibv_ah_attr& to = pair.now.ah_attr;
  if (target.infiniband) return to.dlid == target.lid;
  for (const auto& own : pair.port().gids) {
    if (own.index == to.grh.sgid_index) return HasGid(target, to.grh.dgid, own.type);
  }
  return false;
}

PortName NameOf(const FakePair& pair) { return {pair.device().spec.name, pair.now.port_num}; }

enum class Reach : uint8_t { kThere, kNotReady, kSilence };

// Who gets what this queue pair sends.
Reach FindPeer(FakeVerbs::State& state, FakePair& from, FakePair*& peer) {
  if (!from.port().up || from.device().unplugged) return Reach::kSilence;
  PortName target = NameOf(from);
  if (!Addresses(from, from.port())) {
    const auto cable = state.cables.find(target);
    if (cable == state.cables.end() || state.cut.contains(target) || state.cut.contains(cable->second))
      return Reach::kSilence;
    target = cable->second;
  }
  const FakeDevice& device = *state.devices.at(target.device);
  const PortSpec& port = device.spec.ports[target.number - 1u];
  if (!port.up || device.unplugged || !Addresses(from, port)) return Reach::kSilence;
  peer = state.Pair(from.now.dest_qp_num);
  if (!peer || &peer->device() != &device || peer->gone()) return Reach::kSilence;
  if (peer->state == IBV_QPS_RESET || peer->state == IBV_QPS_INIT) return Reach::kNotReady;
  const bool fits = peer->state != IBV_QPS_ERR && peer->now.port_num == target.number &&
                    peer->now.dest_qp_num == from.qp_num && peer->now.rq_psn == from.now.sq_psn &&
                    Addresses(*peer, from.port());
  return fits ? Reach::kThere : Reach::kSilence;
}

void Push(FakeVerbs::State& state, FakeQueue& queue, const Entry& entry, bool solicited) {
  if (queue.dead) return;
  ++state.traffic.completions;
  FakeDevice& device = *static_cast<FakeContext*>(queue.context)->hardware;
  ++device.work.completions;
  if (queue.entries.size() >= static_cast<size_t>(queue.cqe)) {
    queue.overrun = true;
    ibv_async_event event{};
    event.event_type = IBV_EVENT_CQ_ERR;
    event.element.cq = &queue;
    state.Raise(*static_cast<FakeContext*>(queue.context), event);
    return;
  }
  queue.entries.push_back(entry);
  const bool wakes =
      queue.armed == FakeQueue::Armed::kAny || (queue.armed == FakeQueue::Armed::kSolicited && solicited);
  if (!wakes || !queue.told) return;
  queue.armed = FakeQueue::Armed::kNo;
  queue.told->events.Push(&queue);
  ++device.work.wakings;
}

ibv_wc GarbageCompletion(uint64_t id, ibv_wc_status status, uint32_t pair) {
  ibv_wc wc{};
  wc.wr_id = id;
  wc.status = status;
  wc.opcode = IBV_WC_BIND_MW;
  wc.vendor_err = 0x81;
  wc.byte_len = wc.imm_data = wc.src_qp = kGarbage;
  wc.wc_flags = IBV_WC_WITH_IMM;
  wc.qp_num = pair;
  return wc;
}

ibv_wc_opcode CompletedAs(ibv_wr_opcode opcode) {
  if (opcode == IBV_WR_RDMA_READ) return IBV_WC_RDMA_READ;
  return opcode == IBV_WR_RDMA_WRITE || opcode == IBV_WR_RDMA_WRITE_WITH_IMM ? IBV_WC_RDMA_WRITE : IBV_WC_SEND;
}

bool NeedsReceive(const SendWork& work) { return work.opcode != IBV_WR_RDMA_WRITE && work.opcode != IBV_WR_RDMA_READ; }

// One attempt to do one work request. What ends it is the status of its completion; nullopt: it waits.
class Delivery {
 public:
  Delivery(FakeVerbs::State& state, FakePair& from, SendWork& work) : state_(state), from_(from), work_(work) {}

  std::optional<ibv_wc_status> Try() {
    const uint64_t bytes = work_.bytes();
    if (bytes > from_.port().max_message) return IBV_WC_LOC_LEN_ERR;
    const unsigned own_access = work_.opcode == IBV_WR_RDMA_READ ? unsigned{IBV_ACCESS_LOCAL_WRITE} : 0u;
    auto own = Stretches(state_, work_.pieces, from_.pd, own_access);
    if (!own) return IBV_WC_LOC_PROT_ERR;
    if (!work_.inlined.empty()) own->push_back({work_.inlined.data(), work_.inlined.size(), nullptr});
    switch (FindPeer(state_, from_, peer_)) {
      case Reach::kNotReady:
        return std::nullopt;
      case Reach::kSilence:
        if (from_.now.retry_cnt == kForever || work_.tries++ < state_.patience) return std::nullopt;
        return IBV_WC_RETRY_EXC_ERR;
      case Reach::kThere:
        break;
    }
    if (from_.now.path_mtu != peer_->now.path_mtu && bytes > 256) return Refuse(IBV_WC_REM_INV_REQ_ERR);
    if (NeedsReceive(work_) && peer_->receives.empty()) return NotReady();
    if (NeedsReceive(work_) && !peer_->receive_faults.empty()) return BrokenReceive();
    if (work_.opcode == IBV_WR_SEND || work_.opcode == IBV_WR_SEND_WITH_IMM) return Send(*own, bytes);
    return WriteOrRead(*own, bytes);
  }

 private:
  std::optional<ibv_wc_status> NotReady() {
    ++state_.traffic.receiver_not_ready;
    if (from_.now.rnr_retry == kForever || work_.not_ready++ < from_.now.rnr_retry) return std::nullopt;
    return IBV_WC_RNR_RETRY_EXC_ERR;
  }

  // The other side refuses, and fails with it as a device does: told by an event, its receives flushed.
  ibv_wc_status Refuse(ibv_wc_status status) {
    ibv_async_event event{};
    event.event_type = status == IBV_WC_REM_ACCESS_ERR ? IBV_EVENT_QP_ACCESS_ERR : IBV_EVENT_QP_REQ_ERR;
    event.element.qp = peer_;
    state_.Fail(*peer_);
    state_.Raise(*static_cast<FakeContext*>(peer_->context), event);
    return status;
  }

  // The receive that this would fill fails there, and this here.
  ibv_wc_status ReceiveFails(ibv_wc_status there, ibv_wc_status here) {
    const ReceiveWork receive = peer_->receives.front();
    peer_->receives.pop_front();
    state_.Complete(*peer_, receive, there, 0, std::nullopt, false, true);
    state_.Fail(*peer_);
    return here;
  }

  ibv_wc_status BrokenReceive() {
    const ibv_wc_status status = peer_->receive_faults.front();
    peer_->receive_faults.pop_front();
    return ReceiveFails(status, IBV_WC_REM_OP_ERR);
  }

  ibv_wc_status Send(const std::vector<Stretch>& own, uint64_t bytes) {
    const ReceiveWork receive = peer_->receives.front();
    uint64_t room = 0;
    for (const ibv_sge& piece : receive.pieces) room += piece.length;
    if (bytes > room) return ReceiveFails(IBV_WC_LOC_LEN_ERR, IBV_WC_REM_INV_REQ_ERR);
    auto places = Stretches(state_, receive.pieces, peer_->pd, IBV_ACCESS_LOCAL_WRITE);
    if (!places) return ReceiveFails(IBV_WC_LOC_PROT_ERR, IBV_WC_REM_OP_ERR);
    CopyStretches(state_, from_, *peer_, *places, own);
    peer_->receives.pop_front();
    ++state_.traffic.sends;
    state_.traffic.bytes += bytes;
    std::optional<uint32_t> immediate;
    if (work_.opcode == IBV_WR_SEND_WITH_IMM) immediate = work_.immediate;
    state_.Complete(*peer_, receive, IBV_WC_SUCCESS, static_cast<uint32_t>(bytes), immediate, false, Solicits());
    return IBV_WC_SUCCESS;
  }

  ibv_wc_status WriteOrRead(const std::vector<Stretch>& own, uint64_t bytes) {
    const bool read = work_.opcode == IBV_WR_RDMA_READ;
    const unsigned right = read ? IBV_ACCESS_REMOTE_READ : IBV_ACCESS_REMOTE_WRITE;
    if ((peer_->now.qp_access_flags & right) == 0) return Refuse(IBV_WC_REM_ACCESS_ERR);
    if (bytes > 0) {
      const auto far = Place(state_, state_.remote_keys, work_.key, work_.remote, bytes, peer_->pd, right);
      if (!far) return Refuse(IBV_WC_REM_ACCESS_ERR);
      read ? CopyStretches(state_, *peer_, from_, own, {*far}) : CopyStretches(state_, from_, *peer_, {*far}, own);
    }
    ++(read ? state_.traffic.reads : state_.traffic.writes);
    state_.traffic.bytes += bytes;
    if (work_.opcode == IBV_WR_RDMA_WRITE_WITH_IMM) {
      const ReceiveWork receive = peer_->receives.front();
      peer_->receives.pop_front();
      state_.Complete(*peer_, receive, IBV_WC_SUCCESS, static_cast<uint32_t>(bytes), work_.immediate, true, Solicits());
    }
    return IBV_WC_SUCCESS;
  }

  bool Solicits() const { return (work_.flags & IBV_SEND_SOLICITED) != 0; }

  FakeVerbs::State& state_;
  FakePair& from_;
  SendWork& work_;
  FakePair* peer_ = nullptr;
};

}  // namespace

uint64_t SendWork::bytes() const {
  uint64_t sum = inlined.size();
  for (const ibv_sge& piece : pieces) sum += piece.length;
  return sum;
}

FakePair* FakeVerbs::State::Pair(uint32_t number) const {
  const auto it = pairs.find(number);
  return it == pairs.end() ? nullptr : it->second;
}

void FakeVerbs::State::LandHeld(FakeDevice& device) {
  for (; !device.held.empty(); device.held.pop_front()) {
    const HeldWrite& write = device.held.front();
    CopyBytes(write.to, write.bytes.data(), write.bytes.size());
  }
}

void FakeVerbs::State::Raise(FakeContext& context, const ibv_async_event& event) { context.events.Push(event); }

void FakeVerbs::State::Complete(FakePair& pair, const SendWork& work, ibv_wc_status status) {
  if (status == IBV_WC_SUCCESS && (work.flags & IBV_SEND_SIGNALED) == 0) return;
  Entry entry{
      .wc = GarbageCompletion(work.id, status, pair.qp_num), .pair = &pair, .send = true, .number = work.number};
  if (status == IBV_WC_SUCCESS) {
    entry.wc.opcode = CompletedAs(work.opcode);
    entry.wc.wc_flags = 0;
  }
  Push(*this, pair.send_queue(), entry, status != IBV_WC_SUCCESS);
}

void FakeVerbs::State::Complete(FakePair& pair, const ReceiveWork& work, ibv_wc_status status, uint32_t bytes,
                                std::optional<uint32_t> immediate, bool by_write, bool solicited) {
  Entry entry{
      .wc = GarbageCompletion(work.id, status, pair.qp_num), .pair = &pair, .send = false, .number = work.number};
  if (status == IBV_WC_SUCCESS) {
    entry.wc.opcode = by_write ? IBV_WC_RECV_RDMA_WITH_IMM : IBV_WC_RECV;
    entry.wc.byte_len = bytes;
    entry.wc.wc_flags = immediate ? unsigned{IBV_WC_WITH_IMM} : 0u;
    if (immediate) entry.wc.imm_data = *immediate;
  }
  Push(*this, pair.receive_queue(), entry, solicited || status != IBV_WC_SUCCESS);
}

void FakeVerbs::State::Fail(FakePair& pair) {
  pair.state = pair.now.qp_state = IBV_QPS_ERR;
  for (; !pair.sends.empty(); pair.sends.pop_front()) Complete(pair, pair.sends.front(), IBV_WC_WR_FLUSH_ERR);
  for (; !pair.receives.empty(); pair.receives.pop_front()) {
    Complete(pair, pair.receives.front(), IBV_WC_WR_FLUSH_ERR, 0, std::nullopt, false, true);
  }
}

bool FakeVerbs::State::Work(FakePair& pair) {
  const bool stands = pair.gone() || held.contains(pair.device().spec.name);
  if (pair.state != IBV_QPS_RTS || pair.sends.empty() || stands) return false;
  std::optional<ibv_wc_status> status;
  if (!pair.send_faults.empty()) {
    status = pair.send_faults.front();
    pair.send_faults.pop_front();
  } else {
    status = Delivery(*this, pair, pair.sends.front()).Try();
  }
  if (!status) return false;
  // A queue pair that is its own peer may have been flushed by its own failure.
  if (!pair.sends.empty()) {
    Complete(pair, pair.sends.front(), *status);
    pair.sends.pop_front();
  }
  if (*status != IBV_WC_SUCCESS) Fail(pair);
  return true;
}

void FakeVerbs::State::PumpIfPerPost() {
  if (pump != Pump::kPerPost) return;
  for (bool any = true; any;) {
    any = false;
    for (auto& [number, pair] : pairs) any = Work(*pair) || any;
  }
}

}  // namespace relay::fake
