// What queue pairs of one of a node's ports are made on.
#pragma once
#include <cstdint>
#include <string>

namespace relay::agent {

struct VerbsPort {
  std::string device;       // "mlx5_0"
  uint8_t port = 1;         // from 1, as verbs count
  bool infiniband = false;  // its link layer; else Ethernet (RoCE)
  bool operator==(const VerbsPort&) const = default;
};

}  // namespace relay::agent
