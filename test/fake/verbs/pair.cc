// Queue pairs of FakeVerbs: their states, and what is posted to them.
#include <algorithm>
#include <bit>
#include <cstring>

#include "fake/verbs/events.h"

namespace relay::fake {
namespace {

using Lock = std::unique_lock<std::mutex>;

constexpr int kToInit = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
constexpr int kToReceive = IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                           IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
constexpr int kToSend =
    IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC;

ibv_qp* CreatePair(ibv_pd* which, ibv_qp_init_attr* wanted) {
  auto* domain = static_cast<FakeDomain*>(which);
  auto& state = *domain->state;
  Lock lock(state.mutex);
  if (const int error = state.Enter("create_qp", which->context)) return NullWith(error);
  const DeviceSpec& spec = static_cast<FakeContext*>(which->context)->hardware->spec;
  const ibv_qp_cap& cap = wanted->cap;
  const bool fits = cap.max_send_wr <= spec.work_requests && cap.max_recv_wr <= spec.work_requests &&
                    cap.max_send_sge <= spec.pieces && cap.max_recv_sge <= spec.pieces &&
                    cap.max_inline_data <= spec.inline_bytes;
  if (!fits || wanted->qp_type != IBV_QPT_RC || !wanted->send_cq || !wanted->recv_cq || wanted->srq)
    return NullWith(EINVAL);
  auto* pair = new FakePair;
  static_cast<ibv_qp&>(*pair) = {};
  pair->context = which->context;
  pair->qp_context = wanted->qp_context;
  pair->pd = which;
  pair->send_cq = wanted->send_cq;
  pair->recv_cq = wanted->recv_cq;
  pair->qp_num = state.next_pair++;
  pair->state = IBV_QPS_RESET;
  pair->qp_type = IBV_QPT_RC;
  pair->owner = &state;
  pair->cap = cap;
  pair->signals_all = wanted->sq_sig_all != 0;
  state.pairs[pair->qp_num] = pair;
  ++domain->users;
  ++pair->send_queue().users;
  ++pair->receive_queue().users;
  return pair;
}

// The address that work is to go to, as a device checks it.
bool AddressFits(const FakePair& pair, const ibv_ah_attr& to) {
  const PortSpec& port = pair.port();
  if (to.port_num != pair.now.port_num) return false;
  if (port.infiniband && to.dlid == 0) return false;
  if (!port.infiniband && !to.is_global) return false;
  if (port.needs_global_header && !to.is_global) return false;
  if (!to.is_global) return true;
  return to.grh.hop_limit > 0 &&
         std::any_of(port.gids.begin(), port.gids.end(), [&](const auto& g) { return g.index == to.grh.sgid_index; });
}

bool ToInitFits(const FakePair& pair, const ibv_qp_attr& to) {
  return to.port_num >= 1 && to.port_num <= pair.device().spec.ports.size() && to.pkey_index == 0;
}

bool ToReceiveFits(const FakePair& pair, const ibv_qp_attr& to) {
  const auto active = static_cast<ibv_mtu>(std::bit_width(pair.port().mtu) - 8);
  return to.path_mtu >= IBV_MTU_256 && to.path_mtu <= active && to.dest_qp_num <= 0xffffff && to.rq_psn <= 0xffffff &&
         to.max_dest_rd_atomic <= 16 && AddressFits(pair, to.ah_attr);
}

bool ToSendFits(const ibv_qp_attr& to) {
  return to.timeout < 32 && to.retry_cnt < 8 && to.rnr_retry < 8 && to.sq_psn <= 0xffffff && to.max_rd_atomic <= 16;
}

int ModifyPair(ibv_qp* which, ibv_qp_attr* to, int mask) {
  auto& pair = *static_cast<FakePair*>(which);
  auto& state = *pair.owner;
  Lock lock(state.mutex);
  if (const int error = state.Enter("modify_qp", to->qp_state == IBV_QPS_ERR)) return error;
  if (pair.gone()) return EIO;
  if ((mask & IBV_QP_STATE) == 0) return EINVAL;
  if (to->qp_state == IBV_QPS_ERR) {
    if (mask != IBV_QP_STATE || pair.state == IBV_QPS_RESET) return EINVAL;
    state.Fail(pair);
    return 0;
  }
  if (pair.state == IBV_QPS_RESET && to->qp_state == IBV_QPS_INIT) {
    if (mask != kToInit || !ToInitFits(pair, *to)) return EINVAL;
    pair.now.port_num = to->port_num;
    pair.now.qp_access_flags = to->qp_access_flags;
  } else if (pair.state == IBV_QPS_INIT && to->qp_state == IBV_QPS_RTR) {
    if (mask != kToReceive || !ToReceiveFits(pair, *to)) return EINVAL;
    pair.now.ah_attr = to->ah_attr;
    pair.now.path_mtu = to->path_mtu;
    pair.now.dest_qp_num = to->dest_qp_num;
    pair.now.rq_psn = to->rq_psn;
    pair.now.max_dest_rd_atomic = to->max_dest_rd_atomic;
  } else if (pair.state == IBV_QPS_RTR && to->qp_state == IBV_QPS_RTS) {
    if (mask != kToSend || !ToSendFits(*to)) return EINVAL;
    pair.now.timeout = to->timeout;
    pair.now.retry_cnt = to->retry_cnt;
    pair.now.rnr_retry = to->rnr_retry;
    pair.now.sq_psn = to->sq_psn;
    pair.now.max_rd_atomic = to->max_rd_atomic;
  } else {
    return EINVAL;
  }
  pair.state = pair.now.qp_state = to->qp_state;
  state.PumpIfPerPost();
  return 0;
}

int DestroyPair(ibv_qp* which) {
  auto* pair = static_cast<FakePair*>(which);
  auto& state = *pair->owner;
  Lock lock(state.mutex);
  if (const int error = state.Enter("destroy_qp", true)) return error;
  state.pairs.erase(pair->qp_num);
  auto& events = static_cast<FakeContext*>(pair->context)->events;
  events.Drop([&](const ibv_async_event& e) { return IsPairEvent(e.event_type) && e.element.qp == which; });
  state.acknowledged.wait(lock, [&] { return pair->unacknowledged == 0; });
  for (FakeQueue* queue : {&pair->send_queue(), &pair->receive_queue()}) {
    std::erase_if(queue->entries, [&](const Entry& entry) { return entry.pair == pair; });
    --queue->users;
  }
  --static_cast<FakeDomain*>(pair->pd)->users;
  delete pair;
  // Whoever waits for it to become ready waits in vain now.
  state.PumpIfPerPost();
  return 0;
}

bool OpcodeKnown(ibv_wr_opcode opcode) {
  return opcode == IBV_WR_RDMA_WRITE || opcode == IBV_WR_RDMA_WRITE_WITH_IMM || opcode == IBV_WR_SEND ||
         opcode == IBV_WR_SEND_WITH_IMM || opcode == IBV_WR_RDMA_READ;
}

// 0, or why a device refuses it.
int TakeSend(FakePair& pair, const ibv_send_wr& wr) {
  if (pair.sends_posted - pair.sends_free >= pair.cap.max_send_wr) return ENOMEM;
  if (wr.num_sge < 0 || static_cast<uint32_t>(wr.num_sge) > pair.cap.max_send_sge || !OpcodeKnown(wr.opcode))
    return EINVAL;
  SendWork work{.number = pair.sends_posted,
                .id = wr.wr_id,
                .opcode = wr.opcode,
                .flags = wr.send_flags,
                .immediate = wr.imm_data,
                .remote = wr.wr.rdma.remote_addr,
                .key = wr.wr.rdma.rkey,
                .pieces = {},
                .inlined = {}};
  if (pair.signals_all) work.flags |= IBV_SEND_SIGNALED;
  for (const ibv_sge& piece : std::span(wr.sg_list, static_cast<size_t>(wr.num_sge))) {
    if ((wr.send_flags & IBV_SEND_INLINE) == 0) {
      work.pieces.push_back(piece);
      continue;
    }
    const auto* bytes = reinterpret_cast<const std::byte*>(piece.addr);
    work.inlined.insert(work.inlined.end(), bytes, bytes + piece.length);
  }
  if (work.inlined.size() > pair.cap.max_inline_data) return EINVAL;
  if ((wr.send_flags & IBV_SEND_INLINE) != 0 && wr.opcode == IBV_WR_RDMA_READ) return EINVAL;
  ++pair.sends_posted;
  pair.sends.push_back(std::move(work));
  return 0;
}

int TakeReceive(FakePair& pair, const ibv_recv_wr& wr) {
  if (pair.receives_posted - pair.receives_free >= pair.cap.max_recv_wr) return ENOMEM;
  if (wr.num_sge < 0 || static_cast<uint32_t>(wr.num_sge) > pair.cap.max_recv_sge) return EINVAL;
  const std::span pieces(wr.sg_list, static_cast<size_t>(wr.num_sge));
  pair.receives.push_back({.number = pair.receives_posted++, .id = wr.wr_id, .pieces = {pieces.begin(), pieces.end()}});
  return 0;
}

}  // namespace

int PostSend(ibv_qp* which, ibv_send_wr* chain, ibv_send_wr** bad) {
  auto& pair = *static_cast<FakePair*>(which);
  auto& state = *pair.owner;
  Lock lock(state.mutex);
  int error = state.Enter("post_send");
  if (error == 0 && pair.state != IBV_QPS_RTS && pair.state != IBV_QPS_ERR) error = EINVAL;
  *bad = chain;
  for (; error == 0 && chain; chain = chain->next) {
    *bad = chain;
    error = TakeSend(pair, *chain);
    if (error == 0) ++pair.device().work.sends;
  }
  ++state.traffic.send_chains;
  ++pair.device().work.send_doorbells;
  if (pair.state == IBV_QPS_ERR && !pair.gone()) state.Fail(pair);
  state.PumpIfPerPost();
  return error;
}

int PostReceive(ibv_qp* which, ibv_recv_wr* chain, ibv_recv_wr** bad) {
  auto& pair = *static_cast<FakePair*>(which);
  auto& state = *pair.owner;
  Lock lock(state.mutex);
  int error = state.Enter("post_recv");
  if (error == 0 && pair.state == IBV_QPS_RESET) error = EINVAL;
  *bad = chain;
  for (; error == 0 && chain; chain = chain->next) {
    *bad = chain;
    error = TakeReceive(pair, *chain);
    if (error == 0) ++pair.device().work.receives;
  }
  ++state.traffic.receive_chains;
  ++pair.device().work.receive_doorbells;
  if (pair.state == IBV_QPS_ERR && !pair.gone()) state.Fail(pair);
  state.PumpIfPerPost();
  return error;
}

void FillOps(ibv_context_ops& ops) {
  ops.post_send = PostSend;
  ops.post_recv = PostReceive;
  ops.poll_cq = PollQueue;
  ops.req_notify_cq = ArmQueue;
}

void FillPairCalls(FakeVerbs::State& state) {
  state.table.create_qp = CreatePair;
  state.table.modify_qp = ModifyPair;
  state.table.destroy_qp = DestroyPair;
}

}  // namespace relay::fake
