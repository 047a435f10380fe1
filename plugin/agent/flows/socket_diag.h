// The kernel's word on single TCP sockets of this network namespace, by NETLINK_SOCK_DIAG. Never blocks: the kernel
// answers within the call.
#pragma once
#include <span>

#include "agent/flows/flow_table.h"
#include "base/fd.h"

namespace relay::agent {

// The answer to one question: a message of inet_diag, or an error. Bytes beyond what the kernel of this build's headers
// says are ignored, fields that an older kernel does not have are 0.
FlowTable::Looked ParseSocketAnswer(std::span<const std::byte> answer, uint32_t sequence);

class SocketDiag {
 public:
  // By cookie where there is one, so that a reused port is no mistake.
  FlowTable::Looked Look(const TcpSocket& socket);

 private:
  Fd fd_;
  uint32_t sequence_ = 0;
};

}  // namespace relay::agent
