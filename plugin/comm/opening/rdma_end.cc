#include "comm/opening/rdma_end.h"

#include <sys/socket.h>

#include "base/log.h"
#include "transport/rdma/direct_recv_lane.h"
#include "transport/rdma/relayed_recv_lane.h"
#include "transport/rdma/relayed_send_lane.h"

namespace relay::comm {
namespace {

namespace rdma = transport::rdma;

std::optional<SocketAddress> AddressOf(int fd, int (*ask)(int, sockaddr*, socklen_t*)) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (ask(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return std::nullopt;
  if (storage.ss_family != AF_INET && storage.ss_family != AF_INET6) return std::nullopt;
  return SocketAddress::From(reinterpret_cast<sockaddr*>(&storage));
}

// The devices behind the links of a path, null where one cannot be opened; the first must be.
struct OpenedDevices {
  Devices devices;
  std::string missing;
};

Result<OpenedDevices> OpenDevices(const std::string& first, uint16_t port,
                                  const std::vector<control::ParallelPort>& parallel) {
  auto device = rdma::Device::Open(first, static_cast<uint8_t>(port));
  RELAY_TRY(device);
  OpenedDevices out{{std::move(*device)}, {}};
  for (const control::ParallelPort& other : parallel) {
    out.devices.push_back(nullptr);
    if (other.device.empty()) continue;
    auto opened = rdma::Device::Open(other.device, static_cast<uint8_t>(other.port));
    if (opened) {
      out.devices.back() = std::move(*opened);
    } else {
      rdma::AddMissing(out.missing, opened.error().what);
    }
  }
  return out;
}

// Those of the links that both sides use.
void KeepUsed(Devices& devices, const rdma::LaneOffer& answer) {
  for (size_t i = devices.size(); i-- > 1;) {
    if (i > answer.parallel.size() || !answer.parallel[i - 1]) devices.erase(devices.begin() + static_cast<long>(i));
  }
}

std::string Joined(std::string sentence, const std::string& other) {
  return sentence + (sentence.empty() || other.empty() ? "" : "; ") + other;
}

Result<RdmaRecvEnd> MakeDirectRecvEnd(const control::Arrived& arrived, const rdma::LaneOffer& far, OpenedDevices opened,
                                      const rdma::DirectRecvLane::Addresses& of_socket, Duration hop_timeout) {
  std::vector<rdma::DirectRecvLane::Link> links;
  for (size_t i = 0; i < opened.devices.size(); ++i) {
    links.push_back({opened.devices[i], of_socket});
    if (i == 0) continue;
    const auto& known = arrived.parallel[i - 1].addresses;
    links[i].addresses =
        known.size() == 2 ? rdma::DirectRecvLane::Addresses{known[0], known[1]} : rdma::DirectRecvLane::Addresses{};
  }
  auto lane = rdma::DirectRecvLane::Make(links, far, hop_timeout);
  RELAY_TRY(lane);
  KeepUsed(opened.devices, (*lane)->offers());
  auto answer = rdma::EncodeLaneOffer((*lane)->offers());
  std::string missing = Joined(std::move(opened.missing), (*lane)->missing());
  return RdmaRecvEnd{std::move(opened.devices), std::move(*lane), std::move(answer), std::move(missing)};
}

}  // namespace

std::string LinksText(const Devices& devices) {
  std::string out = std::to_string(devices.size()) + " links (";
  for (size_t i = 0; i < devices.size(); ++i) out += (i == 0 ? "" : ", ") + devices[i]->name();
  return out + ")";
}

void SayLinks(const std::string& whither, const Devices& devices) {
  if (devices.size() > 1) RELAY_INFO("%s over %s", whither.c_str(), LinksText(devices).c_str());
}

Result<RdmaSendEnd> RdmaSendEnd::Make(const control::Prepare& where, Duration hop_timeout) {
  auto opened = OpenDevices(where.device, where.port, where.parallel);
  RELAY_TRY(opened);
  if (where.relays != 0) {
    auto lane = rdma::RelayedSendLane::Make(opened->devices.front(), hop_timeout);
    RELAY_TRY(lane);
    return RdmaSendEnd({opened->devices.front()}, std::move(*lane), {});
  }
  std::vector<rdma::DirectSendLane::Link> links;
  for (size_t i = 0; i < opened->devices.size(); ++i) {
    links.push_back({opened->devices[i], i == 0 ? where.speed_mbit : where.parallel[i - 1].speed_mbit});
  }
  auto lane = rdma::DirectSendLane::Make(links, hop_timeout);
  RELAY_TRY(lane);
  std::string missing = Joined(std::move(opened->missing), (*lane)->missing());
  return RdmaSendEnd(std::move(opened->devices), std::move(*lane), std::move(missing));
}

std::vector<std::byte> RdmaSendEnd::offer() const { return rdma::EncodeLaneOffer(lane_->offers()); }

Result<std::unique_ptr<transport::SendLane>> RdmaSendEnd::Connect(std::span<const std::byte> offer) {
  auto far = rdma::DecodeLaneOffer(offer);
  RELAY_TRY(far);
  RELAY_TRY(lane_->ConnectAll(*far));
  KeepUsed(devices_, *far);
  return std::unique_ptr<transport::SendLane>(std::move(lane_));
}

Result<RdmaRecvEnd> RdmaRecvEnd::Make(const control::Arrived& arrived, int socket, Duration hop_timeout) {
  const rdma::DirectRecvLane::Addresses addresses{AddressOf(socket, getsockname), AddressOf(socket, getpeername)};
  auto opened = OpenDevices(arrived.device, arrived.device_port, arrived.parallel);
  RELAY_TRY(opened);
  if (arrived.open.route.size() <= 1) {
    auto far = rdma::DecodeLaneOffer(arrived.open.offer);
    RELAY_TRY(far);
    return MakeDirectRecvEnd(arrived, *far, std::move(*opened), addresses, hop_timeout);
  }
  auto far = rdma::DecodeHopOffer(arrived.open.offer);
  RELAY_TRY(far);
  auto lane = rdma::RelayedRecvLane::Make(opened->devices.front(), *far, addresses, hop_timeout);
  RELAY_TRY(lane);
  auto answer = rdma::EncodeHopOffer((*lane)->offer());
  return RdmaRecvEnd{{opened->devices.front()}, std::move(*lane), std::move(answer), {}};
}

}  // namespace relay::comm
