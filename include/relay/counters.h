// Every counter of this project, in one table. Relaxed atomics; any thread.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>

//  field                  what it counts
#define RELAY_COUNTERS(C)                                                            \
  C(messages_sent,         "messages whose isend completed")                         \
  C(messages_received,     "messages placed whole into a posted buffer")             \
  C(bytes_sent,            "payload bytes of DATA frames sent")                      \
  C(bytes_received,        "payload bytes of DATA frames received")                  \
  C(frames_sent,           "frames sent, all types")                                 \
  C(frames_received,       "frames received, all types")                             \
  C(send_calls,            "sendmsg calls on circuits")                              \
  C(receive_calls,         "recvmsg calls on circuits")                              \
  C(eager_messages,        "messages sent before their receive was posted")          \
  C(rdma_bytes_sent,       "payload bytes that devices wrote into receivers' memory") \
  C(rdma_bytes_received,   "payload bytes that senders' devices wrote into buffers here") \
  C(placed_bytes,          "bytes copied from a private buffer to the posted one")   \
  C(checksum_errors,       "DATA frames whose checksum was wrong: replayed")         \
  C(circuits_lost,         "circuits that broke under a connection that looked for another") \
  C(circuits_resumed,      "circuits that took the place of another")                \
  C(duplicates_dropped,    "DATA frames that brought what was there already")        \
  C(requests_cancelled,    "requests ended by deregMr, close or a dead circuit")     \
  C(relayed_bytes,         "bytes spliced through this agent")                       \
  C(relayed_packets,       "packets that devices relayed from their slots")           \
  C(relay_copied_bytes,    "bytes that a relay copied in user space")                \
  C(splice_calls,          "splice calls of the relay")                              \
  C(circuits_opened,       "circuits this agent dialled, accepted or relayed")       \
  C(circuits_refused,      "OPENs this agent refused")                               \
  C(clients_served,        "processes that connected to the control socket")         \
  C(hellos_sent,           "hellos sent to find neighbours")                         \
  C(hellos_received,       "hellos received and believed")                           \
  C(hellos_refused_ttl,    "hellos refused: they came through a router")             \
  C(hellos_refused_bytes,  "hellos refused: nothing that an agent sends")            \
  C(hellos_refused_key,    "hellos refused: no key, or another one")                 \
  C(hellos_refused_replay, "hellos refused: heard before")                           \
  C(hellos_refused_stranger, "hellos by unicast refused: from an address with no reason to be answered") \
  C(hellos_refused_through_fabric, "routed hellos refused: a node of the fabric forwards them") \
  C(sessions_opened,       "sessions with neighbouring agents that came up")         \
  C(sessions_lost,         "sessions that ended")                                    \
  C(sessions_refused,      "SESSIONs refused: not of a neighbour and port that discovery found") \
  C(handshakes_refused_key, "calls refused: the other side holds another key")       \
  C(handshakes_refused_no_key, "calls refused: one side has a key, the other none")  \
  C(handshakes_late,       "calls ended: the greeting was not over in time")         \
  C(calls_refused_share,   "calls ended in their greeting, to make room for others") \
  C(setup_refused_bytes,   "calls refused: bytes that no agent sends")               \
  C(opens_refused_token,   "OPENs refused: nobody here listens with their token")    \
  C(opens_refused_route,   "OPENs refused: their route is not in the fabric, or they came over another link") \
  C(inquiries,             "answers whether a process of this node lives")             \
  C(links_lost_told,       "times that a process heard of a lost link of a circuit of its own") \
  C(better_paths_told,     "times that a process heard of a better path for a circuit of its own") \
  C(link_state_forged,     "link state refused: without proof of the fabric's key")  \
  C(link_state_sent,       "link-state messages sent to neighbours")                 \
  C(link_state_received,   "link-state messages received from neighbours")

namespace relay {

struct Counters {
#define C(field, help) std::atomic<uint64_t> field{0};
  RELAY_COUNTERS(C)
#undef C
};

inline void Add(std::atomic<uint64_t>& counter, uint64_t n = 1) { counter.fetch_add(n, std::memory_order_relaxed); }

// {"messages_sent":12,...}
std::string CountersJson(const Counters& counters);

}  // namespace relay
