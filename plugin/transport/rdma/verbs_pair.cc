#include "transport/rdma/verbs_pair.h"

#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "base/random.h"
#include "transport/rdma/memlock.h"

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

bool HaveBoth(const Endpoint& near, const Endpoint& far, const GidPair& gids) {
  return gids.near < near.gids.size() && gids.far < far.gids.size();
}

}  // namespace

VerbsPair::VerbsPair(std::shared_ptr<Device> device, Duration hop_timeout)
    : device_(std::move(device)),
      text_(device_->name() + " port " + std::to_string(device_->port())),
      far_{.text = {}, .hop_timeout = hop_timeout} {}

Result<std::unique_ptr<VerbsPair>> VerbsPair::Create(std::shared_ptr<Device> device, const Depths& depths,
                                                     std::shared_ptr<Trouble> trouble) {
  if (auto gone = device->trouble()) return tl::unexpected<Error>(std::move(*gone));
  const DeviceLimits& limits = device->limits();
  if (std::max(depths.sends, depths.receives) > limits.work_requests || depths.pieces > limits.pieces ||
      depths.sends + depths.receives > limits.completions) {
    return Fail(ErrorCode::kSystem, device->name() + " takes " + std::to_string(limits.work_requests) +
                                        " work requests of " + std::to_string(limits.pieces) +
                                        " pieces per queue pair, which is too few for RDMA here");
  }
  std::unique_ptr<VerbsPair> out(new VerbsPair(std::move(device), depths.hop_timeout));
  RELAY_TRY(out->Start(depths, std::move(trouble)));
  return out;
}

