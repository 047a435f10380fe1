// One question to the kernel over netlink and its one answer. The kernel answers within the call, so nothing blocks.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "base/fd.h"

namespace relay::agent {

// `protocol`: NETLINK_ROUTE, NETLINK_SOCK_DIAG. Not open: the kernel does not offer it here.
Fd OpenNetlink(int protocol);

// `question` begins with its nlmsghdr. The answer's bytes; none when there is none within 64 KiB.
std::vector<std::byte> AskNetlink(int fd, std::span<const std::byte> question);

// The attributes of a message, from `at` on: the payload of the one of this type, empty when there is none. Lengths are
// bounded by what is there.
std::span<const std::byte> FindAttribute(std::span<const std::byte> message, size_t at, int type);

}  // namespace relay::agent
