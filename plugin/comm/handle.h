// The 128 bytes that NCCL carries from the listening to the connecting rank. Never holds a pointer.
//
//   0         4          6      8          16          24        40          72
//   +---------+----------+------+----------+-----------+---------+-----------+------------------------+
//   | "nRLh"  | version  | port | node id  | agreement | token   | node name | addresses, then zeros  |
//   +---------+----------+------+----------+-----------+---------+-----------+------------------------+
//   An address is a byte, 4 or 16, and so many bytes in network order.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "base/socket_address.h"
#include "relay/result.h"
#include "relay/setup.h"

namespace relay::comm {

inline constexpr size_t kHandleBytes = 128;  // NCCL_NET_HANDLE_MAXSIZE

struct Handle {
  uint16_t port = 0;  // of the node's agent
  NodeId node = 0;
  uint64_t agreement = 0;  // the listening side's fabric; 0: not compared
  Token token{};
  std::string node_name = {};                 // for sentences; cut at 32 bytes
  std::vector<SocketAddress> addresses = {};  // of the node's agent, with `port`; as many as fit
};

// Writes all 128 bytes.
void EncodeHandle(const Handle& handle, std::span<std::byte, kHandleBytes> out);
// kUsage when it is another plugin's, another version's, or damaged.
Result<Handle> DecodeHandle(std::span<const std::byte, kHandleBytes> in);

}  // namespace relay::comm