Status VerbsPair::Start(const Depths& depths, std::shared_ptr<Trouble> trouble) {
  const Verbs& verbs = device_->verbs();
  auto port = device_->ReadPort();
  RELAY_TRY(port);
  if (!port->active) return Fail(ErrorCode::kSystem, text_ + " is down: look at its cable and at the other end of it");
  needs_global_header_ = port->needs_global_header;

  channel_ = verbs.create_comp_channel(device_->context());
  if (!channel_) return NotGiven(text_, "completion channel");
  const int flags = fcntl(channel_->fd, F_GETFL);
  if (flags < 0 || fcntl(channel_->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return FailErrno(ErrorCode::kSystem, "the completions of " + text_ + " cannot be made non-blocking");
  }
  completions_ =
      verbs.create_cq(device_->context(), static_cast<int>(depths.sends + depths.receives), nullptr, channel_, 0);
  if (!completions_) return NotGiven(text_, "completion queue");
  RELAY_TRY(MakePair(depths));
  device_->Watch(pair_, completions_, std::move(trouble));

  ibv_qp_attr to{};
  to.qp_state = IBV_QPS_INIT;
  to.port_num = device_->port();
  to.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
  const int mask = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
  if (const int error = VerbsErrno(verbs.modify_qp(pair_, &to, mask))) {
    return FailErrno(ErrorCode::kSystem, "a queue pair of " + text_ + " does not start", error);
  }
  near_.first_packet = RandomValue<uint32_t>() & k24Bits;
  return {};
}

Status VerbsPair::MakePair(const Depths& depths) {
  ibv_qp_init_attr wanted{};
  wanted.send_cq = wanted.recv_cq = completions_;
  wanted.qp_type = IBV_QPT_RC;
  wanted.cap = {.max_send_wr = depths.sends,
                .max_recv_wr = depths.receives,
                .max_send_sge = depths.pieces,
                .max_recv_sge = depths.pieces,
                .max_inline_data = depths.inline_bytes};
  pair_ = device_->verbs().create_qp(device_->domain(), &wanted);
  if (!pair_ && depths.inline_bytes > 0) {
    // A device that takes nothing inline, or less than this, may refuse instead of saying so.
    wanted.cap.max_inline_data = 0;
    pair_ = device_->verbs().create_qp(device_->domain(), &wanted);
  }
  if (!pair_) return NotGiven(text_, "queue pair");
  inline_bytes_ = wanted.cap.max_inline_data;
  return {};
}

VerbsPair::~VerbsPair() {
  Stop();
  if (Status gone = Destroy(); !gone) RELAY_WARN("%s", gone.error().what.c_str());
  const Verbs& verbs = device_->verbs();
  if (completions_ && verbs.destroy_cq(completions_) != 0) RELAY_WARN("%s keeps a completion queue", text_.c_str());
  if (channel_ && verbs.destroy_comp_channel(channel_) != 0) RELAY_WARN("%s keeps a completion channel", text_.c_str());
}

void VerbsPair::Stop() {
  if (!pair_) return;
  ibv_qp_attr to{};
  to.qp_state = IBV_QPS_ERR;
  // Some devices go on with what was posted until the queue pair is destroyed: this is no guarantee, Destroy is.
  device_->verbs().modify_qp(pair_, &to, IBV_QP_STATE);
}

Status VerbsPair::Destroy() {
  if (!pair_) return {};
  device_->Forget(pair_);
  const int error = VerbsErrno(device_->verbs().destroy_qp(pair_));
  // A device that is gone gives nothing back, and writes nothing either.
  if (error == 0 || device_->trouble()) {
    pair_ = nullptr;
    return {};
  }
  return FailErrno(ErrorCode::kSystem,
                   text_ + " keeps a queue pair, and may still write into memory that was given to it", error);
}

Endpoint VerbsPair::near() {
  near_.queue_pair = pair_->qp_num;
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

Status VerbsPair::Connect(const Endpoint& far, const GidPair& gids) {
  if (near_.queue_pair == 0) near();
  far_.text = FarText(far, gids.far);
  RELAY_TRY(CheckFar(far, gids));
  RELAY_TRY(ToReceive(far, gids));
  return ToSend();
}

Status VerbsPair::CheckFar(const Endpoint& far, const GidPair& gids) const {
  if (far.infiniband != near_.infiniband) {
    return Fail(ErrorCode::kUsage,
                text_ + " and " + far_.text + " are of different link layers: no queue pair joins them");
  }
  if (!HaveBoth(near_, far, gids) && !near_.infiniband)
    return Fail(ErrorCode::kInternal, text_ + " was told to use addresses that are not there");
  if (near_.infiniband && (far.lid == 0 || near_.lid == 0)) {
    return Fail(ErrorCode::kSystem, text_ + " or " + far_.text + " has no LID: is a subnet manager running (opensm)?");
  }
  return {};
}

Status VerbsPair::ToReceive(const Endpoint& far, const GidPair& gids) {
  ibv_qp_attr to{};
  to.qp_state = IBV_QPS_RTR;
  to.path_mtu = CodedMtu(std::min(near_.mtu, far.mtu));
  to.dest_qp_num = far.queue_pair;
  to.rq_psn = far.first_packet;
  to.max_dest_rd_atomic = kReadsAtOnce;
  to.ah_attr.port_num = device_->port();
  to.ah_attr.dlid = far.lid;
  to.ah_attr.is_global =
      !near_.infiniband || (HaveBoth(near_, far, gids) &&
                            (needs_global_header_ || CrossesSubnets(near_.gids[gids.near], far.gids[gids.far])));
  if (to.ah_attr.is_global) {
    const Gid& far_gid = far.gids[gids.far];
    std::memcpy(to.ah_attr.grh.dgid.raw, far_gid.bytes.data(), far_gid.bytes.size());
    to.ah_attr.grh.sgid_index = static_cast<uint8_t>(near_.gids[gids.near].index);
    to.ah_attr.grh.hop_limit = kHopLimit;
  }
  const int mask = IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                   IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
  const int error = VerbsErrno(device_->verbs().modify_qp(pair_, &to, mask));
  if (error == 0) return {};
  const char* advice = error == ETIMEDOUT ? " (nobody answers at that address: look at the cable and the addresses)"
                                          : " (see the kernel's log)";
  return FailErrno(error == ETIMEDOUT ? ErrorCode::kRemote : ErrorCode::kSystem,
                   text_ + " finds no way to " + far_.text + advice, error);
}

Status VerbsPair::ToSend() {
  ibv_qp_attr to{};
  to.qp_state = IBV_QPS_RTS;
  to.timeout = TimeoutExponent(far_.hop_timeout);
  to.retry_cnt = kRetries;
  to.rnr_retry = 0;  // a receive is always posted: to find none is an error to be seen
  to.sq_psn = near_.first_packet;
  to.max_rd_atomic = kReadsAtOnce;
  const int mask =
      IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC;
  const int error = VerbsErrno(device_->verbs().modify_qp(pair_, &to, mask));
  if (error == 0) return {};
  return FailErrno(ErrorCode::kSystem,
                   text_ + " does not become ready to send to " + far_.text + " (see the kernel's log)", error);
}

Status VerbsPair::Arm(bool solicited_only) {
  const int error = completions_->context->ops.req_notify_cq(completions_, solicited_only);
  if (error == 0) return {};
  return FailErrno(ErrorCode::kSystem, text_ + " does not tell of completions", error);
}

uint64_t VerbsPair::TakeEvents() {
  ibv_cq* cq = nullptr;
  void* user = nullptr;
  uint64_t count = 0;
  for (; device_->verbs().get_cq_event(channel_, &cq, &user) == 0; ++count) device_->verbs().ack_cq_events(cq, 1);
  return count;
}

int VerbsPair::Post(ibv_send_wr* first) {
  ibv_send_wr* bad = nullptr;
  return VerbsErrno(pair_->context->ops.post_send(pair_, first, &bad));
}

int VerbsPair::Post(ibv_recv_wr* first) {
  ibv_recv_wr* bad = nullptr;
  return VerbsErrno(pair_->context->ops.post_recv(pair_, first, &bad));
}

}  // namespace relay::transport::rdma
