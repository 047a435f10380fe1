// Which hellos have been said before. Pure.
//
// The sequence of a node grows with every hello, whatever the port; but hellos by different ports, or the same one over
// two families, overtake each other on their ways. So sequences must grow on every single way (the sender's port, this
// node's port, the address that it came from), and no way may lag far behind the newest of that sender's port.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "agent/discovery/hello.h"

namespace relay::agent {

class ReplayGuard {
 public:
  static constexpr size_t kMostNodes = 4096, kMostPorts = 128, kMostWays = 128;
  static constexpr uint64_t kMostLag = 64;
  // A node that has said nothing for so long is forgotten, so that one whose clock was set back, or whose clone is
  // gone, is heard again. What is replayed after that finds nobody who names it back.
  static constexpr Duration kMemory = std::chrono::seconds(60);

  // `way`: where it came in and from which address. False: replayed, or no room is left to tell.
  bool Accept(const Hello& hello, const std::string& way, TimePoint now);

 private:
  struct FarPort {
    uint64_t newest = 0;
    std::map<std::string, uint64_t> ways;  // -> newest sequence
  };
  struct Far {
    uint64_t incarnation = 0;
    TimePoint heard{};
    std::map<std::string, FarPort> ports;
  };
  bool MakeRoom(TimePoint now);

  std::map<NodeId, Far> nodes_;
};

}  // namespace relay::agent
