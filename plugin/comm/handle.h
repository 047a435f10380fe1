// The 128 bytes that NCCL carries from the listening to the connecting rank. Never holds a pointer.
//
//   0         4          6      8          16          24        40          104
//   +---------+----------+------+----------+-----------+---------+-----------+----------+
//   | "nRLh"  | version  | port | node id  | agreement | token   | node name | zero     |
//   +---------+----------+------+----------+-----------+---------+-----------+----------+
#pragma once
#include <span>
#include <string>

#include "relay/result.h"
#include "relay/setup.h"

namespace relay::comm {

inline constexpr size_t kHandleBytes = 128;  // NCCL_NET_HANDLE_MAXSIZE

struct Handle {
  uint16_t port = 0;  // of the node's agent
  NodeId node = 0;
  uint64_t agreement = 0;  // the listening side's fabric
  Token token{};
  std::string node_name;  // at most kMaxNameBytes, for sentences
};

// Writes all 128 bytes.
void EncodeHandle(const Handle& handle, std::span<std::byte, kHandleBytes> out);
// kUsage when it is another plugin's, another version's, or damaged.
Result<Handle> DecodeHandle(std::span<const std::byte, kHandleBytes> in);

}  // namespace relay::comm
