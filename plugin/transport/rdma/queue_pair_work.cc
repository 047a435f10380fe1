// The part of QueuePair that works while data flow: queueing, ringing, polling.
#include <algorithm>
#include <array>

#include "transport/rdma/trouble.h"
#include "transport/rdma/work_queues.h"

namespace relay::transport::rdma {
namespace {

constexpr uint64_t kReceiveBit = uint64_t{1} << 63;  // of a work request's number: it is a receive

// Into the places of one work request; what is empty is left out. Their number and the bytes in them.
struct Filled {
  int pieces = 0;
  uint64_t bytes = 0;
};

Filled FillPieces(std::span<ibv_sge> to, std::span<const Piece> pieces) {
  Filled filled;
  for (const Piece& piece : pieces.first(std::min(pieces.size(), to.size()))) {
    if (piece.bytes == 0) continue;
    to[static_cast<size_t>(filled.pieces++)] = {reinterpret_cast<uint64_t>(piece.data), piece.bytes, piece.local_key};
    filled.bytes += piece.bytes;
  }
  return filled;
}

ibv_wr_opcode OpcodeOf(Work work, bool immediate) {
  if (work == Work::kRead) return IBV_WR_RDMA_READ;
  if (work == Work::kWrite) return immediate ? IBV_WR_RDMA_WRITE_WITH_IMM : IBV_WR_RDMA_WRITE;
  return immediate ? IBV_WR_SEND_WITH_IMM : IBV_WR_SEND;
}

}  // namespace

void QueuePair::Queue(Work work, std::span<const Piece> pieces, Remote remote, uint64_t id,
                      const SendOptions& options) {
  Queues& q = *queues_;
  if (!HasRoom(1) || pieces.size() > depths_.pieces) {
    // A place that is in use may not be overwritten: the device still reads it.
    FailForGood(
        {ErrorCode::kInternal, 0, "more work was given to a queue pair of " + q.device + " than it has room for"});
    return;
  }
  const size_t place = sends_queued_ % depths_.sends;
  ibv_send_wr& wr = q.sends[place];
  const std::span<ibv_sge> to = std::span(q.send_pieces).subspan(place * depths_.pieces, depths_.pieces);
  const Filled filled = FillPieces(to, pieces);
  wr = {};
  wr.wr_id = sends_queued_;
  wr.sg_list = to.data();
  wr.num_sge = filled.pieces;
  wr.opcode = OpcodeOf(work, options.immediate.has_value());
  if (options.signaled) wr.send_flags |= IBV_SEND_SIGNALED;
  if (options.inlined && filled.bytes > 0 && filled.bytes <= inline_bytes_) wr.send_flags |= IBV_SEND_INLINE;
  if (options.solicited) wr.send_flags |= IBV_SEND_SOLICITED;
  wr.imm_data = htobe32(options.immediate.value_or(0));
  wr.wr.rdma.remote_addr = remote.address;
  wr.wr.rdma.rkey = remote.key;
  q.send_facts[place] = {id, work};
  if (sends_queued_ > q.sends_rung) q.sends[(sends_queued_ - 1) % depths_.sends].next = &wr;
  ++sends_queued_;
}

void QueuePair::Write(std::span<const Piece> pieces, Remote to, uint64_t id, const SendOptions& options) {
  Queue(Work::kWrite, pieces, to, id, options);
}

void QueuePair::Read(const Piece& piece, Remote from, uint64_t id) { Queue(Work::kRead, {&piece, 1}, from, id, {}); }

void QueuePair::Send(std::span<const Piece> pieces, uint64_t id, const SendOptions& options) {
  Queue(Work::kSend, pieces, {}, id, options);
}

void QueuePair::Receive(std::span<const Piece> pieces, uint64_t id) {
  Queues& q = *queues_;
  if (!HasReceiveRoom(1) || pieces.size() > depths_.pieces) {
    FailForGood(
        {ErrorCode::kInternal, 0, "more receives were given to a queue pair of " + q.device + " than it has room for"});
    return;
  }
  const size_t place = receives_queued_ % depths_.receives;
  ibv_recv_wr& wr = q.receives[place];
  const std::span<ibv_sge> to = std::span(q.receive_pieces).subspan(place * depths_.pieces, depths_.pieces);
  wr = {};
  wr.wr_id = receives_queued_ | kReceiveBit;
  wr.sg_list = to.data();
  wr.num_sge = FillPieces(to, pieces).pieces;
  q.receive_ids[place] = id;
  if (receives_queued_ > q.receives_rung) q.receives[(receives_queued_ - 1) % depths_.receives].next = &wr;
  ++receives_queued_;
}

Status QueuePair::Ring() {
  Queues& q = *queues_;
  if (!q.failed && q.receives_rung < receives_queued_) {
    ibv_recv_wr* bad = nullptr;
    const int error =
        VerbsErrno(q.pair->context->ops.post_recv(q.pair, &q.receives[q.receives_rung % depths_.receives], &bad));
    if (error != 0) {
      FailForGood(FailErrno(ErrorCode::kSystem, q.device + " takes no more receives", error).value());
    } else {
      counts_.posted_receives += receives_queued_ - q.receives_rung;
      ++counts_.receive_doorbells;
      q.receives_rung = receives_queued_;
    }
  }
  if (!q.failed && q.sends_rung < sends_queued_) {
    ibv_send_wr* bad = nullptr;
    const int error = VerbsErrno(q.pair->context->ops.post_send(q.pair, &q.sends[q.sends_rung % depths_.sends], &bad));
    if (error != 0) {
      FailForGood(FailErrno(ErrorCode::kSystem, q.device + " takes no more work to " + q.far.text, error).value());
    } else {
      counts_.posted_sends += sends_queued_ - q.sends_rung;
      ++counts_.doorbells;
      q.sends_rung = sends_queued_;
    }
  }
  if (q.failed) return Failed();
  return {};
}

std::optional<Completion> QueuePair::Take(const ibv_wc& wc) {
  Queues& q = *queues_;
  NoteBack(wc);
  if (wc.status != IBV_WC_SUCCESS) {
    Error error = CompletionError(wc, q.device, q.far, device_->verbs().wc_status_str(wc.status));
    if (const auto before = trouble_->Get()) error.what += " (" + before->what + ")";
    FailForGood(std::move(error));
    return std::nullopt;
  }
  auto completion = TakeGood(wc);
  if (!completion) {
    FailForGood(
        {ErrorCode::kSystem, 0, q.device + " reports work done that it was not given, or out of order: report it"});
  }
  return completion;
}

// Whether it went well or not: the number in it is always true.
void QueuePair::NoteBack(const ibv_wc& wc) {
  if ((wc.wr_id & kReceiveBit) == 0) return;
  Queues& q = *queues_;
  const uint64_t number = wc.wr_id & ~kReceiveBit;
  if (number < q.receives_rung) q.receives_back = std::max(q.receives_back, number + 1);
  q.receive_failed = q.receive_failed || wc.status != IBV_WC_SUCCESS;
}

// Nothing: the device was not given it, or reports it out of order.
std::optional<Completion> QueuePair::TakeGood(const ibv_wc& wc) {
  Queues& q = *queues_;
  const bool receive = (wc.wr_id & kReceiveBit) != 0;
  const uint64_t number = wc.wr_id & ~kReceiveBit;
  const bool known =
      receive ? number == receives_done_ && number < q.receives_rung : number >= sends_done_ && number < q.sends_rung;
  if (!known) return std::nullopt;
  if (receive) {
    receives_done_ = number + 1;
    Completion out{
        .id = q.receive_ids[number % depths_.receives], .work = Work::kReceive, .bytes = wc.byte_len, .immediate = {}};
    if (wc.wc_flags & IBV_WC_WITH_IMM) out.immediate = be32toh(wc.imm_data);
    return out;
  }
  // Those before it that asked for no completion are done too.
  sends_done_ = number + 1;
  const Queues::Fact& fact = q.send_facts[number % depths_.sends];
  return Completion{.id = fact.id, .work = fact.work, .bytes = 0, .immediate = {}};
}

Result<size_t> QueuePair::Poll(std::span<Completion> out) {
  Queues& q = *queues_;
  size_t filled = 0;
  auto& batch = q.behind;
  while (!q.failed && filled < out.size()) {
    const int most = static_cast<int>(std::min(batch.size(), out.size() - filled));
    const int count = q.completions->context->ops.poll_cq(q.completions, most, batch.data());
    if (count < 0) {
      q.unreadable = true;
      FailForGood(
          {ErrorCode::kSystem, 0, "the completion queue of " + q.device + " cannot be read: look at the kernel's log"});
    }
    for (int i = 0; i < count && !q.failed; ++i) {
      ++counts_.completions;
      if (auto completion = Take(batch[static_cast<size_t>(i)])) out[filled++] = *completion;
      if (q.failed) q.behind_begin = static_cast<size_t>(i) + 1, q.behind_end = static_cast<size_t>(count);
    }
    if (count < most) break;
  }
  if (filled == 0 && q.failed) return Failed();
  return filled;
}

size_t QueuePair::Drain(std::span<Completion> out) {
  Queues& q = *queues_;
  size_t filled = 0;
  while (filled < out.size() && !q.unreadable) {
    if (q.behind_begin == q.behind_end) {
      const int count =
          q.completions->context->ops.poll_cq(q.completions, static_cast<int>(q.behind.size()), q.behind.data());
      q.unreadable = count < 0;
      if (count <= 0) break;
      q.behind_begin = 0;
      q.behind_end = static_cast<size_t>(count);
      counts_.completions += static_cast<uint64_t>(count);
    }
    const ibv_wc& wc = q.behind[q.behind_begin++];
    NoteBack(wc);
    const bool lost = (wc.wr_id & kReceiveBit) != 0 && q.receive_failed;
    if (wc.status != IBV_WC_SUCCESS || lost) continue;
    if (auto completion = TakeGood(wc)) out[filled++] = *completion;
  }
  return filled;
}

bool QueuePair::drained() {
  Queues& q = *queues_;
  if (q.unreadable || q.receives_back == q.receives_rung) return true;
  device_->TakeEvents();
  return device_->trouble().has_value();
}

void QueuePair::FailForGood(Error error) {
  if (!queues_->failed) queues_->failed = std::move(error);
}

tl::unexpected<Error> QueuePair::Failed() {
  Error error = *queues_->failed;
  queues_->failed->told = true;
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace relay::transport::rdma
