// A hostile peer of a stream: raw bytes, and frames well-formed but out of place, mixed with what NCCL and the service
// thread do. Buffers are freed as soon as the stream has given them back: AddressSanitizer sees a byte too late.
#pragma once
#include <sys/socket.h>

#include <list>
#include <memory>
#include <vector>

#include "base/crc32c.h"
#include "base/fd.h"
#include "fuzz/check.h"
#include "fuzz/choices.h"
#include "relay/frame.h"
#include "relay/transport.h"
#include "stream/recv_stream.h"
#include "stream/send_stream.h"

namespace relay::fuzz {

inline constexpr uint64_t kEager = 512;

inline stream::StreamOptions Options() {
  return {
      .peer = "peer", .segment = 4096, .recover_timeout = std::chrono::seconds(30), .linger = std::chrono::seconds(30)};
}

template <class Kind>
class Script {
 public:
  Script(const uint8_t* data, size_t size) : in_(data, size) {
    if constexpr (kSends) {
      stream_ = std::make_shared<Kind>(Options(), counters_);
    } else {
      stream_ = std::make_shared<Kind>(Options(), counters_, kEager);
    }
    stream_->set_recovers(in_.Yes());
    Connect();
  }

  void Run() {
    while (in_.any_left()) Step();
    stream_->Close();
    held_.clear();
    for (int i = 0; i < 3; ++i) Attend();
    peer_.reset();
    Attend();
  }

 private:
  static constexpr bool kSends = std::is_same_v<Kind, stream::SendStream>;

  struct Held {
    std::unique_ptr<std::byte[]> memory;  // as large as promised
    size_t size;
    stream::Request* request;
  };

  // The next circuit of the connection: the peer has the other end of it.
  void Connect() {
    int ends[2];
    Check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    int small = 1;  // the least there is: what the stream sends is soon stuck
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    peer_ = Fd(ends[1]);
    auto circuit = std::make_unique<circuit::Circuit>(transport::AdoptSocket(ends[0]), CircuitName{7, epoch_++}, "A--B",
                                                      counters_);
    if constexpr (kSends) {
      stream_->Adopt({.circuit = std::move(circuit), .eager_bytes = kEager, .near_link = "A--B"});
    } else {
      stream_->Adopt({.circuit = std::move(circuit), .near_link = "A--B"});
    }
  }

  void Step() {
    switch (in_.Between(0, 10)) {
      case 0:
        return SendRaw(in_.Bytes(in_.Between<size_t>(0, 200)));
      case 1:
      case 2:
      case 3:
        return SendFrame();
      case 4:
        return Post(in_.Between<size_t>(0, 2000));
      case 5:
        return Post(in_.Between<size_t>(0, 200000));
      case 6:
        return TestAll();
      case 7:
        now_ += std::chrono::seconds(in_.Between(0, 20));
        return Attend();
      case 8:
        return Drain();
      case 9:
        return Connect();
      default:
        if (!held_.empty() && in_.Between(0, 7) == 0) {
          stream_->CancelRegion(held_.front().memory.get());
          held_.pop_front();
        }
    }
  }

  // Numbers near what is due, so that the deep checks are reached.
  uint64_t Number() { return in_.Yes() ? in_.Between<uint64_t>(0, 40) : in_.Number(); }

  void SendFrame() {
    constexpr auto kNone = static_cast<FrameType>(99);
    constexpr FrameType kTypes[] = {FrameType::kData,   FrameType::kCts,   FrameType::kAck, kNone,
                                    FrameType::kResume, FrameType::kClose, FrameType::kPing};
    FrameHeader h{.type = kTypes[in_.Between(0, 6)]};
    const bool checksummed = in_.Between<uint16_t>(0, 1) != 0;
    h.message = in_.Yes() ? next_message_ : Number();
    if (h.type == FrameType::kData) {
      // Half of them go on with the message that the last one began.
      if (in_.Yes()) total_ = in_.Between<uint64_t>(0, 70000), sent_ = 0;
      h.total = total_;
      h.offset = in_.OneOf<uint64_t>({0, sent_, total_ / 2});
      h.length = in_.OneOf<uint64_t>({total_ - sent_, total_ - h.offset, total_ / 2, Number()});
      sent_ = std::min(total_, h.offset + h.length);
    } else {
      const bool resume = h.type == FrameType::kResume;
      if (resume) h.offset = Number();
      h.total = resume ? epoch_ - in_.Between<uint32_t>(0, 1) : in_.Yes() ? kMaxMessageBytes : Number();
      h.extra = Number();
    }
    std::vector<std::byte> payload;
    if (h.type == FrameType::kData) payload.resize(std::min<uint64_t>(h.length, 70000), std::byte{0x5a});
    if (h.type == FrameType::kData && checksummed) h.flags = kChecksummed, h.checksum = Crc32c(payload);
    FrameBytes bytes = EncodeFrame(h);
    std::vector<std::byte> out(bytes.begin(), bytes.end());
    out.insert(out.end(), payload.begin(), payload.end());
    SendRaw(out);
    if (in_.Yes()) ++next_message_;
  }

  void SendRaw(const std::vector<std::byte>& bytes) {
    if (!bytes.empty()) (void)!send(peer_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  void Post(size_t size) {
    Held held{std::make_unique<std::byte[]>(size), size, nullptr};
    auto posted = stream_->Post({held.memory.get(), size, held.memory.get()}, in_.Yes());
    if (!posted) return held_.clear();
    if (*posted == nullptr) return;
    held.request = *posted;
    held_.push_back(std::move(held));
  }

  void TestAll() {
    for (auto it = held_.begin(); it != held_.end();) {
      uint64_t size = 0;
      auto progress = stream_->Test(*it->request, size);
      if (!progress) return held_.clear();
      if (*progress == Progress::kDone) Check(size <= it->size);
      it = *progress == Progress::kDone ? held_.erase(it) : std::next(it);
    }
  }

  void Attend() {
    stream_->Attend(now_, in_.Yes(), [](const auto&) {});
  }

  void Drain() {
    for (char sink[8192]; recv(peer_.get(), sink, sizeof sink, MSG_DONTWAIT) > 0;) continue;
  }

  Choices in_;
  Counters counters_;
  Fd peer_;
  std::shared_ptr<Kind> stream_;
  std::list<Held> held_;
  uint32_t epoch_ = 0;
  uint64_t next_message_ = 0, total_ = 0, sent_ = 0;
  TimePoint now_{std::chrono::hours(1)};
};

}  // namespace relay::fuzz
