// The verbs objects of one queue pair and its arrays of work requests: what QueuePair hides from its header. Sources of
// this folder only.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "transport/rdma/completion_text.h"
#include "transport/rdma/queue_pair.h"
#include "transport/rdma/verbs.h"

namespace relay::transport::rdma {

// A work request is numbered in the order of posting, sends and receives apart; its place in the arrays is its number
// modulo the depth. Both kinds are done in that order. What is queued is linked: [rung, queued) is one chain.
struct QueuePair::Queues {
  struct Fact {
    uint64_t id = 0;
    Work work{};
  };

  std::string device;  // "mlx5_0 port 1"
  FarSide far;
  bool needs_global_header = false;
  ibv_comp_channel* channel = nullptr;
  ibv_cq* completions = nullptr;
  ibv_qp* pair = nullptr;

  std::vector<ibv_send_wr> sends;
  std::vector<ibv_sge> send_pieces;  // depths.pieces for each
  std::vector<Fact> send_facts;
  std::vector<ibv_recv_wr> receives;
  std::vector<ibv_sge> receive_pieces;
  std::vector<uint64_t> receive_ids;
  uint64_t sends_rung = 0, receives_rung = 0;

  std::optional<Error> failed;  // for good; the first
};

}  // namespace relay::transport::rdma
