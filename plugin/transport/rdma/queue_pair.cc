#include "transport/rdma/queue_pair.h"

#include "transport/rdma/completion_batch.h"
#include "transport/rdma/receive_queue.h"
#include "transport/rdma/send_queue.h"
#include "transport/rdma/trouble.h"
#include "transport/rdma/verbs_pair.h"

namespace relay::transport::rdma {

QueuePair::QueuePair(std::shared_ptr<Device> device, const Depths& depths)
    : device_(std::move(device)),
      trouble_(std::make_shared<Trouble>()),
      sends_(std::make_unique<SendQueue>(depths)),
      receives_(std::make_unique<ReceiveQueue>(depths)),
      batch_(std::make_unique<CompletionBatch>()) {}

QueuePair::~QueuePair() = default;

Result<std::unique_ptr<QueuePair>> QueuePair::Create(std::shared_ptr<Device> device, const Depths& depths) {
  std::unique_ptr<QueuePair> out(new QueuePair(std::move(device), depths));
  RELAY_TRY(out->Start(depths));
  return out;
}

Status QueuePair::Start(const Depths& depths) {
  auto verbs = VerbsPair::Create(device_, depths, trouble_);
  RELAY_TRY(verbs);
  verbs_ = std::move(*verbs);
  return {};
}

Endpoint QueuePair::near() const { return verbs_->near(); }

Status QueuePair::Connect(const Endpoint& far, const GidPair& gids) {
  // Nobody has listened to the device since Create.
  device_->TakeEvents();
  if (auto end = trouble_->End()) return tl::unexpected<Error>(std::move(*end));
  return verbs_->Connect(far, gids);
}

bool QueuePair::HasRoom(uint32_t sends) const { return sends_->HasRoom(sends); }

bool QueuePair::HasReceiveRoom(uint32_t receives) const { return receives_->HasRoom(receives); }

uint32_t QueuePair::inline_bytes() const { return verbs_->inline_bytes(); }

void QueuePair::Queue(Work work, std::span<const Piece> pieces, Remote remote, uint64_t id,
                      const SendOptions& options) {
  if (sends_->Queue(work, pieces, remote, id, options, verbs_->inline_bytes())) return;
  failed_.Set(
      {ErrorCode::kInternal, 0, "more work was given to a queue pair of " + verbs_->text() + " than it has room for"});
}

void QueuePair::Write(std::span<const Piece> pieces, Remote to, uint64_t id, const SendOptions& options) {
  Queue(Work::kWrite, pieces, to, id, options);
}

void QueuePair::Read(const Piece& piece, Remote from, uint64_t id) { Queue(Work::kRead, {&piece, 1}, from, id, {}); }

void QueuePair::Send(std::span<const Piece> pieces, uint64_t id, const SendOptions& options) {
  Queue(Work::kSend, pieces, {}, id, options);
}

void QueuePair::Receive(std::span<const Piece> pieces, uint64_t id) {
  if (receives_->Queue(pieces, id)) return;
  failed_.Set({ErrorCode::kInternal, 0,
               "more receives were given to a queue pair of " + verbs_->text() + " than it has room for"});
}

Status QueuePair::Ring() {
  if (!failed_) RingReceives();
  if (!failed_) RingSends();
  if (failed_) return failed_.Give();
  return {};
}

void QueuePair::RingReceives() {
  ibv_recv_wr* chain = receives_->chain();
  if (chain == nullptr) return;
  if (const int error = verbs_->Post(chain)) {
    return failed_.Set(FailErrno(ErrorCode::kSystem, verbs_->text() + " takes no more receives", error).value());
  }
  counts_.posted_receives += receives_->OnRung();
  ++counts_.receive_doorbells;
}

void QueuePair::RingSends() {
  ibv_send_wr* chain = sends_->chain();
  if (chain == nullptr) return;
  if (const int error = verbs_->Post(chain)) {
    const std::string what = verbs_->text() + " takes no more work to " + verbs_->far().text;
    return failed_.Set(FailErrno(ErrorCode::kSystem, what, error).value());
  }
  counts_.posted_sends += sends_->OnRung();
  ++counts_.doorbells;
}

std::optional<Completion> QueuePair::TakeGood(const ibv_wc& wc) {
  return ReceiveQueue::IsOf(wc) ? receives_->Take(wc) : sends_->Take(wc);
}

// Nothing: it is the end, and failed_ says why.
std::optional<Completion> QueuePair::Take(const ibv_wc& wc) {
  if (ReceiveQueue::IsOf(wc)) receives_->NoteBack(wc);
  if (wc.status != IBV_WC_SUCCESS) {
    Error error = CompletionError(wc, verbs_->text(), verbs_->far(), device_->verbs().wc_status_str(wc.status));
    if (const auto before = trouble_->Get()) error.what += " (" + before->what + ")";
    failed_.Set(std::move(error));
    return std::nullopt;
  }
  auto completion = TakeGood(wc);
  if (!completion) {
    failed_.Set({ErrorCode::kSystem, 0,
                 verbs_->text() + " reports work done that it was not given, or out of order: report it"});
  }
  return completion;
}

Result<size_t> QueuePair::Poll(std::span<Completion> out) {
  size_t filled = 0;
  while (!failed_ && filled < out.size()) {
    const size_t most = std::min(CompletionBatch::kMost, out.size() - filled);
    if (!batch_->Read(*verbs_, most)) {
      failed_.Set({ErrorCode::kSystem, 0,
                   "the completion queue of " + verbs_->text() + " cannot be read: look at the kernel's log"});
    }
    while (!failed_ && !batch_->empty()) {
      ++counts_.completions;
      if (auto completion = Take(batch_->Next())) out[filled++] = *completion;
    }
    if (batch_->count() < most) break;
  }
  if (filled == 0 && failed_) return failed_.Give();
  return filled;
}

void QueuePair::Stop() {
  failed_.Set({ErrorCode::kInternal, 0, "a queue pair of " + verbs_->text() + " was used after its end"});
  verbs_->Stop();
}

size_t QueuePair::Drain(std::span<Completion> out) {
  size_t filled = 0;
  while (filled < out.size() && !batch_->unreadable()) {
    if (batch_->empty() && (!batch_->Read(*verbs_, CompletionBatch::kMost) || batch_->empty())) break;
    ++counts_.completions;
    const ibv_wc& wc = batch_->Next();
    if (ReceiveQueue::IsOf(wc)) receives_->NoteBack(wc);
    if (wc.status != IBV_WC_SUCCESS) continue;
    if (auto completion = TakeGood(wc)) out[filled++] = *completion;
  }
  return filled;
}

bool QueuePair::drained() {
  if (batch_->unreadable() || receives_->all_back()) return true;
  device_->TakeEvents();
  return device_->trouble().has_value();
}

Status QueuePair::Destroy() { return verbs_->Destroy(); }

int QueuePair::event_fd() const { return verbs_->event_fd(); }

Status QueuePair::Arm(bool solicited_only) {
  // What has failed may report nothing any more: whoever means to sleep would never wake.
  if (auto end = trouble_->End()) return tl::unexpected<Error>(std::move(*end));
  return verbs_->Arm(solicited_only);
}

void QueuePair::TakeEvents() { counts_.events += verbs_->TakeEvents(); }

std::optional<Error> QueuePair::trouble() const { return trouble_->Get(); }

}  // namespace relay::transport::rdma
