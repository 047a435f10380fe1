// The sending end of a lane from the offer on: of the side that dials.
#pragma once
#include "relay/lane.h"
#include "transport/rdma/hop_offer.h"

namespace relay::transport::rdma {

class DialledLane : public SendLane {
 public:
  // Before the other side is known: for OPEN. Of the path's first link.
  virtual HopOffer offer() const = 0;
  // With the answer of OPENED. Afterwards the neighbour may write.
  virtual Status Connect(const HopOffer& far) = 0;

  // The same with all links between the two nodes, where the lane can use more than the first.
  virtual LaneOffer offers() const { return {.first = offer()}; }
  virtual Status ConnectAll(const LaneOffer& far) { return Connect(far.first); }
};

}  // namespace relay::transport::rdma
