#include "agent/node/link_history.h"

#include <unordered_set>

namespace relay::agent {

void LinkHistory::Note(const fabric::LinkName& name, Event event) {
  Forget(name);
  if (events_.size() == kMost) {
    events_.erase(in_order_.begin()->second);
    in_order_.erase(in_order_.begin());
  }
  in_order_[next_] = name;
  events_[name] = {std::move(event), next_};
  ++next_;
}

void LinkHistory::Forget(const fabric::LinkName& name) {
  const auto known = events_.find(name);
  if (known == events_.end()) return;
  in_order_.erase(known->second.serial);
  events_.erase(known);
}

const LinkHistory::Event* LinkHistory::Find(const fabric::LinkName& name) const {
  const auto known = events_.find(name);
  return known == events_.end() ? nullptr : &known->second.event;
}

const LinkHistory::Event* LinkHistory::NewestAtTheEdge(const fabric::Fabric& fabric) const {
  std::unordered_set<NodeId> here;
  for (const fabric::Node& node : fabric.nodes) here.insert(node.id);
  for (auto it = in_order_.rbegin(); it != in_order_.rend(); ++it) {
    if (here.contains(it->second.a) != here.contains(it->second.b)) return Find(it->second);
  }
  return nullptr;
}

std::string LossText(const Loss& loss, const std::string& far) {
  const std::string silent = loss.silence > Duration::zero() ? " has been silent for " + SecondsText(loss.silence)
                                                             : " is silent (" + loss.why + ")";
  switch (loss.cause) {
    case Loss::Cause::kPort:
      return loss.why.ends_with("is gone") ? loss.why : "no carrier";
    case Loss::Cause::kHostSilent:
      return "node " + far + silent;
    case Loss::Cause::kAgentSilent:
      return "the agent of " + far + silent + ", but its host answers";
    case Loss::Cause::kEnded:
      return "the agent of " + far + " ended";
    case Loss::Cause::kOther:
      break;
  }
  return loss.why;
}

std::string DownText(const LinkHistory::Event& event) { return "link " + event.link + " is down: " + event.what; }

std::string LastText(const LinkHistory::Event* event, TimePoint now) {
  if (event == nullptr) return "";
  const auto ago = std::chrono::duration_cast<std::chrono::seconds>(now - event->when).count();
  return "; the last of link " + event->link.substr(0, event->link.find(" (")) + ": " + event->what + ", " +
         std::to_string(ago) + " s ago";
}

}  // namespace relay::agent
