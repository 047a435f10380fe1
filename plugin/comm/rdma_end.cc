#include "comm/rdma_end.h"

#include <sys/socket.h>

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

}  // namespace

Result<RdmaSendEnd> RdmaSendEnd::Make(const control::Prepare& where, Duration hop_timeout) {
  auto device = rdma::Device::Open(where.device, static_cast<uint8_t>(where.port));
  if (!device) return tl::unexpected(std::move(device).error());
  auto end = [&](auto lane) -> Result<RdmaSendEnd> {
    if (!lane) return tl::unexpected(std::move(lane).error());
    return RdmaSendEnd(*device, std::move(*lane));
  };
  return where.relays == 0 ? end(rdma::DirectSendLane::Make(*device, hop_timeout))
                           : end(rdma::RelayedSendLane::Make(*device, hop_timeout));
}

std::vector<std::byte> RdmaSendEnd::offer() const { return rdma::EncodeHopOffer(lane_->offer()); }

Result<std::unique_ptr<transport::SendLane>> RdmaSendEnd::Connect(std::span<const std::byte> offer) {
  auto far = rdma::DecodeHopOffer(offer);
  if (!far) return tl::unexpected(std::move(far).error());
  RELAY_TRY(lane_->Connect(*far));
  return std::unique_ptr<transport::SendLane>(std::move(lane_));
}

Result<RdmaRecvEnd> RdmaRecvEnd::Make(const control::Arrived& arrived, int socket, Duration hop_timeout) {
  auto far = rdma::DecodeHopOffer(arrived.open.offer);
  if (!far) return tl::unexpected(std::move(far).error());
  auto device = rdma::Device::Open(arrived.device, static_cast<uint8_t>(arrived.device_port));
  if (!device) return tl::unexpected(std::move(device).error());
  const rdma::DirectRecvLane::Addresses addresses{AddressOf(socket, getsockname), AddressOf(socket, getpeername)};
  auto end = [&](auto made) -> Result<RdmaRecvEnd> {
    if (!made) return tl::unexpected(std::move(made).error());
    auto answer = rdma::EncodeHopOffer((*made)->offer());
    return RdmaRecvEnd{*device, std::move(*made), std::move(answer)};
  };
  return arrived.open.route.size() <= 1 ? end(rdma::DirectRecvLane::Make(*device, *far, addresses, hop_timeout))
                                        : end(rdma::RelayedRecvLane::Make(*device, *far, addresses, hop_timeout));
}

}  // namespace relay::comm
