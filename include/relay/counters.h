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
  C(placed_bytes,          "bytes copied from a private buffer to the posted one")   \
  C(requests_cancelled,    "requests ended by deregMr, close or a dead circuit")     \
  C(relayed_bytes,         "bytes spliced through this agent")                       \
  C(relay_copied_bytes,    "bytes that a relay copied in user space")                \
  C(splice_calls,          "splice calls of the relay")                              \
  C(circuits_opened,       "circuits this agent dialled, accepted or relayed")       \
  C(circuits_refused,      "OPENs this agent refused")                               \
  C(clients_served,        "processes that connected to the control socket")

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
