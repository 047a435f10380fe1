// This process's end of a circuit that devices carry: the device, and the lane on it, from the agent's question on.
#pragma once
#include <memory>
#include <vector>

#include "base/clock.h"
#include "relay/control.h"
#include "transport/rdma/device.h"
#include "transport/rdma/dialled_lane.h"

namespace relay::comm {

// Of the connecting side: made when the agent has found the path, connected by what OPENED offers.
class RdmaSendEnd {
 public:
  static Result<RdmaSendEnd> Make(const control::Prepare& where, Duration hop_timeout);
  std::vector<std::byte> offer() const;
  // `offer`: the neighbour's answer.
  Result<std::unique_ptr<transport::SendLane>> Connect(std::span<const std::byte> offer);
  const std::shared_ptr<transport::rdma::Device>& device() const { return device_; }

 private:
  RdmaSendEnd(std::shared_ptr<transport::rdma::Device> device, std::unique_ptr<transport::rdma::DialledLane> lane)
      : device_(std::move(device)), lane_(std::move(lane)) {}

  std::shared_ptr<transport::rdma::Device> device_;
  std::unique_ptr<transport::rdma::DialledLane> lane_;
};

// Of the accepting side: ready as soon as it is there.
struct RdmaRecvEnd {
  // `socket`: of the last hop; its addresses tell the device's addresses on this link.
  static Result<RdmaRecvEnd> Make(const control::Arrived& arrived, int socket, Duration hop_timeout);

  std::shared_ptr<transport::rdma::Device> device;
  std::unique_ptr<transport::RecvLane> lane;
  std::vector<std::byte> offer;
};

}  // namespace relay::comm
