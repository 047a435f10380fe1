// What travels between agents on a socket that belongs to no open circuit (yet). Each message is a fixed prefix and a
// body that is bounded by its type, so that a reader never takes a byte of what follows.
//
// A call begins with a greeting. Where neither side has a key there is none; else, PROVE first:
//
//   dialler  --PROVE-->  acceptor     its nonce and node
//            <-CHALLENGE-             the acceptor's, and its proof that it holds the key
//            --PROOF-->               proof of the key, over both nonces and the whole message that follows at once
//
// Then comes what the call is for:
//
//   OPEN     a circuit: OPEN goes forward along the source route, OPENED or REFUSED back
//   SESSION  the line between two neighbouring agents, answered by SESSION or REFUSED. From the answer on, messages
//            are sealed when there is a key: a MAC follows the body (agent/session/frame.h)
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
inline constexpr size_t kMaxSetupBody = 16384;  // of a greeting or of what follows it: the longest route and offer fit
inline constexpr size_t kMaxTableBody = size_t{1} << 20;  // of one TABLE on a session: link state is split to fit
inline constexpr size_t kMaxHops = 64;          // of one path; far above any fabric that is worth relaying over
inline constexpr size_t kMaxNameBytes = 64;     // node and port names
inline constexpr size_t kMaxSentenceBytes = 1024;
inline constexpr size_t kMaxOfferBytes = 4096;
inline constexpr size_t kMaxParallelLinks = 3;  // beside the only link of a direct path
inline constexpr size_t kMaxBuildBytes = 64;    // "0.1.0"
inline constexpr size_t kMaxPluginPathBytes = 512;

// 128 random bits; the right to open circuits to one receive comm. A send comm has one, too: who asks with it learns
// whether it still lives.
using Token = std::array<std::byte, 16>;
using NodeId = uint64_t;

std::string TokenText(const Token& token);  // its first 8 hex digits: enough for a log, too few to open with

// One link of the source route, seen from the side that dials it.
struct RouteHop {
  NodeId from = 0, to = 0;
  std::string from_port, to_port;
};

// A connection's circuits are told apart by their epochs: the number of the attempt to open one.
struct CircuitName {
  uint64_t connection = 0;  // random, drawn by the connecting side
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
  // What the source runs, so that the destination notices what differs:
  std::string build = {};        // of its plugin, at most kMaxBuildBytes
  std::string plugin = {};       // path of the file, at most kMaxPluginPathBytes; longer ones are cut where written
  bool declared = false;         // its fabric comes from a file
  uint32_t settled_s = 0;        // seconds for which its fabric has not changed
  // Links beside the only one of the route, between the same two nodes, that devices may carry messages over too: at
  // most kMaxParallelLinks. `offer` says what for each.
  std::vector<RouteHop> parallel = {};
  // The sending side's own token; all zero where nobody may ask for it.
  Token source_token = {};
  // Nothing is opened: the destination's agent answers REFUSED, with kOwnerLives, kOwnerGone or kUnknownToken.
  bool inquiry = false;
};

struct OpenedMessage {
  CircuitName name;
  std::vector<std::byte> offer;
  std::string build = {}, plugin = {};  // of the destination, as in OPEN
  std::string note = {};                // a sentence that both ends should say aloud, or empty
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
  kOwnerLives = 13,  // the answer to an inquiry, nothing else
  kNoListener = 14,  // no agent at the destination, whose host says so
};

struct RefusedMessage {
  NodeId node = 0;     // who refuses
  bool final = false;  // false: trying again may help
  RefusedCode code = RefusedCode::kProtocol;
  std::string sentence;
};

enum class SetupType : uint16_t {
  kOpen = 1,
  kOpened = 2,
  kRefused = 3,
  // Greeting (agent/trust/handshake.h):
  kProve = 4,
  kChallenge = 5,
  kProof = 6,
  // Sessions (agent/session/message.h):
  kSession = 7,
  kTable = 8,     // link state
  kPing = 9,
  kPong = 10,
  kSurvey = 11,   // a question to every agent
  kFindings = 12, // answers to one, on their way back
};
// The longest body of this type that anybody sends.
size_t MaxBody(SetupType type);

struct SetupPrefix {
  SetupType type;
  uint32_t body_length;
};

// Whole messages, prefix included.
std::vector<std::byte> EncodeSetup(SetupType type, std::span<const std::byte> body);
std::vector<std::byte> EncodeOpen(const OpenMessage& m);
std::vector<std::byte> EncodeOpened(const OpenedMessage& m);
std::vector<std::byte> EncodeRefused(const RefusedMessage& m);

// Refuses wrong magic, another version, unknown types and bodies above MaxBody of their type.
Result<SetupPrefix> DecodeSetupPrefix(std::span<const std::byte, kSetupPrefixBytes> in);
// Bodies: everything must be there, nothing may follow, all lengths within the bounds above, hop < route size
// (or both 0).
Result<OpenMessage> DecodeOpen(std::span<const std::byte> body);
Result<OpenedMessage> DecodeOpened(std::span<const std::byte> body);
Result<RefusedMessage> DecodeRefused(std::span<const std::byte> body);

}  // namespace relay
