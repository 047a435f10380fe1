// The steps of which NCCL's algorithms consist: receive, reduce, copy, send through the buffers of a channel's
// connections, flow-controlled by head and tail counters and by the fifo through which the proxy threads learn sizes.
// One object serves one work item on one fiber.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "emulation/block.h"
#include "emulation/fifo.h"
#include "emulation/reduce.h"

namespace fakecuda {

class Primitives {
 public:
  struct Options {
    int protocol;
    int slices = 1;           // of a chunk; a slice is what one message carries
    int slice_steps = 1;      // slots that a slice takes
    size_t step_bytes = 0;    // 0: a slot of the Simple protocol
    int connector = 0;        // 0 collectives, 1 send/recv
    bool registered = false;  // the net may use the user buffers directly
  };

  // Negative ranks in `receive_from` and `send_to` are absent peers.
  struct Peers {
    std::vector<int> receive_from, send_to;
  };

  struct Buffers {
    void *input, *output;
  };

  Primitives(Block& block, const Peers& peers, Buffers buffers, Reducer reducer, uint64_t argument, Options options);
  // Waits for zero-copy sends, so it may throw KernelAborted.
  ~Primitives() noexcept(false);
  Primitives(const Primitives&) = delete;
  Primitives& operator=(const Primitives&) = delete;

  // Positions and counts are in elements; a count below zero means nothing, but keeps the steps of all ranks equal.
  void Send(ssize_t input, ssize_t count) { Run({.send = true, .from = kInput, .input = input}, count); }
  void Recv(ssize_t output, ssize_t count) { Run({.receive = true, .to = kOutput, .output = output}, count); }
  void CopySend(ssize_t input, ssize_t output, ssize_t count) {
    Run({.send = true, .from = kInput, .to = kOutput, .input = input, .output = output}, count);
  }
  void RecvCopySend(ssize_t output, ssize_t count) {
    Run({.receive = true, .send = true, .to = kOutput, .output = output}, count);
  }
  void RecvReduceSend(ssize_t input, ssize_t count) {
    Run({.receive = true, .send = true, .from = kInput, .input = input}, count);
  }
  void RecvReduceCopy(ssize_t input, ssize_t output, ssize_t count) {
    Run({.receive = true, .from = kInput, .to = kOutput, .input = input, .output = output, .last = true}, count);
  }
  void RecvReduceCopySend(ssize_t input, ssize_t output, ssize_t count) {
    Run({.receive = true, .send = true, .from = kInput, .to = kOutput, .input = input, .output = output, .last = true},
        count);
  }

 private:
  enum Place { kNowhere, kInput, kOutput };

  struct Step {
    bool receive = false, send = false;
    Place from = kNowhere, to = kNowhere;
    ssize_t input = 0, output = 0;
    bool last = false;  // this rank finishes the reduction
  };

  // A step with its addresses found.
  struct Move {
    bool receive, send;
    char *source, *destination;
    char* registered;  // where these bytes are in a registered receive buffer
    size_t count;
    Reduction how;
  };

  struct Side {  // one direction of one connection
    Connection* connection;
    uint64_t step;
    uint64_t *tail, *head;
    Fifo fifo;
    char* buffer;
    size_t step_bytes;
    bool registered;
  };

  void AddSide(std::vector<Side>& sides, Connection& connection, bool receives);
  char* SlotOf(const Side& side) const;
  void WaitForRoom(const Side& side, int steps);

  void Run(const Step& step, ssize_t count);
  void RunSimple(const Move& move);
  void RunLL(const Move& move);
  void FinishLLSend(Side& side, size_t lines);
  void RunLL128(const Move& move);

  Block& block_;
  std::vector<Side> receives_, sends_;
  char *input_, *output_;
  Reducer reducer_;
  uint64_t argument_;
  Options options_;
  size_t largest_slice_;  // elements
};

}  // namespace fakecuda
