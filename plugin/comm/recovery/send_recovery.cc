#include "comm/recovery/send_recovery.h"

#include "base/log.h"

namespace relay::comm {

SendRecovery::SendRecovery(const CircuitTools& tools, stream::SendStream& sender,
                           std::shared_ptr<Registrations> registrations, control::Connect connect,
                           std::string node_name, std::vector<RouteHop> route)
    : tools_(tools),
      sender_(sender),
      registrations_(std::move(registrations)),
      connect_(std::move(connect)),
      node_name_(std::move(node_name)),
      route_(std::move(route)),
      inquiry_(tools.agent, connect_) {
  Watch();
}

void SendRecovery::Watch() {
  if (route_.empty()) return;  // to itself: no link can go
  tools_.agent.Watch({connect_.name.connection, connect_.node, /*source=*/true, route_});
}

void SendRecovery::Tend(TimePoint now, const Need& need) {
  if (need.ended) return Release();
  if (auto sentence = tools_.agent.TakeLinkLost(connect_.name.connection)) sender_.Warn(*sentence);
  better_ = tools_.agent.TakeBetterPath(connect_.name.connection) || better_;
  const bool opening = opening_ != nullptr;
  if (opening) TakeOpened(now, need);
  if (opening && !opening_) return;  // it is attended to again, with what has changed
  if (need.circuit || need.doubt) {
    better_ = false;
    if (!opening_ && pace_.Due(now)) {
      pace_.Tried(now);
      Open(control::Purpose::kOpen);
      if (!need.circuit) sender_.Replacing(true);
    }
    Ask(now, need);
  } else {
    inquiry_.Stop();
    if (!opening_ && std::exchange(better_, false)) {
      Open(control::Purpose::kOpenBetter);
      sender_.Replacing(true);
    }
  }
}

// Every attempt has an epoch of its own: whatever is left of an earlier one is told apart.
void SendRecovery::Open(control::Purpose purpose) {
  ++connect_.name.epoch;
  connect_.purpose = purpose;
  connect_.avoid = route_;
  opening_ = std::make_unique<Opening>(tools_, connect_, node_name_);
}

void SendRecovery::TakeOpened(TimePoint now, const Need& need) {
  auto outcome = opening_->Take();
  if (!outcome) return;
  opening_.reset();
  sender_.Replacing(false);
  if (*outcome) {
    Adopt(std::move(**outcome));
  } else if (connect_.purpose == control::Purpose::kOpen) {
    OnRefused(outcome->error(), now, need);
  }
}

void SendRecovery::Adopt(Opening::Opened opened) {
  if (Status prepared = registrations_->Prepare(opened.devices); !prepared) {
    return sender_.NoteTrouble("path " + opened.path + ": " + prepared.error().what);
  }
  RELAY_INFO("connection with %s goes on over %s", node_name_.c_str(), opened.path.c_str());
  Add(tools_.counters.circuits_resumed);
  route_ = std::move(opened.route);
  unanswered_ = false;
  pace_.Reset();
  inquiry_.Stop();
  opened.circuit.on_taken = [this] { registrations_->Move(); };
  sender_.Adopt(std::move(opened.circuit));
  registrations_->DropFormer();
  Watch();
}

void SendRecovery::OnRefused(const RefusedMessage& refused, TimePoint now, const Need& need) {
  unanswered_ = refused.code == RefusedCode::kTimeout;
  const bool gone = absence_.OnRefused(refused, {need.hung_up, route_.size() == 1}, now);
  if (gone || refused.code == RefusedCode::kOwnerGone)
    return sender_.PeerGone("the peer has ended: " + refused.sentence);
  sender_.NoteTrouble(refused.sentence);
  if (refused.final) sender_.GiveUp({ErrorCode::kNoPath, 0, "no other way: " + refused.sentence});
}

// A peer that lives and only does not answer is waited for; one to which no way leads is not.
void SendRecovery::Ask(TimePoint now, const Need& need) {
  if (need.waiting) inquiry_.Go(now);
  const auto answer = inquiry_.Take();
  if (!answer) return;
  if (answer->code == RefusedCode::kOwnerGone) return sender_.PeerGone("the peer has ended: " + answer->sentence);
  if (answer->code == RefusedCode::kOwnerLives && (opening_ || unanswered_)) sender_.PeerLives();
}

void SendRecovery::Release() {
  if (std::exchange(released_, true)) return;
  opening_.reset();
  inquiry_.Stop();
  tools_.agent.Unwatch(connect_.name.connection);
  tools_.agent.Unregister(connect_.source_token);
}

}  // namespace relay::comm
