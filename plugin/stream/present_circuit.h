// The circuit that a stream is on, with the carrier of its messages, or none. What it is called in sentences is the
// last one's name until another takes its place. Guarded by the stream's lock.
#pragma once
#include <memory>
#include <string>

#include "circuit/circuit.h"
#include "stream/carrier.h"

namespace relay::stream {

class PresentCircuit {
 public:
  // After Drop. `near_link`: the one whose hop ends here.
  void Take(std::unique_ptr<circuit::Circuit> circuit, std::unique_ptr<Carrier> carrier, std::string near_link);
  struct Left {
    Status fenced;          // an error: a device may go on writing
    std::string carried{};  // by each device, where there are several; else empty
  };
  // Whatever touches the caller's memory on its behalf ends first.
  Left Drop();

  explicit operator bool() const { return circuit_ != nullptr; }
  // A circuit must have been taken.
  circuit::Circuit& circuit() { return *circuit_; }
  Carrier& carrier() { return *carrier_; }
  uint32_t epoch() const { return circuit_->name().epoch; }
  // Grows whenever something has come or gone.
  uint64_t moved() const { return circuit_->moved_bytes() + carrier_->moved(); }
  // Its hop or a device has failed: what ended it is nothing that the peer said.
  bool broken() const { return circuit_->broken() || carrier_->lane_broken(); }

  // What to wait for; -1 and false where there is none.
  int fd() const { return circuit_ ? circuit_->fd() : -1; }
  int lane_fd() const { return carrier_ ? carrier_->lane_fd() : -1; }
  bool wants_write() const { return circuit_ && circuit_->wants_write(); }

  const std::string& path() const { return path_; }
  // What to look at when it ends like this: how the hop ended tells the cable at this end from a process anywhere on
  // the way.
  std::string AdviceFor(int sys_errno) const;

 private:
  std::unique_ptr<circuit::Circuit> circuit_;
  std::unique_ptr<Carrier> carrier_;
  std::string path_, near_link_;
};

}  // namespace relay::stream
