// The verbs objects of one queue pair, and the states that it goes through. Sources of this folder only.
//
//   Create: INIT --Connect--> RTR, RTS --Stop, or an error--> ERR --Destroy, or the end--> destroyed
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "relay/result.h"
#include "transport/rdma/completion_text.h"
#include "transport/rdma/device.h"
#include "transport/rdma/endpoint.h"
#include "transport/rdma/gid_choice.h"
#include "transport/rdma/trouble.h"
#include "transport/rdma/verbs.h"
#include "transport/rdma/work.h"

namespace relay::transport::rdma {

class VerbsPair {
 public:
  // `trouble` hears what the device says of it.
  static Result<std::unique_ptr<VerbsPair>> Create(std::shared_ptr<Device> device, const Depths& depths,
                                                   std::shared_ptr<Trouble> trouble);
  ~VerbsPair();
  VerbsPair(const VerbsPair&) = delete;
  VerbsPair& operator=(const VerbsPair&) = delete;

  // As QueuePair has them.
  Endpoint near();
  Status Connect(const Endpoint& far, const GidPair& gids);
  void Stop();
  Status Destroy();
  int event_fd() const { return channel_->fd; }
  Status Arm(bool solicited_only);
  // How many there were.
  uint64_t TakeEvents();

  const std::string& text() const { return text_; }  // "mlx5_0 port 1"
  const FarSide& far() const { return far_; }
  uint32_t inline_bytes() const { return inline_bytes_; }

  // The data path. An errno, or 0.
  int Post(ibv_send_wr* first);
  int Post(ibv_recv_wr* first);
  // How many were read into `out`, or a negative number.
  int Poll(ibv_wc* out, int most) { return completions_->context->ops.poll_cq(completions_, most, out); }

 private:
  VerbsPair(std::shared_ptr<Device> device, Duration hop_timeout);
  Status Start(const Depths& depths, std::shared_ptr<Trouble> trouble);
  Status MakePair(const Depths& depths);
  Status CheckFar(const Endpoint& far, const GidPair& gids) const;
  Status ToReceive(const Endpoint& far, const GidPair& gids);
  Status ToSend();

  const std::shared_ptr<Device> device_;
  const std::string text_;
  bool needs_global_header_ = false;
  ibv_comp_channel* channel_ = nullptr;
  ibv_cq* completions_ = nullptr;
  ibv_qp* pair_ = nullptr;
  uint32_t inline_bytes_ = 0;
  Endpoint near_;
  FarSide far_;
};

}  // namespace relay::transport::rdma
