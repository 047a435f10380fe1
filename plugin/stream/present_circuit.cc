#include "stream/present_circuit.h"

#include <cerrno>
#include <utility>

namespace relay::stream {

void PresentCircuit::Take(std::unique_ptr<circuit::Circuit> circuit, std::unique_ptr<Carrier> carrier,
                          std::string near_link) {
  circuit_ = std::move(circuit);
  carrier_ = std::move(carrier);
  path_ = circuit_->path();
  near_link_ = std::move(near_link);
}

PresentCircuit::Left PresentCircuit::Drop() {
  Left left;
  if (carrier_) {
    left.fenced = carrier_->Fence();
    left.carried = carrier_->Summary();
  }
  carrier_.reset();
  circuit_.reset();
  return left;
}

std::string PresentCircuit::AdviceFor(int sys_errno) const {
  switch (sys_errno) {
    case ETIMEDOUT:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case ENODEV:
      return ": check the cable of link " + near_link_ + " and the node at its other end";
    case ENOTCONN:
    case ECONNRESET:
    case EPIPE:
      return ": the peer or an agent on the way has ended, see the logs of these nodes";
    default:  // not the hop's
      return {};
  }
}

}  // namespace relay::stream
