// Every environment variable of this project, in one table. A value that is set but wrong is an error, never a silent
// default; an unknown NCCL_RELAY_* name is one too.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"
#include "relay/result.h"

//  field            type     default  min   max       name      of K; a choice, of C, has neither min nor max
//    what an operator must know
#define RELAY_KNOBS(K, C)                                                           \
  K(fabric,          Text,    "",      0,    4096,     "NCCL_RELAY_FABRIC",          \
    "path of the declared fabric, fabric.json; without it the fabric is discovered") \
  K(socket,          Text,    "",      0,    100,      "NCCL_RELAY_SOCKET",          \
    "the agent's control socket: a path, or @name for an abstract one")             \
  K(ifname,          Text,    "",      0,    1024,     "NCCL_RELAY_IFNAME",          \
    "interfaces that carry data, as NCCL_SOCKET_IFNAME names them: eth,ib or =eth0 or ^docker") \
  K(peers,           Text,    "",      0,    4096,     "NCCL_RELAY_PEERS",           \
    "host[:port],... of agents beyond routers, where no multicast reaches")         \
  K(key_file,        Text,    "",      0,    4096,     "NCCL_RELAY_KEY_FILE",        \
    "the fabric's key, as nccl-relay keygen makes it: agents without it are refused") \
  K(port,            Count,   "21517", 1,    32767,    "NCCL_RELAY_PORT",            \
    "TCP and UDP port of every agent of the fabric")                                \
  K(connect_timeout, Seconds, "30",    0.01, 86400,    "NCCL_RELAY_CONNECT_TIMEOUT", \
    "how long a connection may take to set up, in seconds")                         \
  K(recover_timeout, Seconds, "30",    0.01, 86400,    "NCCL_RELAY_RECOVER_TIMEOUT", \
    "how long an unfinished message may go without a sign of life or another path, in seconds")     \
  K(hop_timeout,     Seconds, "10",    1,    3600,     "NCCL_RELAY_HOP_TIMEOUT",     \
    "silence of the next node's kernel after which a hop is dead, in seconds")      \
  K(linger,          Seconds, "30",    0,    86400,    "NCCL_RELAY_LINGER",          \
    "how long an idle agent stays and a closed connection still answers, in seconds") \
  K(segment,         Bytes,   "1M",    4096, 67108864, "NCCL_RELAY_SEGMENT",         \
    "payload bytes of one frame, a multiple of 128")                                \
  K(eager,           Bytes,   "16K",   0,    65536,    "NCCL_RELAY_EAGER",           \
    "largest message sent before its receive is posted")                            \
  K(checksum,        Count,   "0",     0,    1,        "NCCL_RELAY_CHECKSUM",        \
    "1: every frame of payload carries a checksum, and what arrives wrong is sent again; no RDMA then, and no GPU memory") \
  C(rdma,            Automatic, "auto",                "NCCL_RELAY_RDMA",           \
    "auto: RDMA over the ports that a verbs device is behind; off: TCP alone")      \
  C(gdr,             Automatic, "auto",                "NCCL_RELAY_GDR",            \
    "auto: GPU memory is offered to devices where every node is reached by RDMA; off: host memory alone") \
  C(staging,         Staging,   "host",                "NCCL_RELAY_STAGING",        \
    "where relayed RDMA payload passes through: host memory, or gpu")               \
  K(registered,      Bytes,   "1G",    4194304, 1099511627776, "NCCL_RELAY_REGISTERED", \
    "most memory that an agent registers for relayed RDMA payload")                 \
  C(agent,           Automatic, "auto",                "NCCL_RELAY_AGENT",          \
    "auto: start an agent when none answers; off: never")                           \
  K(agent_log,       Text,    "",      0,    4096,     "NCCL_RELAY_AGENT_LOG",       \
    "file for the log of an agent that the plugin started")                         \
  C(log,             LogLevel,  "info",                "NCCL_RELAY_LOG",            \
    "the agent's log level: warn, info or trace")

namespace relay {

namespace knob {
using Text = std::string;    // bounds: its length
using Count = uint32_t;
using Bytes = uint64_t;      // "4096", "64K", "1M", "1G"
using Seconds = Duration;    // "30", "0.5", "30s", "250ms"

// A choice is one of a few words; kWords says which word is which value.
enum class Automatic : uint8_t { kAuto, kOff };
enum class Staging : uint8_t { kHost, kGpu };
using relay::LogLevel;

template <class Choice>
struct Word {
  std::string_view text;
  Choice value;
};
template <class Choice>
inline constexpr std::array<Word<Choice>, 0> kWords;
template <>
inline constexpr std::array kWords<Automatic> = {Word<Automatic>{"auto", Automatic::kAuto},
                                                 Word<Automatic>{"off", Automatic::kOff}};
template <>
inline constexpr std::array kWords<Staging> = {Word<Staging>{"host", Staging::kHost},
                                               Word<Staging>{"gpu", Staging::kGpu}};
template <>
inline constexpr std::array kWords<LogLevel> = {Word<LogLevel>{"warn", LogLevel::kWarn},
                                                Word<LogLevel>{"info", LogLevel::kInfo},
                                                Word<LogLevel>{"trace", LogLevel::kTrace}};
}  // namespace knob

struct Knobs {
#define K(field, type, def, min, max, name, help) knob::type field;
#define C(field, type, def, name, help) knob::type field;
  RELAY_KNOBS(K, C)
#undef C
#undef K
  Knobs();  // the defaults
};

using Getenv = std::function<const char*(const char*)>;

// `environment` is a NULL-terminated list of "NAME=value" in which unknown NCCL_RELAY_* names are looked for.
Result<Knobs> LoadKnobs(const Getenv& getenv_fn, const char* const* environment);

// "30", "0.5", "30s", "250ms", as the knobs of this kind take it; at most a day.
std::optional<Duration> ParseKnobSeconds(std::string_view text);

// Nearest known name, for "did you mean ...?".
std::optional<std::string_view> NearestKnob(std::string_view unknown);

// The table as Markdown, for docs/knobs.md.
std::string KnobsReference();

}  // namespace relay
