// The command line and the environment of one rank. Read once at the start.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace perf {

struct Options {
  std::string collective;
  size_t min_bytes = 0, max_bytes = 0;
  size_t factor = 2;
  int iterations = 20, warmups = 1;
  int checks = 1;                    // verified repetitions per row; 0: no data is verified
  int root = 0;                      // of broadcast and reduce; the rank that aborts
  int communicators = 1;             // made, used and destroyed one after the other
  int at_once = 4;                   // communicators of `many`
  std::vector<int> colors = {0, 1};  // of `split`, by rank, from the start again when they run out
  int timeout = 120;                 // seconds that any single wait may take
  double hold = 0;                   // seconds of silence before each repetition, or before an abort
  bool register_buffers = false;
  bool blocking = true;  // communicators whose calls wait
  bool json = false;
  bool exit_after_last = false;
};

struct Environment {
  int rank = 0, ranks = 1, local_rank = 0;
  std::string master_address = "127.0.0.1", master_port;
};

// Both print a sentence and exit(2) on nonsense; --help prints the usage and exits 0.
Options ParseOptions(int argc, char** argv);
Environment ReadEnvironment();

std::optional<size_t> ParseSize(const std::string& text);  // "8", "64K", "32M", "1G"

}  // namespace perf
