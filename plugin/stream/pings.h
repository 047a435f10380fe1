// What this end has to ask the other by PING, and to answer. Guarded by the stream's lock.
#pragma once
#include <cstdint>

#include "circuit/circuit.h"

namespace relay::stream {

class Pings {
 public:
  void Ask() { ask_due_ = true; }
  void Answer() { answer_due_ = true; }
  void OnPing(const FrameHeader& header) {
    if (header.extra == 0) {
      answer_due_ = true;
      asked_bytes_ += kFrameHeaderBytes;
    }
    answers_ += header.extra;
  }
  // Another circuit: nothing was asked over it.
  void Reset() { ask_due_ = answer_due_ = false; }
  void Queue(circuit::Circuit& circuit) {
    if (ask_due_) ask_due_ = !circuit.QueueControl({.type = FrameType::kPing});
    if (answer_due_) answer_due_ = !circuit.QueueControl({.type = FrameType::kPing, .extra = 1});
  }
  // How often the other end has answered.
  uint64_t answers() const { return answers_; }
  // What its questions were long: they show that its packets come, not that ours do.
  uint64_t asked_bytes() const { return asked_bytes_; }

 private:
  bool ask_due_ = false, answer_due_ = false;
  uint64_t answers_ = 0, asked_bytes_ = 0;
};

}  // namespace relay::stream
