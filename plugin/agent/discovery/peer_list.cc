#include "agent/discovery/peer_list.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace relay::agent {
namespace {

constexpr size_t kMaxHostName = 253;  // RFC 1035

std::optional<uint16_t> PortNumber(std::string_view text) {
  uint16_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

bool IsHostName(std::string_view text) {
  auto is_name_character = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
  };
  return !text.empty() && text.size() <= kMaxHostName && std::all_of(text.begin(), text.end(), is_name_character);
}

struct HostAndPort {
  std::string_view host, port;
};

// "[fe80::1]:5", "10.0.0.1:5", "host", "fe80::1" (whose colons are its own).
std::optional<HostAndPort> SplitPort(std::string_view text) {
  if (!text.empty() && text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    const std::string_view rest = text.substr(close + 1);
    if (rest.empty()) return HostAndPort{text.substr(1, close - 1), {}};
    if (rest.front() != ':' || rest.size() == 1) return std::nullopt;
    return HostAndPort{text.substr(1, close - 1), rest.substr(1)};
  }
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos) {
    return HostAndPort{text, {}};
  }
  if (colon + 1 == text.size()) return std::nullopt;
  return HostAndPort{text.substr(0, colon), text.substr(colon + 1)};
}

std::optional<PeerName> ParsePeer(std::string_view text, uint16_t default_port) {
  auto split = SplitPort(text);
  if (!split) return std::nullopt;
  auto port = split->port.empty() ? std::optional(default_port) : PortNumber(split->port);
  if (!port) return std::nullopt;
  if (auto address = SocketAddress::Parse(split->host)) return PeerName{"", address->WithPort(*port), *port};
  if (!IsHostName(split->host)) return std::nullopt;
  return PeerName{std::string(split->host), {}, *port};
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

}  // namespace

PeerList ParsePeers(std::string_view text, uint16_t default_port) {
  PeerList out;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view entry = Trim(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (entry.empty()) continue;
    auto peer = ParsePeer(entry, default_port);
    if (!peer) {
      out.mistakes.push_back("NCCL_RELAY_PEERS: \"" + std::string(entry) + "\" is no host[:port]");
    } else if (out.peers.size() >= kMostListedPeers) {
      out.mistakes.push_back("NCCL_RELAY_PEERS: \"" + std::string(entry) + "\" is one more than " +
                             std::to_string(kMostListedPeers));
    } else {
      out.peers.push_back(std::move(*peer));
    }
  }
  return out;
}

}  // namespace relay::agent
