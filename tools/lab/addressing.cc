#include "lab/addressing.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <array>
#include <string>

namespace relay::lab {
namespace {

struct Named {
  std::string_view name;
  AddressStyle style;
};

constexpr std::array<Named, 6> kStyles{{{"per-cable", AddressStyle::kPerCable},
                                        {"per-pair", AddressStyle::kPerPair},
                                        {"shared", AddressStyle::kShared},
                                        {"reused", AddressStyle::kReused},
                                        {"ula", AddressStyle::kUla},
                                        {"link-local", AddressStyle::kLinkLocal}}};

constexpr uint32_t kBase = 10u << 24 | 77u << 16;       // 10.77.0.0
constexpr uint32_t kPairsBase = 10u << 24 | 80u << 16;  // 10.80.0.0: up to 10.83.255.255

SocketAddress V4(size_t value) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(static_cast<uint32_t>(value));
  return SocketAddress::From(reinterpret_cast<const sockaddr*>(&address));
}

}  // namespace

Result<AddressStyle> ParseAddressStyle(std::string_view text) {
  std::string names;
  for (const Named& known : kStyles) {
    if (known.name == text) return known.style;
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  return Fail(ErrorCode::kUsage, fmt::format("--addresses {}: there are {}", text, names));
}

SocketAddress PortAddress(AddressStyle style, const PortPlace& place) {
  const size_t host = place.first_end ? 1 : 2;
  switch (style) {
    case AddressStyle::kPerCable:
      return V4(kBase + place.cable * 4 + host);
    case AddressStyle::kPerPair:
      return V4(kPairsBase + place.pair * 16 + 1 + place.pair_end);
    case AddressStyle::kShared:
      return V4(kBase + place.cable * 2 + host);
    case AddressStyle::kReused:
      return V4(kBase + place.node + 1);
    case AddressStyle::kUla:
      return SocketAddress::Parse(fmt::format("fd77:0:0:{:x}::{}", place.cable, host)).value();
    case AddressStyle::kLinkLocal:
      return SocketAddress::Parse(fmt::format("fe80::77:{:x}:{}", place.cable, host)).value();
  }
  return {};
}

unsigned PrefixLength(AddressStyle style) {
  switch (style) {
    case AddressStyle::kPerCable:
      return 30;
    case AddressStyle::kPerPair:
      return 28;
    case AddressStyle::kShared:
      return 16;
    case AddressStyle::kReused:
      return 24;
    case AddressStyle::kUla:
    case AddressStyle::kLinkLocal:
      return 64;
  }
  return 0;
}

}  // namespace relay::lab
