// What the kernel counts for one interface of this network namespace, by rtnetlink: /sys shows the namespace that it
// was mounted in, which need not be this one.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace relay::agent {

struct InterfaceFacts {
  bool up = false;  // and has a carrier
  uint64_t received_bytes = 0, sent_bytes = 0, received_packets = 0, sent_packets = 0;
  uint64_t errors = 0, drops = 0;  // both ways
};

// nullopt: there is no such interface, or the kernel does not tell.
std::optional<InterfaceFacts> ReadInterfaceFacts(const std::string& interface);

// The RTM_NEWLINK message that answers; public for tests.
std::optional<InterfaceFacts> ParseInterfaceAnswer(std::span<const std::byte> answer);

}  // namespace relay::agent
