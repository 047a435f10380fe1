#include "transport/rdma/queue_pair.h"

#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "base/random.h"
#include "transport/rdma/memlock.h"
#include "transport/rdma/trouble.h"
#include "transport/rdma/work_queues.h"

namespace relay::transport::rdma {
namespace {

constexpr uint32_t k24Bits = 0xffffff;
// 7 tries in all; one retry more, and soft-RoCE tries for ever. What a device waits for each is 4.096 us * 2^exponent
// at least, and up to four times that.
constexpr uint8_t kRetries = 6;
constexpr uint8_t kLeastExponent = 10, kMostExponent = 22;
constexpr uint8_t kHopLimit = 255;
// One read at a time, as NCCL's own transport: reads only flush.
constexpr uint8_t kReadsAtOnce = 1;

uint8_t TimeoutExponent(Duration hop_timeout) {
  const auto tries = std::chrono::nanoseconds(4096) * (kRetries + 1);
  uint8_t exponent = kLeastExponent;
  while (exponent < kMostExponent && tries * (int64_t{2} << exponent) <= hop_timeout) ++exponent;
  return exponent;
}

ibv_mtu CodedMtu(uint16_t bytes) { return static_cast<ibv_mtu>(std::bit_width(bytes) - 8); }

// What a device did not give, right after it did not.
tl::unexpected<Error> NotGiven(const std::string& device, const char* what) {
  const int error = errno;
  return FailErrno(ErrorCode::kSystem, device + " gives no " + what + MemlockHint(error), error);
}

std::string FarText(const Endpoint& far, size_t gid) {
  char number[16];
  snprintf(number, sizeof number, "0x%x", far.queue_pair);
  const std::string place = gid < far.gids.size() ? ToText(far.gids[gid]) : "LID " + std::to_string(far.lid);
  return std::string("queue pair ") + number + " of " + place;
}

}  // namespace

QueuePair::QueuePair(std::shared_ptr<Device> device, const Depths& depths)
    : device_(std::move(device)),
      depths_(depths),
      queues_(std::make_unique<Queues>()),
      trouble_(std::make_shared<Trouble>()) {}

Result<std::unique_ptr<QueuePair>> QueuePair::Create(std::shared_ptr<Device> device, const Depths& depths) {
  if (auto gone = device->trouble()) return tl::unexpected<Error>(std::move(*gone));
  const DeviceLimits& limits = device->limits();
  if (std::max(depths.sends, depths.receives) > limits.work_requests || depths.pieces > limits.pieces ||
      depths.sends + depths.receives > limits.completions) {
    return Fail(ErrorCode::kSystem, device->name() + " takes " + std::to_string(limits.work_requests) +
                                        " work requests of " + std::to_string(limits.pieces) +
                                        " pieces per queue pair, which is too few for RDMA here");
  }
  std::unique_ptr<QueuePair> out(new QueuePair(std::move(device), depths));
  RELAY_TRY(out->Start());
  return out;
}

Status QueuePair::Start() {
  const Verbs& verbs = device_->verbs();
  Queues& q = *queues_;
  q.device = device_->name() + " port " + std::to_string(device_->port());
  auto port = device_->ReadPort();
  if (!port) return tl::unexpected<Error>(std::move(port).error());
  if (!port->active)
    return Fail(ErrorCode::kSystem, q.device + " is down: look at its cable and at the other end of it");
  q.needs_global_header = port->needs_global_header;
  q.sends.resize(depths_.sends);
  q.send_facts.resize(depths_.sends);
  q.send_pieces.resize(size_t{depths_.sends} * depths_.pieces);
  q.receives.resize(depths_.receives);
  q.receive_ids.resize(depths_.receives);
  q.receive_pieces.resize(size_t{depths_.receives} * depths_.pieces);

  q.channel = verbs.create_comp_channel(device_->context());
  if (!q.channel) return NotGiven(q.device, "completion channel");
  const int flags = fcntl(q.channel->fd, F_GETFL);
  if (flags < 0 || fcntl(q.channel->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return FailErrno(ErrorCode::kSystem, "the completions of " + q.device + " cannot be made non-blocking");
  }
  q.completions =
      verbs.create_cq(device_->context(), static_cast<int>(depths_.sends + depths_.receives), nullptr, q.channel, 0);
  if (!q.completions) return NotGiven(q.device, "completion queue");

  ibv_qp_init_attr wanted{};
  wanted.send_cq = wanted.recv_cq = q.completions;
  wanted.qp_type = IBV_QPT_RC;
  wanted.cap = {.max_send_wr = depths_.sends,
                .max_recv_wr = depths_.receives,
                .max_send_sge = depths_.pieces,
                .max_recv_sge = depths_.pieces,
                .max_inline_data = depths_.inline_bytes};
  q.pair = verbs.create_qp(device_->domain(), &wanted);
  if (!q.pair && depths_.inline_bytes > 0) {
    // A device that takes nothing inline, or less than this, may refuse instead of saying so.
    wanted.cap.max_inline_data = 0;
    q.pair = verbs.create_qp(device_->domain(), &wanted);
  }
  if (!q.pair) return NotGiven(q.device, "queue pair");
  inline_bytes_ = wanted.cap.max_inline_data;
  device_->Watch(q.pair, q.completions, trouble_);

  ibv_qp_attr to{};
  to.qp_state = IBV_QPS_INIT;
  to.port_num = device_->port();
  to.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
  const int mask = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
  if (const int error = VerbsErrno(verbs.modify_qp(q.pair, &to, mask))) {
    return FailErrno(ErrorCode::kSystem, "a queue pair of " + q.device + " does not start", error);
  }
  near_.first_packet = RandomValue<uint32_t>() & k24Bits;
  return {};
}

QueuePair::~QueuePair() {
  Stop();
  if (Status gone = Destroy(); !gone) RELAY_WARN("%s", gone.error().what.c_str());
  const Verbs& verbs = device_->verbs();
  const Queues& q = *queues_;
  if (q.completions && verbs.destroy_cq(q.completions) != 0)
    RELAY_WARN("%s keeps a completion queue", q.device.c_str());
  if (q.channel && verbs.destroy_comp_channel(q.channel) != 0)
    RELAY_WARN("%s keeps a completion channel", q.device.c_str());
}

void QueuePair::Stop() {
  Queues& q = *queues_;
  FailForGood({ErrorCode::kInternal, 0, "a queue pair of " + q.device + " was used after its end"});
  if (!q.pair) return;
  ibv_qp_attr to{};
  to.qp_state = IBV_QPS_ERR;
  // Some devices go on with what was posted until the queue pair is destroyed: this is no guarantee, Destroy is.
  device_->verbs().modify_qp(q.pair, &to, IBV_QP_STATE);
}

Status QueuePair::Destroy() {
  Queues& q = *queues_;
  if (!q.pair) return {};
  device_->Forget(q.pair);
  const int error = VerbsErrno(device_->verbs().destroy_qp(q.pair));
  // A device that is gone gives nothing back, and writes nothing either.
  if (error == 0 || device_->trouble()) {
    q.pair = nullptr;
    return {};
  }
  return FailErrno(ErrorCode::kSystem,
                   q.device + " keeps a queue pair, and may still write into memory that was given to it", error);
}

Endpoint QueuePair::near() const {
  near_.queue_pair = queues_->pair->qp_num;
  near_.infiniband = device_->infiniband();
  if (auto port = device_->ReadPort()) {
    near_.lid = port->lid;
    near_.mtu = port->mtu;
  }
  auto gids = device_->ReadGids();
  if (!gids) RELAY_WARN("%s", gids.error().what.c_str());
  near_.gids = gids ? std::move(*gids) : std::vector<Gid>{};
  return near_;
}

Status QueuePair::Connect(const Endpoint& far, const GidPair& gids) {
  Queues& q = *queues_;
  // Nobody has listened to the device since Create.
  device_->TakeEvents();
  if (auto end = trouble_->End()) return tl::unexpected<Error>(std::move(*end));
  if (near_.queue_pair == 0) near();
  q.far = {.text = FarText(far, gids.far), .hop_timeout = depths_.hop_timeout};
  if (far.infiniband != near_.infiniband) {
    return Fail(ErrorCode::kUsage,
                q.device + " and " + q.far.text + " are of different link layers: no queue pair joins them");
  }
  const bool have = gids.near < near_.gids.size() && gids.far < far.gids.size();
  if (!have && !near_.infiniband)
    return Fail(ErrorCode::kInternal, q.device + " was told to use addresses that are not there");
  if (near_.infiniband && (far.lid == 0 || near_.lid == 0)) {
    return Fail(ErrorCode::kSystem,
                q.device + " or " + q.far.text + " has no LID: is a subnet manager running (opensm)?");
  }

  ibv_qp_attr to{};
  to.qp_state = IBV_QPS_RTR;
  to.path_mtu = CodedMtu(std::min(near_.mtu, far.mtu));
  to.dest_qp_num = far.queue_pair;
  to.rq_psn = far.first_packet;
  to.max_dest_rd_atomic = kReadsAtOnce;
  to.ah_attr.port_num = device_->port();
  to.ah_attr.dlid = far.lid;
  to.ah_attr.is_global =
      !near_.infiniband ||
      (have && (queues_->needs_global_header || CrossesSubnets(near_.gids[gids.near], far.gids[gids.far])));
  if (to.ah_attr.is_global) {
    const Gid& far_gid = far.gids[gids.far];
    std::memcpy(to.ah_attr.grh.dgid.raw, far_gid.bytes.data(), far_gid.bytes.size());
    to.ah_attr.grh.sgid_index = static_cast<uint8_t>(near_.gids[gids.near].index);
    to.ah_attr.grh.hop_limit = kHopLimit;
  }
  int mask = IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
             IBV_QP_MIN_RNR_TIMER;
  if (const int error = VerbsErrno(device_->verbs().modify_qp(q.pair, &to, mask))) {
    const char* advice = error == ETIMEDOUT ? " (nobody answers at that address: look at the cable and the addresses)"
                                            : " (see the kernel's log)";
    return FailErrno(error == ETIMEDOUT ? ErrorCode::kRemote : ErrorCode::kSystem,
                     q.device + " finds no way to " + q.far.text + advice, error);
  }

  to = {};
  to.qp_state = IBV_QPS_RTS;
  to.timeout = TimeoutExponent(depths_.hop_timeout);
  to.retry_cnt = kRetries;
  to.rnr_retry = 0;  // a receive is always posted: to find none is an error to be seen
  to.sq_psn = near_.first_packet;
  to.max_rd_atomic = kReadsAtOnce;
  mask = IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC;
  if (const int error = VerbsErrno(device_->verbs().modify_qp(q.pair, &to, mask))) {
    return FailErrno(ErrorCode::kSystem,
                     q.device + " does not become ready to send to " + q.far.text + " (see the kernel's log)", error);
  }
  return {};
}

int QueuePair::event_fd() const { return queues_->channel->fd; }

Status QueuePair::Arm(bool solicited_only) {
  // What has failed may report nothing any more: whoever means to sleep would never wake.
  if (auto end = trouble_->End()) return tl::unexpected<Error>(std::move(*end));
  ibv_cq* cq = queues_->completions;
  const int error = cq->context->ops.req_notify_cq(cq, solicited_only);
  if (error == 0) return {};
  return FailErrno(ErrorCode::kSystem, queues_->device + " does not tell of completions", error);
}

void QueuePair::TakeEvents() {
  ibv_cq* cq = nullptr;
  void* user = nullptr;
  while (device_->verbs().get_cq_event(queues_->channel, &cq, &user) == 0) {
    device_->verbs().ack_cq_events(cq, 1);
    ++counts_.events;
  }
}

std::optional<Error> QueuePair::trouble() const { return trouble_->Get(); }

}  // namespace relay::transport::rdma
