#include "agent/daemon/options.h"

#include <charconv>
#include <string_view>

namespace relay::agent {

const char kHelp[] =
    "nccl-relay agent [--config FILE] [--auto] [--status-fd N] [--foreground]\n"
    "\n"
    "Serves this node: finds its neighbours, dials and accepts circuits for its processes and relays for others.\n"
    "NCCL_RELAY_FABRIC names a declared fabric; without it the fabric is discovered. Stays in the foreground and logs\n"
    "to standard error. SIGHUP reads the settings anew, SIGTERM ends when no circuit passes here any more.\n"
    "\n"
    "  --config FILE   settings of this agent (docs/operating.md); the environment goes before them\n"
    "  --auto          as a plugin starts it: in the background, ends when idle for NCCL_RELAY_LINGER\n"
    "  --foreground    with --auto: stay in the foreground\n"
    "  --status-fd N   write \"ready\", or why not, to this descriptor and close it\n";

Result<Arguments> ParseArguments(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i < argc; ++i) {
    std::string_view argument = argv[i];
    if (argument == "--auto") {
      out.auto_started = true;
    } else if (argument == "--foreground") {
      out.foreground = true;
    } else if (argument == "--help" || argument == "-h") {
      out.help = true;
    } else if (argument == "--config" && i + 1 < argc) {
      out.config = argv[++i];
    } else if (argument == "--status-fd" && i + 1 < argc) {
      std::string_view number = argv[++i];
      auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), out.status_fd);
      bool good = error == std::errc() && end == number.data() + number.size() && out.status_fd > 2;
      if (!good) return Fail(ErrorCode::kUsage, "--status-fd wants a descriptor above 2, not " + std::string(number));
    } else {
      return Fail(ErrorCode::kUsage, "nccl-relay agent does not know " + std::string(argument) + "; see --help");
    }
  }
  return out;
}

}  // namespace relay::agent
