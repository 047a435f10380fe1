// What an agent is started with: the environment, over the file that --config names, over the defaults.
#pragma once
#include <string>

#include "control/socket.h"
#include "relay/knobs.h"

namespace relay::agent {

struct Settings {
  Knobs knobs;
  std::string metrics;  // "127.0.0.1:9417": where /metrics and /healthz answer; empty: nowhere
  control::Users users = control::Users::kOwnAndRoot;  // whose processes are served
  Duration drain_timeout = std::chrono::seconds(30);   // how long circuits that pass here may take to end at SIGTERM
};

// `config` is the path of an agent.json (docs/operating.md), or empty. Every error names the file, the line, and the
// reason.
Result<Settings> LoadSettings(const std::string& config);

// The whole file, bounded.
Result<std::string> ReadFile(const std::string& path, const std::string& what);

}  // namespace relay::agent
