// What travels on a hop before it belongs to an open circuit: OPEN forward along the source route, OPENED or REFUSED
// back. Each message is a fixed prefix and a bounded body, so that a reader never takes a byte of what follows.
//
//   0         4          6      8             12
//   +---------+----------+------+-------------+----------------------+
//   | "nRLY"  | version  | type | body length | body                 |
//   +---------+----------+------+-------------+----------------------+
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "relay/result.h"

namespace relay {

inline constexpr size_t kSetupPrefixBytes = 12;
inline constexpr size_t kMaxSetupBody = 16384;  // holds the longest route and offer that the bounds below allow
inline constexpr size_t kMaxHops = 64;          // of one path; far above any fabric that is worth relaying over
inline constexpr size_t kMaxNameBytes = 64;     // node and port names
inline constexpr size_t kMaxSentenceBytes = 1024;
inline constexpr size_t kMaxOfferBytes = 2048;

using Token = std::array<std::byte, 16>;  // 128 random bits; the right to open a circuit to one receive comm
using NodeId = uint64_t;

std::string TokenText(const Token& token);  // its first 8 hex digits: enough for a log, too few to open with

// One link of the source route, seen from the side that dials it.
struct RouteHop {
  NodeId from = 0, to = 0;
  std::string from_port, to_port;
};

// A circuit is named by (connection, circuit, epoch).
struct CircuitName {
  uint64_t connection = 0;  // random, drawn by the connecting side
  uint32_t circuit = 0;
  uint32_t epoch = 0;
  bool operator==(const CircuitName&) const = default;
};

struct OpenMessage {
  CircuitName name;
  Token token{};
  uint64_t agreement = 0;  // hash of the dialling side's fabric; 0: not compared
  NodeId source = 0;
  std::string source_name;
  std::vector<RouteHop> route;   // empty: source and destination are one node
  uint16_t hop = 0;              // index into route of the link this message travels on
  std::vector<std::byte> offer;  // what the side that dials offers for this hop (queue pair and the like); empty on TCP
};

struct OpenedMessage {
  CircuitName name;
  std::vector<std::byte> offer;
};

enum class RefusedCode : uint16_t {
  kUnknownToken = 1,
  kOwnerGone = 2,
  kNoPath = 3,
  kNoAgent = 4,
  kLinkDown = 5,
  kLimit = 6,
  kForbidden = 7,
  kVersion = 8,
  kAgreement = 9,
  kProtocol = 10,
  kTimeout = 11,
  kDraining = 12,
};

struct RefusedMessage {
  NodeId node = 0;     // who refuses
  bool final = false;  // false: trying again may help
  RefusedCode code = RefusedCode::kProtocol;
  std::string sentence;
};

enum class SetupType : uint16_t { kOpen = 1, kOpened = 2, kRefused = 3 };

struct SetupPrefix {
  SetupType type;
  uint32_t body_length;
};

// Whole messages, prefix included.
std::vector<std::byte> EncodeOpen(const OpenMessage& m);
std::vector<std::byte> EncodeOpened(const OpenedMessage& m);
std::vector<std::byte> EncodeRefused(const RefusedMessage& m);

// Refuses wrong magic, another version, unknown type and bodies above kMaxSetupBody.
Result<SetupPrefix> DecodeSetupPrefix(std::span<const std::byte, kSetupPrefixBytes> in);
// Bodies: everything must be there, nothing may follow, all lengths within the bounds above, hop < route size
// (or both 0).
Result<OpenMessage> DecodeOpen(std::span<const std::byte> body);
Result<OpenedMessage> DecodeOpened(std::span<const std::byte> body);
Result<RefusedMessage> DecodeRefused(std::span<const std::byte> body);

}  // namespace relay
