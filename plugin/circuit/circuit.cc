#include "circuit/circuit.h"

#include <algorithm>
#include <cstring>

#include "base/crc32c.h"

namespace relay::circuit {
namespace {

// Room for a CTS and an ACK per possible request, OPENED, PING and CLOSE.
constexpr size_t kControlBytes = 80 * kFrameHeaderBytes + kSetupPrefixBytes + 512;
// Read ahead: a small message with its header in one call, and little to copy ahead of a large one.
constexpr size_t kInputBytes = 16384;
// Calls of recvmsg per Receive, so that one busy circuit does not keep NCCL's proxy thread from the others.
constexpr int kReceiveShare = 16;

}  // namespace

Circuit::Circuit(std::unique_ptr<transport::Hop> hop, CircuitName name, std::string path, Counters& counters)
    : hop_(std::move(hop)), name_(name), path_(std::move(path)), counters_(counters) {
  control_.resize(kControlBytes);
  input_.resize(kInputBytes);
}

void Circuit::QueueSetup(std::span<const std::byte> bytes) {
  if (control_.size() < bytes.size() + 80 * kFrameHeaderBytes) control_.resize(bytes.size() + 80 * kFrameHeaderBytes);
  std::memcpy(control_.data(), bytes.data(), bytes.size());
  control_end_ = bytes.size();
}

bool Circuit::QueueControl(const FrameHeader& header) {
  if (control_end_ + kFrameHeaderBytes > control_.size()) {
    std::memmove(control_.data(), control_.data() + control_begin_, control_end_ - control_begin_);
    control_end_ -= control_begin_;
    control_begin_ = 0;
    if (control_end_ + kFrameHeaderBytes > control_.size()) return false;
  }
  FrameBytes bytes = EncodeFrame(header);
  std::memcpy(control_.data() + control_end_, bytes.data(), bytes.size());
  control_end_ += bytes.size();
  Add(counters_.frames_sent);
  return true;
}

void Circuit::StartData(const FrameHeader& plain, const std::byte* payload) {
  FrameHeader header = plain;
  if (adds_checksums_) {
    header.flags |= kChecksummed;
    header.checksum = Crc32c({payload, header.length});
  }
  data_header_ = EncodeFrame(header);
  data_payload_ = payload;
  data_size_ = kFrameHeaderBytes + header.length;
  data_sent_ = 0;
  Add(counters_.frames_sent);
  Add(counters_.bytes_sent, header.length);
}

// What is left to send, a frame begun first.
int Circuit::Gather(iovec* pieces) const {
  int n = 0;
  auto add = [&](const std::byte* begin, size_t size) {
    if (size != 0) pieces[n++] = {const_cast<std::byte*>(begin), size};
  };
  auto add_control = [&] { add(control_.data() + control_begin_, control_end_ - control_begin_); };
  bool begun = data_sent_ != 0;
  if (!begun) add_control();
  if (data_pending()) {
    size_t header_left = kFrameHeaderBytes - std::min(data_sent_, kFrameHeaderBytes);
    size_t payload_sent = data_sent_ - std::min(data_sent_, kFrameHeaderBytes);
    add(data_header_.data() + kFrameHeaderBytes - header_left, header_left);
    add(data_payload_ + payload_sent, data_size_ - kFrameHeaderBytes - payload_sent);
  }
  if (begun) add_control();
  return n;
}

void Circuit::Consume(size_t sent) {
  auto take_control = [&] {
    size_t n = std::min(sent, control_end_ - control_begin_);
    control_begin_ += n;
    sent -= n;
    if (control_begin_ == control_end_) control_begin_ = control_end_ = 0;
  };
  if (data_sent_ == 0) take_control();
  size_t n = std::min(sent, data_size_ - data_sent_);
  data_sent_ += n;
  moved_bytes_ += n;
  sent -= n;
  if (data_sent_ == data_size_) data_sent_ = data_size_ = 0;
  take_control();
}

Result<Progress> Circuit::Flush() {
  while (wants_write()) {
    iovec pieces[4];
    int n = Gather(pieces);
    Add(counters_.send_calls);
    auto sent = hop_->Send(std::span(pieces, static_cast<size_t>(n)));
    if (!sent) {
      broken_ = true;
      return tl::unexpected(std::move(sent).error());
    }
    if (*sent == 0) return Progress::kAgain;
    Consume(*sent);
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
  if (!verifies_ || sum_ == told_sum_) return {};
  Add(counters_.checksum_errors);
  broken_ = true;
  return Fail(
      ErrorCode::kRemote,
      "a frame has arrived with other bytes than were sent: a NIC, its memory or a cable on the way flips bits");
}

Status Circuit::EndFrame(FrameSink& sink) {
  in_payload_ = false;
  Add(counters_.frames_received);
  return sink.OnFrameEnd();
}

// kDone: a header was taken.
Result<Progress> Circuit::ReceiveHeader(FrameSink& sink) {
  if (input_end_ - input_begin_ < kFrameHeaderBytes) {
    std::memmove(input_.data(), input_.data() + input_begin_, input_end_ - input_begin_);
    input_end_ -= input_begin_;
    input_begin_ = 0;
    iovec space{input_.data() + input_end_, input_.size() - input_end_};
    auto got = Fill({&space, 1});
    if (!got) return tl::unexpected(std::move(got).error());
    if (*got == 0) return Progress::kAgain;
    input_end_ += *got;
    if (input_end_ < kFrameHeaderBytes) return Progress::kDone;
  }
  auto header =
      DecodeFrame(std::span<const std::byte, kFrameHeaderBytes>(input_.data() + input_begin_, kFrameHeaderBytes));
  if (!header) return tl::unexpected(std::move(header).error());
  input_begin_ += kFrameHeaderBytes;
  RELAY_TRY(sink.OnFrame(*header));
  payload_missing_ = header->length;
  in_payload_ = payload_missing_ != 0;
  verifies_ = (header->flags & kChecksummed) != 0;
  sum_ = 0;
  told_sum_ = header->checksum;
  if (!in_payload_) {
    RELAY_TRY(Verify());
    RELAY_TRY(EndFrame(sink));
  }
  return Progress::kDone;
}

// First what was read ahead, then straight from the hop to its place, reading ahead again behind the payload.
Result<Progress> Circuit::ReceivePayload(FrameSink& sink) {
  std::span<std::byte> space = sink.PayloadSpace();
  space = space.first(std::min<size_t>(space.size(), payload_missing_));
  size_t got = std::min(space.size(), input_end_ - input_begin_);
  if (got != 0) {
    std::memcpy(space.data(), input_.data() + input_begin_, got);
    input_begin_ += got;
  } else {
    input_begin_ = input_end_ = 0;
    iovec pieces[2] = {{space.data(), space.size()}, {input_.data(), input_.size()}};
    auto filled = Fill(pieces);
    if (!filled) return tl::unexpected(std::move(filled).error());
    if (*filled == 0) return Progress::kAgain;
    got = std::min(*filled, space.size());
    input_end_ = *filled - got;
  }
  payload_missing_ -= got;
  Add(counters_.bytes_received, got);
  if (verifies_) sum_ = Crc32c(space.first(got), sum_);
  if (payload_missing_ == 0) RELAY_TRY(Verify());
  sink.OnPayload(got);
  if (payload_missing_ == 0) RELAY_TRY(EndFrame(sink));
  return Progress::kDone;
}

Result<Progress> Circuit::Receive(FrameSink& sink) {
  receive_calls_ = 0;
  for (;;) {
    auto progress = in_payload_ ? ReceivePayload(sink) : ReceiveHeader(sink);
    if (!progress || *progress == Progress::kAgain) return progress;
    if (receive_calls_ >= kReceiveShare) return Progress::kDone;
  }
}

}  // namespace relay::circuit
