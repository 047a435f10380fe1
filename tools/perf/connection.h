// One direction to or from one peer on one channel: the plugin's comm, the registered buffers, and the two counters by
// which a kernel and the progress thread hand slots to each other.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>

#include "nccl/types.h"
#include "perf/memory.h"
#include "perf/protocol.h"

namespace relay::perf {

enum class Direction : uint8_t { kSend, kReceive };

struct Connection {
  Connection(Direction d, int p, int c, const Layouts& l) : direction(d), peer(p), channel(c), layouts(l) {}

  const Direction direction;
  const int peer, channel;
  const Layouts layouts;

  // Service thread; constant while messages move.
  void* listen_comm = nullptr;
  void* comm = nullptr;
  alignas(16) std::array<std::byte, NCCL_NET_HANDLE_MAXSIZE> handle{};
  std::array<Memory, kProtocols> memory;
  std::array<void*, kProtocols> mhandles{};  // NULL may be one
  std::array<bool, kProtocols> registered{};

  // Messages are counted over all the connection's life. A send's slot is filled by the kernel and freed by the
  // progress thread, a receive's the other way round; the one that advances a counter has written what it stands for.
  std::atomic<uint64_t> filled{0};
  std::atomic<uint64_t> freed{0};
  std::array<size_t, kSteps> sizes{};  // bytes of the messages in `filled` slots

  // Progress thread only. A slot of `requests` keeps what was in it before, as NCCL's does.
  uint64_t posted = 0, tested = 0;
  std::array<void*, kSteps> requests{};
  std::array<void*, kSteps> flushes{};  // the iflush under way, after the receive was done

  std::byte* Slot(Protocol protocol, uint64_t message) const {
    const Layout& layout = layouts.Of(protocol);
    return memory[static_cast<size_t>(protocol)].data() + message % layout.slots * layout.slot_bytes;
  }
  uint32_t Flag(uint64_t message) const { return static_cast<uint32_t>(message + 1); }
};

}  // namespace relay::perf
