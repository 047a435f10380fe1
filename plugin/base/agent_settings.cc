#include "base/agent_settings.h"

#include <algorithm>
#include <map>

namespace relay {
namespace {

// A value is one line.
std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

std::map<std::string, std::string, std::less<>> SettingsOf(const Knobs& knobs) {
  return {{"NCCL_RELAY_FABRIC", OneLine(knobs.fabric)},
          {"NCCL_RELAY_HOP_TIMEOUT", SecondsText(knobs.hop_timeout)},
          {"NCCL_RELAY_IFNAME", OneLine(knobs.ifname)},
          {"NCCL_RELAY_KEY_FILE", OneLine(knobs.key_file)},
          {"NCCL_RELAY_PEERS", OneLine(knobs.peers)},
          {"NCCL_RELAY_PORT", std::to_string(knobs.port)},
          {"NCCL_RELAY_RDMA", knobs.rdma == knob::Automatic::kOff ? "off" : "auto"},
          {"NCCL_RELAY_REGISTERED", std::to_string(knobs.registered)},
          {"NCCL_RELAY_STAGING", knobs.staging == knob::Staging::kGpu ? "gpu" : "host"}};
}

std::string SettingText(const std::string& name, const std::string& value) {
  return value.empty() ? name + " unset" : name + "=" + value;
}

}  // namespace

bool AsksForSomething(const Knobs& job) { return SettingsOf(job) != SettingsOf(Knobs()); }

std::string AgentSettingsText(const Knobs& knobs) {
  std::string out;
  for (const auto& [name, value] : SettingsOf(knobs)) out += name + "=" + value + "\n";
  return out;
}

std::vector<Disagreement> DisagreementsOf(const Knobs& job, std::string_view agent) {
  const auto asked = SettingsOf(job), defaults = SettingsOf(Knobs());
  std::vector<Disagreement> out;
  while (!agent.empty()) {
    const std::string_view line = agent.substr(0, agent.find('\n'));
    agent.remove_prefix(std::min(agent.size(), line.size() + 1));
    const size_t equals = line.find('=');
    if (equals == line.npos) continue;
    const auto ours = asked.find(line.substr(0, equals));
    const std::string_view theirs = line.substr(equals + 1);
    if (ours == asked.end() || ours->second == theirs || ours->second == defaults.find(ours->first)->second) continue;
    out.push_back({ours->first, ours->second, std::string(theirs)});
  }
  return out;
}

std::string DisagreementsText(const std::vector<Disagreement>& all) {
  std::string out;
  for (const Disagreement& one : all) {
    out += (out.empty() ? "" : "; ") + SettingText(one.name, one.asked) + " where its agent has " +
           SettingText(one.name, one.actual);
  }
  return out;
}

}  // namespace relay
