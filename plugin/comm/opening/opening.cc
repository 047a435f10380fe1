#include "comm/opening/opening.h"

#include "base/log.h"
#include "circuit/offer.h"
#include "comm/opening/near_link.h"
#include "comm/opening/this_build.h"

namespace relay::comm {
namespace {

tl::unexpected<RefusedMessage> Refused(bool final, RefusedCode code, std::string sentence) {
  return tl::unexpected<RefusedMessage>(RefusedMessage{.final = final, .code = code, .sentence = std::move(sentence)});
}

}  // namespace

Opening::Opening(const CircuitTools& tools, control::Connect connect, std::string node_name)
    : tools_(tools),
      connect_(std::move(connect)),
      node_name_(std::move(node_name)),
      request_(tools_.agent.Connect(connect_)) {}

Opening::~Opening() {
  if (request_ != 0) tools_.agent.Forget(request_);
}

std::optional<Opening::Outcome> Opening::Take() {
  auto outcome = tools_.agent.TakeOutcome(request_);
  if (!outcome) return std::nullopt;
  if (auto* where = std::get_if<control::Prepare>(&outcome->packet.message)) {
    Prepare(*where);
    return std::nullopt;
  }
  request_ = 0;
  if (std::holds_alternative<control::Connected>(outcome->packet.message)) return Open(std::move(*outcome));
  if (auto* failed = std::get_if<control::Failed>(&outcome->packet.message)) {
    return tl::unexpected<RefusedMessage>(std::move(failed->refused));
  }
  return Refused(true, RefusedCode::kProtocol, "the agent answered something else");
}

// The agent has found a path that begins at this device.
void Opening::Prepare(const control::Prepare& where) {
  rdma_.reset();
  if (tools_.knobs.checksum != 0) return tools_.agent.Answer(request_, {{}, "NCCL_RELAY_CHECKSUM=1"});
  auto end = RdmaSendEnd::Make(where, tools_.knobs.hop_timeout);
  if (!end) return tools_.agent.Answer(request_, {{}, end.error().what});
  rdma_ = std::move(*end);
  tools_.agent.Answer(request_, {rdma_->offer(), rdma_->missing()});
}

Opening::Outcome Opening::Open(control::Received received) {
  auto& connected = std::get<control::Connected>(received.packet.message);
  const std::string& here = tools_.agent.welcome().node_name;
  if (connected.opened.name != connect_.name) {
    return Refused(true, RefusedCode::kProtocol, "the agent of " + here + " hands over another circuit than asked for");
  }
  auto offer = circuit::DecodeOffer(connected.opened.offer);
  if (!offer) return Refused(true, RefusedCode::kProtocol, offer.error().what);
  Opened opened{.circuit = {}, .devices = {}, .path = connected.path, .route = std::move(connected.route)};
  if (rdma_ && !offer->rdma.empty()) {
    auto lane = rdma_->Connect(offer->rdma);
    if (!lane) return Refused(false, RefusedCode::kLinkDown, "path " + connected.path + ": " + lane.error().what);
    opened.circuit.lane = std::move(*lane);
    opened.devices = rdma_->devices();
  }
  tools_.aloud.Warn(connected.opened.note);
  tools_.aloud.Warn(connected.note);
  tools_.aloud.Warn(BuildDiffers(here, TheBuild(), {node_name_, connected.opened.build, connected.opened.plugin}));
  RELAY_INFO("connected to %s: path %s, %s", node_name_.c_str(), connected.path.c_str(),
             opened.devices.empty() ? "tcp" : opened.devices.front()->name().c_str());
  SayLinks("rdma to " + node_name_, opened.devices);
  opened.circuit.circuit = std::make_unique<circuit::Circuit>(transport::AdoptSocket(received.fd.release()),
                                                              connect_.name, connected.path, tools_.counters);
  if (tools_.knobs.checksum != 0) opened.circuit.circuit->AddChecksums();
  opened.circuit.eager_bytes = std::min<uint64_t>(offer->eager_bytes, tools_.knobs.eager);
  opened.circuit.near_link = NearLink(here, opened.route, RouteEnd::kSource);
  return opened;
}

}  // namespace relay::comm
