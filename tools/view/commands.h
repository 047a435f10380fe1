// "nccl-relay status", "fabric", "explain" and "top". Each prints to standard output, complains to standard error and
// returns the exit status: 0; 1 when the agent cannot be asked or there is no path; 2 for wrong arguments.
#pragma once
#include <cstdint>
#include <string>

namespace relay::tools {

int Status(bool json);

enum class FabricFormat : uint8_t {
  kText,  // a drawing, with what flows now
  kJson,  // a declaration, as NCCL_RELAY_FABRIC takes it
  kLive,  // {"fabric": the declaration, "links": [...], "paths": [...], "silent": [...]}: what flows now
  kSvg,   // a picture, with what flows now
};
int Fabric(FabricFormat format);

int Explain(const std::string& from, const std::string& to, bool json);

struct TopOptions {
  bool json = false;    // one line per interval
  double interval = 1;  // seconds
  uint64_t count = 0;   // intervals; 0: until q, ctrl-C or the end of the terminal
};
int Top(const TopOptions& options);

}  // namespace relay::tools
