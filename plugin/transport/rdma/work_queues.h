// The verbs objects of one queue pair and its arrays of work requests: what QueuePair hides from its header. Sources of
// this folder only.
#pragma once
#include <array>
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
  static constexpr size_t kPollBatch = 16;  // completions that are read at once
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
  // What was read with the completion that failed, and has not been looked at.
  std::array<ibv_wc, kPollBatch> behind{};
  size_t behind_begin = 0, behind_end = 0;
  // Receives that came back, well or not: as many as were posted when nothing more can come.
  uint64_t receives_back = 0;
  bool receive_failed = false, unreadable = false;
};

}  // namespace relay::transport::rdma
