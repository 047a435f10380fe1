#include "lab/environment.h"

#include <algorithm>

namespace relay::lab {
namespace {

bool Names(std::string_view entry, std::string_view name) {
  return entry.size() > name.size() && entry.substr(0, name.size()) == name && entry[name.size()] == '=';
}

}  // namespace

Environment::Environment(const char* const* inherited) {
  for (; *inherited; ++inherited) list_.emplace_back(*inherited);
}

void Environment::Set(std::string_view name, std::string_view value) {
  Unset(name);
  list_.push_back(std::string(name) + "=" + std::string(value));
}

void Environment::SetUnlessSet(std::string_view name, std::string_view value) {
  if (!Get(name)) Set(name, value);
}

void Environment::Unset(std::string_view name) {
  list_.erase(std::remove_if(list_.begin(), list_.end(), [&](const std::string& entry) { return Names(entry, name); }),
              list_.end());
}

void Environment::Apply(std::string_view assignment) {
  const size_t equals = std::min(assignment.find('='), assignment.size());
  const std::string_view value = assignment.substr(std::min(equals + 1, assignment.size()));
  if (value.empty()) {
    Unset(assignment.substr(0, equals));
  } else {
    Set(assignment.substr(0, equals), value);
  }
}

std::optional<std::string> Environment::Get(std::string_view name) const {
  for (const std::string& entry : list_) {
    if (Names(entry, name)) return entry.substr(name.size() + 1);
  }
  return std::nullopt;
}

void DescribeNode(Environment& environment, Control control, const NodeFacts& node) {
  environment.SetUnlessSet("NCCL_NET_PLUGIN", node.plugin);
  environment.SetUnlessSet("NCCL_NET", "Relay");
  // NCCL takes equal ids for one host.
  environment.Set("NCCL_HOSTID", node.name);
  if (control == Control::kNone) {
    environment.Unset("NCCL_SOCKET_IFNAME");
  } else {
    environment.Set("NCCL_SOCKET_IFNAME", std::string("=") + kControlInterface);
  }
  if (node.fabric_file.empty()) {
    environment.Unset("NCCL_RELAY_FABRIC");
  } else {
    environment.Set("NCCL_RELAY_FABRIC", node.fabric_file);
  }
  environment.Set("NCCL_RELAY_SOCKET", "@nccl-relay");
  environment.Set("NCCL_RELAY_AGENT_LOG", node.agent_log);
  if (node.no_auto_agent) environment.Set("NCCL_RELAY_AGENT", "off");
}

void DescribeMaster(Environment& environment, std::string_view master_address) {
  environment.Set("MASTER_ADDR", master_address);
  environment.Set("MASTER_PORT", "29500");
}

void DescribeRank(Environment& environment, const RankFacts& rank) {
  environment.Set("RANK", std::to_string(rank.rank));
  environment.Set("WORLD_SIZE", std::to_string(rank.world));
  environment.Set("LOCAL_RANK", std::to_string(rank.local));
  environment.Set("LOCAL_WORLD_SIZE", std::to_string(rank.local_world));
}

}  // namespace relay::lab
