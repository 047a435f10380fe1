// The arguments of "nccl-relay agent".
#pragma once
#include <string>

#include "relay/result.h"

namespace relay::agent {

struct Arguments {
  bool auto_started = false;  // by a plugin: leaves its starter's side, ends when idle
  bool foreground = false;    // stays where it was started
  bool help = false;
  std::string config;  // agent.json; empty: the environment alone
  int status_fd = -1;  // where to say "ready", or why not
};

// argv[0] is ignored.
Result<Arguments> ParseArguments(int argc, char** argv);

extern const char kHelp[];

}  // namespace relay::agent
