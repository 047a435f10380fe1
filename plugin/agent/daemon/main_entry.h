// The program that an agent is: "nccl-relay agent", or the plugin's own file run by the dynamic loader.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "relay/result.h"

namespace relay::agent {

// Serves /metrics and /healthz at an address as long as the result lives, asking the agent over its control socket.
using StartMetrics =
    std::function<Result<std::shared_ptr<void>>(const std::string& address, const std::string& socket)>;

// argv[0] is ignored. Returns the exit status. `start_metrics` may be empty.
int Main(int argc, char** argv, const StartMetrics& start_metrics = {});

}  // namespace relay::agent
