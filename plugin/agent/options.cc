#include "agent/options.h"

#include <charconv>
#include <string_view>

namespace relay::agent {

const char kHelp[] =
    "nccl-relay agent [--auto] [--status-fd N] [--foreground]\n"
    "\n"
    "Serves this node: dials and accepts circuits for its processes and relays for its neighbours.\n"
    "NCCL_RELAY_FABRIC names the declared fabric. Stays in the foreground and logs to standard error.\n"
    "\n"
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
