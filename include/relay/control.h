// The agent's control socket: SOCK_SEQPACKET, one message per packet, descriptors by SCM_RIGHTS. Both ends ask
// SO_PEERCRED: a client believes an agent of its own user or of root alone, an agent serves its own user and root, or
// everyone (docs/operating.md). The version is negotiated in HELLO and WELCOME; an agent serves clients one
// version older and newer. OPEN and OPENED travel inside as on a hop: both sides must know the same version of these.
//
//   0        4      8          16
//   +--------+------+----------+---------------+
//   | "nRLC" | type | request  | body          |
//   +--------+------+----------+---------------+
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/socket_address.h"
#include "relay/result.h"
#include "relay/setup.h"

namespace relay::control {

// Versions that are one number apart can read each other; a change that breaks that skips a number.
inline constexpr uint16_t kControlVersion = 5;
// What this program speaks is an object of its own, so that a test can link another.
extern const uint16_t kVersion;
inline constexpr size_t kMaxPacket = size_t{60} * 1024;  // below the default limit of a socket buffer

// client -> agent ----------------------------------------------------------------------------------------------------
struct Hello {
  uint16_t version = kVersion;  // highest the client speaks; it speaks version - 1 too
  std::string build;            // "0.1.0", with the plugin's build id
  std::string plugin = {};      // its file; empty: a tool
};
// Not answered: OPENs for the token are handed to this client as Arrived until Unregister or the socket's end.
struct Register {
  Token token{};
};
struct Unregister {
  Token token{};
};
enum class Purpose : uint8_t {
  kOpen,
  kOpenBetter,  // only over a path that is better than the one of `avoid`; else Failed
  kInquire,     // does the token's owner live? Failed with kOwnerLives, or why nobody can say so
};
// Answered by Connected or Failed with the same request number.
struct Connect {
  NodeId node = 0;
  Token token{};
  CircuitName name;
  uint64_t agreement = 0;                     // the listening side's, from its handle; 0: not compared
  std::vector<SocketAddress> addresses = {};  // of its agent, from the handle, port included: for where no wire leads
  Token source_token = {};                    // the client's own end of the connection; registered
  Purpose purpose = Purpose::kOpen;
  std::vector<RouteHop> avoid = {};  // a path without these links is preferred: a circuit over them has just failed
};
// This process holds a circuit over these links: it hears of a link that goes (LinkLost), and, as the circuit's source,
// of a better path (BetterPath). A new one for the same connection takes the place of the last. Not answered.
struct Watch {
  uint64_t connection = 0;
  NodeId node = 0;  // the other end
  bool source = false;
  std::vector<RouteHop> route;
};
struct Unwatch {
  uint64_t connection = 0;
};
// The answer to this request number is not wanted any more.
struct Cancel {};
// Answered by Answer. Questions: "status", "fabric" (a declaration), "flows", "survey" (every node's flows),
// "discovery", "neighbours", "transit" (a number), "settings" (the knobs that it goes by, a line "NAME=value" each),
// "give way" ("yes": it ends, for this client to start another; else why it stays).
struct Query {
  std::string question;
};

// Answers Prepare, with its request number.
struct Prepared {
  std::vector<std::byte> offer;  // for OPEN; empty: without RDMA
  std::string why_not = {};      // then: a sentence. With an offer: why some parallel links are not used, or empty
};

// agent -> client ----------------------------------------------------------------------------------------------------
struct DeviceInfo {
  std::string name;      // "relay0"
  std::string pci_path;  // empty: not offered
  uint32_t speed_mbit = 0;
};
// A port of a verbs device.
struct VerbsDevice {
  std::string name;  // "mlx5_0"
  uint16_t port = 1;
};
// Whether paths from this node to all others of the fabric are RDMA from end to end.
enum class RdmaReach : uint8_t {
  kNo,
  kUnsettled,  // to all that are known so far, but the fabric has just changed: ask again in a moment
  kAll,
};
struct Welcome {
  uint16_t version = kVersion;  // spoken from here on
  std::string build;
  NodeId node = 0;
  std::string node_name;
  uint16_t port = 0;
  uint64_t agreement = 0;  // 0: the fabric is discovered, and the number changes with it
  bool auto_started = false;
  std::vector<DeviceInfo> devices;            // at least one
  std::vector<SocketAddress> addresses = {};  // of the agent, for handles
  RdmaReach rdma_reach = RdmaReach::kNo;
  std::vector<VerbsDevice> verbs = {};  // that circuits of this node may begin or end at
};
// This node's end of a link beside the only one of a path, between the same two nodes.
struct ParallelPort {
  std::string device;                         // empty: none here that serves
  uint16_t port = 1;                          // of the device
  uint32_t speed_mbit = 0;                    // of the link; 0: unknown
  std::vector<SocketAddress> addresses = {};  // near and far, on this link, where known; else empty
};
// In the course of a Connect, with its request number, perhaps more than once: the path begins at this device, whose
// queue pair the client makes. Without an answer in time the circuit goes on without RDMA.
struct Prepare {
  std::string device;                       // "mlx5_0"
  uint16_t port = 1;                        // of the device
  uint16_t relays = 0;                      // nodes between source and destination
  uint32_t speed_mbit = 0;                  // of the first link; 0: unknown
  std::vector<ParallelPort> parallel = {};  // at most kMaxParallelLinks; a queue pair on each, where one can be made
};
struct Connected {  // carries one descriptor: the hop's socket
  OpenedMessage opened;
  std::string path;       // fabric::PathText
  std::string note = {};  // a sentence worth saying aloud, or empty
  std::vector<RouteHop> route = {};
};
// A watched circuit has lost a link; request 0. It may still work: an agent that has just been replaced says so too.
struct LinkLost {
  uint64_t connection = 0;
  std::string sentence;  // "link B-C (B/bc to C/cb) is down: no carrier"
};
// A path better than the watched one is there, and has been for a while.
struct BetterPath {
  uint64_t connection = 0;
  std::string path;
};
struct Failed {
  RefusedMessage refused;
};
struct Arrived {  // carries one descriptor: the hop's socket
  OpenMessage open;
  std::string path;
  std::string note = {};
  std::string device = {};  // where the last hop's RDMA ends, if OPEN offers any; empty: without
  uint16_t device_port = 1;
  std::vector<ParallelPort> parallel = {};  // with `device`: one for each of open.parallel
};
struct Answer {
  std::string text;
  bool more = false;  // another one with the same request follows and continues the text
};
inline constexpr size_t kMaxAnswerText = size_t{32} * 1024;  // of one packet

using Message = std::variant<Hello, Register, Unregister, Connect, Cancel, Query, Welcome, Connected, Failed, Arrived,
                             Answer, Prepare, Prepared, Watch, Unwatch, LinkLost, BetterPath>;

struct Packet {
  uint64_t request = 0;
  Message message;
};

std::vector<std::byte> Encode(const Packet& packet);
Result<Packet> Decode(std::span<const std::byte> bytes);

// What "nccl-relay agent" and the plugin try, in this order: NCCL_RELAY_SOCKET alone when set; else
// /run/nccl-relay/agent.sock, then the abstract @nccl-relay (one per network namespace).
std::vector<std::string> SocketNames(const std::string& knob);

}  // namespace relay::control
