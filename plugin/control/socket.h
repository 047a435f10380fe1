// Packets and descriptors on a UNIX SOCK_SEQPACKET socket: what the agent and its clients have in common.
#pragma once
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include <optional>
#include <span>
#include <string>

#include "base/fd.h"
#include "relay/control.h"

namespace relay::control {

struct UnixAddress {
  sockaddr_un storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// "@name" is abstract, anything else a path.
Result<UnixAddress> AddressOf(const std::string& name);

// Connected, or the errno that says why not (in sys_errno). Never blocks.
Result<Fd> ConnectSocket(const std::string& name);

// Who is at the other end. An error unless it is this user or root.
// kAnyone: whoever could open the socket may speak.
enum class Users : uint8_t { kOwnAndRoot, kAnyone };
Result<pid_t> CheckPeer(int fd, const std::string& what, Users users = Users::kOwnAndRoot);

// False: would block, nothing was sent. `passed` travels along unless it is negative; it stays the caller's.
Result<bool> SendPacket(int fd, std::span<const std::byte> bytes, int passed = -1);

struct Received {
  Packet packet;
  Fd fd;  // of Connected and Arrived: always open; empty otherwise
};

// nullopt: nothing there. kRemote: the other end is gone or sent what is no packet.
Result<std::optional<Received>> ReceivePacket(int fd);

}  // namespace relay::control
