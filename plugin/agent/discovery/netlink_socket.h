// A socket to the kernel's routing tables (rtnetlink): questions whose answers are complete, and notifications.
#pragma once
#include <functional>
#include <vector>

#include "agent/discovery/netlink_reader.h"
#include "base/fd.h"
#include "relay/result.h"

namespace relay::agent {

class NetlinkSocket {
 public:
  using Visit = std::function<void(const NetlinkMessage&)>;

  // `groups`: RTMGRP_ bits of what is to be notified; 0: for questions.
  static Result<NetlinkSocket> Open(uint32_t groups);

  // Sends a request (header and body as the kernel defines them; sequence and length are filled in) and visits what
  // comes back until it is complete. The kernel answers within the call; nothing here waits for anybody else.
  Status Ask(std::vector<std::byte> request, const Visit& visit);

  // What has been notified up to now. False: the kernel dropped some, and only a new dump tells the truth.
  bool Drain(const Visit& visit);

  int fd() const { return fd_.get(); }

 private:
  explicit NetlinkSocket(Fd fd) : fd_(std::move(fd)) {}
  // Bytes of one datagram of the kernel's; 0: none is there; negative: -errno.
  ssize_t Receive(int flags);

  Fd fd_;
  uint32_t sequence_ = 0;
  std::vector<std::byte> buffer_;
};

// A request of a type with a fixed header after nlmsghdr.
template <class T>
std::vector<std::byte> NetlinkRequest(uint16_t type, uint16_t flags, const T& header) {
  std::vector<std::byte> out(NLMSG_ALIGN(sizeof(nlmsghdr) + sizeof(T)));
  nlmsghdr head{};
  head.nlmsg_type = type;
  head.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  std::memcpy(out.data(), &head, sizeof head);
  std::memcpy(out.data() + sizeof head, &header, sizeof header);
  return out;
}
void AddAttribute(std::vector<std::byte>& request, uint16_t type, std::span<const std::byte> value);

}  // namespace relay::agent
