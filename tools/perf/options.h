// What the command line and the launcher say.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "relay/result.h"

namespace relay::perf {

enum class AlgorithmChoice : uint8_t { kAuto, kRing, kTree, kPat };
enum class ProtocolChoice : uint8_t { kAuto, kSimple, kLl, kLl128 };

struct Options {
  bool help = false;
  std::string pattern;  // a collective, "pingpong" or "teardown"
  uint64_t min_bytes = 8, max_bytes = uint64_t{32} << 20, factor = 2;
  int iterations = 20, warmups = 1, checks = 1;
  int root = 0;
  int peer = -1;  // of pingpong; -1: the last rank
  int channels = 2;
  AlgorithmChoice algorithm = AlgorithmChoice::kAuto;
  ProtocolChoice protocol = ProtocolChoice::kAuto;
  int abi = 0;  // 0: the newest that the plugin has
  bool json = false, flush = false;
  bool one_thread = false;  // kernel and progress take turns on one
  uint64_t corrupt = 0;     // 0: nothing
  int timeout = 60;
  int seconds = 0;     // 0: so many repetitions; otherwise so long, each with fresh data, each verified
  bool fresh = false;  // with `seconds`: a communicator for every repetition
  bool gap = false, phases = false;
  double hold = 0, hold_close = 0;  // seconds of rest: when everything is connected, and before it is closed
  double late = 0;                  // seconds by which the first receives are posted late
  double patience = 0;  // seconds in which the plugin may say what is wrong before another rank's word counts
};

extern const char* const kUsage;

Result<Options> ParseOptions(int argc, char** argv);

// What all ranks must have been given alike; the rest may differ.
std::string Fingerprint(const Options& options);

// "8", "64K", "32M", "1G".
Result<uint64_t> ParseSize(const std::string& text);

// As torchrun says it. Without a launcher: one rank.
struct World {
  int rank = 0, ranks = 1, local_rank = 0;
  std::string master_address{}, master_port{};
};
Result<World> ReadWorld(const std::function<const char*(const char*)>& getenv_fn);

}  // namespace relay::perf
