// Which plugin this is: for the other end of a connection, which compares it with its own.
#pragma once
#include <string>
#include <vector>

namespace relay::comm {

struct ThisBuild {
  std::string
      build;         // "0.1.0-4f1d2c3b5a697887": the version, and the start of the linker's build id where there is one
  std::string file;  // that it was loaded from
};
const ThisBuild& TheBuild();

// A sentence for each kind of library that is loaded twice in this process from different files: two NCCLs, or two of
// this plugin. Each has its own state, and which one a call reaches depends on who calls.
std::vector<std::string> DoubleLibraries();

// A sentence when the other end runs another build, or "".
struct Peer {
  std::string node, build, file;
};
std::string BuildDiffers(const std::string& own_node, const ThisBuild& own, const Peer& peer);

}  // namespace relay::comm
