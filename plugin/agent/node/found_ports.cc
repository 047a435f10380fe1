#include "agent/node/found_ports.h"

#include <algorithm>

#include "base/log.h"

namespace relay::agent {
namespace {

// How often it is looked whether verbs devices came or went, at a time when this agent is awake anyway.
constexpr Duration kVerbsPause = std::chrono::seconds(4);

}  // namespace

void FoundPorts::Found(const std::vector<fabric::Port>& ports) {
  found_ = ports;
  LookAgain();
}

void FoundPorts::LookAgain() {
  summary_ = VerbsSummary(node_.verbs_roots);
  devices_ = summary_.empty() ? VerbsPorts() : ReadVerbs(node_);
  ports_ = found_;
  std::vector<std::string> interfaces;
  for (const fabric::Port& port : ports_) interfaces.push_back(port.name);
  verbs_ = VerbsBehind(node_, devices_, ports_, interfaces);
  for (size_t i = 0; i < ports_.size(); ++i) {
    if (!verbs_[i].port) continue;
    ports_[i].kind = fabric::PortKind::kRdma;
    ports_[i].infiniband = verbs_[i].port->infiniband;
    if (ports_[i].speed_mbit == 0) ports_[i].speed_mbit = verbs_[i].speed_mbit;
  }
}

bool FoundPorts::Outdated(TimePoint now) {
  if (now < due_) return false;
  due_ = now + kVerbsPause;
  return VerbsSummary(node_.verbs_roots) != summary_;
}

void FoundPorts::Say(bool for_good) {
  for (size_t i = 0; i < ports_.size(); ++i) {
    if (!verbs_[i].port && !for_good) continue;
    std::string& told = told_[ports_[i].name];
    const std::string text = VerbsText(ports_[i].name, verbs_[i]);
    if (text == told) continue;
    const bool lost = told.starts_with(ports_[i].name + " is rdma");
    told = text;
    if (text.empty()) {
      if (lost) RELAY_WARN("%s is tcp: its RDMA device is gone", ports_[i].name.c_str());
    } else if (verbs_[i].port || (!lost && (verbs_[i].doubtful || !node_.rdma))) {
      RELAY_INFO("%s", text.c_str());
    } else {
      RELAY_WARN("%s", text.c_str());
    }
  }
}

std::vector<PortVerbs> FoundPorts::VerbsOf(const std::vector<fabric::Port>& order) const {
  std::vector<PortVerbs> out;
  for (const fabric::Port& port : order) {
    const auto own =
        std::find_if(ports_.begin(), ports_.end(), [&](const fabric::Port& p) { return p.name == port.name; });
    out.push_back(own == ports_.end() ? PortVerbs{} : verbs_[static_cast<size_t>(own - ports_.begin())]);
  }
  return out;
}

std::vector<std::string> FoundPorts::Describe() const {
  std::vector<std::string> out;
  for (size_t i = 0; i < ports_.size(); ++i) out.push_back(VerbsText(ports_[i].name, verbs_[i]));
  for (const std::string& port : devices_.WithoutInterface()) out.push_back("not used: " + port);
  std::erase(out, "");
  return out;
}

}  // namespace relay::agent
