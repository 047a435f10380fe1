#include "comm/opening/arrival.h"

#include "base/log.h"
#include "circuit/offer.h"
#include "comm/opening/near_link.h"
#include "comm/opening/this_build.h"

namespace relay::comm {
namespace {

// What keeps a device from moving the messages is said by both ends: NCCL runs on without it.
std::optional<RdmaRecvEnd> MakeRecvEnd(control::Arrived& arrived, int socket, const Knobs& knobs) {
  if (arrived.device.empty() || arrived.open.offer.empty()) return std::nullopt;
  auto end = knobs.checksum != 0 ? Result<RdmaRecvEnd>(Fail(ErrorCode::kUsage, "NCCL_RELAY_CHECKSUM=1"))
                                 : RdmaRecvEnd::Make(arrived, socket, knobs.hop_timeout);
  const std::string why = end ? end->missing : "path " + arrived.path + " is used without RDMA: " + end.error().what;
  if (!why.empty()) arrived.note += (arrived.note.empty() ? "" : "; ") + why;
  if (!end) return std::nullopt;
  return std::move(*end);
}

}  // namespace

Arrival MakeArrival(const CircuitTools& tools, control::Received received) {
  auto& arrived = std::get<control::Arrived>(received.packet.message);
  const OpenMessage& open = arrived.open;
  const std::string& here = tools.agent.welcome().node_name;
  auto end = MakeRecvEnd(arrived, received.fd.get(), tools.knobs);
  RELAY_INFO("accepted from %s: path %s, %s", open.source_name.c_str(), arrived.path.c_str(),
             end ? end->devices.front()->name().c_str() : "tcp");
  if (end) SayLinks("rdma from " + open.source_name, end->devices);
  tools.aloud.Warn(arrived.note);
  tools.aloud.Warn(BuildDiffers(here, TheBuild(), {open.source_name, open.build, open.plugin}));
  auto circuit = std::make_unique<circuit::Circuit>(transport::AdoptSocket(received.fd.release()), open.name,
                                                    arrived.path, tools.counters);
  circuit->QueueSetup(
      EncodeOpened({.name = open.name,
                    .offer = circuit::EncodeOffer({tools.knobs.eager, end ? end->offer : std::vector<std::byte>()}),
                    .build = TheBuild().build,
                    .plugin = TheBuild().file,
                    .note = arrived.note}));
  Arrival out{
      .circuit = {.circuit = std::move(circuit), .near_link = NearLink(here, open.route, RouteEnd::kDestination)},
      .name = open.name,
      .source = open.source,
      .source_name = open.source_name,
      .source_token = open.source_token,
      .route = open.route};
  if (end) {
    out.circuit.lane = std::move(end->lane);
    out.devices = std::move(end->devices);
  }
  return out;
}

}  // namespace relay::comm
