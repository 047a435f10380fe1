// This process's end of a circuit that devices carry: the devices, and the lane on them, from the agent's question on.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "relay/control.h"
#include "transport/rdma/device.h"
#include "transport/rdma/dialled_lane.h"

namespace relay::comm {

using Devices = std::vector<std::shared_ptr<transport::rdma::Device>>;
// "2 links (mlx5_0, mlx5_1)"
std::string LinksText(const Devices& devices);
// A line of its own, where there is more to say than the one of every connection does.
void SayLinks(const std::string& whither, const Devices& devices);

// The connecting side's end: made when the agent has found the path, connected by what OPENED offers.
class RdmaSendEnd {
 public:
  static Result<RdmaSendEnd> Make(const control::Prepare& where, Duration hop_timeout);
  std::vector<std::byte> offer() const;
  // Why parallel links do not serve: a sentence, or empty.
  const std::string& missing() const { return missing_; }
  // `offer`: the neighbour's answer.
  Result<std::unique_ptr<transport::SendLane>> Connect(std::span<const std::byte> offer);
  // That of the path's first link, then, once connected, those of the parallel links in use: one for each stripe.
  const Devices& devices() const { return devices_; }

 private:
  RdmaSendEnd(Devices devices, std::unique_ptr<transport::rdma::DialledLane> lane, std::string missing)
      : devices_(std::move(devices)), lane_(std::move(lane)), missing_(std::move(missing)) {}

  Devices devices_;  // until connected, one for each link, null where it cannot be used
  std::unique_ptr<transport::rdma::DialledLane> lane_;
  std::string missing_;
};

// The accepting side's end: ready as soon as it is there.
struct RdmaRecvEnd {
  // `socket`: of the last hop; its addresses tell the device's addresses on this link.
  static Result<RdmaRecvEnd> Make(const control::Arrived& arrived, int socket, Duration hop_timeout);

  Devices devices;  // one for each stripe of the lane
  std::unique_ptr<transport::RecvLane> lane;
  std::vector<std::byte> offer;
  std::string missing;  // why parallel links do not serve: a sentence, or empty
};

}  // namespace relay::comm
