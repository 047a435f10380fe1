#include "circuit/circuit.h"

#include <algorithm>
#include <array>

namespace relay::circuit {
namespace {

// Calls of recvmsg per Receive, so that one busy circuit does not keep NCCL's proxy thread from the others.
constexpr int kReceiveShare = 16;

}  // namespace

Circuit::Circuit(std::unique_ptr<transport::Hop> hop, CircuitName name, std::string path, Counters& counters)
    : hop_(std::move(hop)), name_(name), path_(std::move(path)), counters_(counters) {}

bool Circuit::QueueControl(const FrameHeader& header) {
  if (!output_.QueueControl(header)) return false;
  Add(counters_.frames_sent);
  return true;
}

void Circuit::StartData(const FrameHeader& header, const std::byte* payload) {
  output_.StartData(header, payload);
  Add(counters_.frames_sent);
  Add(counters_.bytes_sent, header.length);
}

Result<Progress> Circuit::Flush() {
  while (!output_.empty()) {
    std::array<iovec, FrameOutput::kMostPieces> pieces;
    const size_t count = output_.Gather(pieces);
    Add(counters_.send_calls);
    auto sent = hop_->Send(std::span(pieces).first(count));
    if (!sent) broken_ = true;
    RELAY_TRY(sent);
    if (*sent == 0) return Progress::kAgain;
    moved_bytes_ += output_.Consume(*sent);
  }
  return Progress::kDone;
}

Result<size_t> Circuit::Fill(std::span<const iovec> pieces) {
  Add(counters_.receive_calls);
  ++receive_calls_;
  auto got = hop_->Receive(pieces);
  if (!got) {
    broken_ = true;
    return got;
  }
  moved_bytes_ += *got;
  return got;
}

// What flips bits on the way has nothing to do with what the peer meant: the same bytes over another circuit may be
// well.
Status Circuit::Verify() {
  if (input_.sum_is_right()) return {};
  Add(counters_.checksum_errors);
  broken_ = true;
  return Fail(
      ErrorCode::kRemote,
      "a frame has arrived with other bytes than were sent: a NIC, its memory or a cable on the way flips bits");
}

Status Circuit::EndFrame(FrameSink& sink) {
  Add(counters_.frames_received);
  return sink.OnFrameEnd(input_.frame());
}

// kDone: a header was taken, or more of it has come.
Result<Progress> Circuit::ReceiveHeader(FrameSink& sink) {
  if (!input_.has_header()) {
    const std::span<std::byte> room = input_.RoomForHeader();
    const iovec space{room.data(), room.size()};
    auto got = Fill({&space, 1});
    RELAY_TRY(got);
    if (*got == 0) return Progress::kAgain;
    input_.OnReadAhead(*got);
    if (!input_.has_header()) return Progress::kDone;
  }
  RELAY_TRY(input_.TakeHeader());
  RELAY_TRY(sink.OnFrame(input_.frame()));
  if (input_.payload_missing() == 0) {
    RELAY_TRY(Verify());
    RELAY_TRY(EndFrame(sink));
  }
  return Progress::kDone;
}

// First what was read ahead, then straight from the hop to its place, reading ahead again behind the payload.
Result<Progress> Circuit::ReceivePayload(FrameSink& sink) {
  std::span<std::byte> space = sink.PayloadSpace();
  space = space.first(std::min<size_t>(space.size(), input_.payload_missing()));
  size_t got = input_.TakeAhead(space);
  if (got == 0) {
    const std::span<std::byte> behind = input_.RoomBehindPayload();
    const iovec pieces[2] = {{space.data(), space.size()}, {behind.data(), behind.size()}};
    auto filled = Fill(pieces);
    RELAY_TRY(filled);
    if (*filled == 0) return Progress::kAgain;
    got = std::min(*filled, space.size());
    input_.OnReadAhead(*filled - got);
  }
  input_.OnPayload(space.first(got));
  Add(counters_.bytes_received, got);
  const bool whole = input_.payload_missing() == 0;
  if (whole) RELAY_TRY(Verify());
  sink.OnPayload(got);
  if (whole) RELAY_TRY(EndFrame(sink));
  return Progress::kDone;
}

Result<Progress> Circuit::Receive(FrameSink& sink) {
  receive_calls_ = 0;
  for (;;) {
    auto progress = input_.payload_missing() != 0 ? ReceivePayload(sink) : ReceiveHeader(sink);
    if (!progress || *progress == Progress::kAgain) return progress;
    if (receive_calls_ >= kReceiveShare) return Progress::kDone;
  }
}

}  // namespace relay::circuit
