#include "emulation/primitives.h"

#include <algorithm>
#include <exception>

#include "fakecuda/memory.h"

namespace fakecuda {
namespace {

constexpr ssize_t kProxyHasSent = -1;  // size of a fifo entry once the proxy is done with a zero-copy send

uint64_t RoundUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

Primitives::Primitives(Block& block, const Peers& peers, Buffers buffers, Reducer reducer, uint64_t argument,
                       Options options)
    : block_(block),
      input_(static_cast<char*>(buffers.input)),
      output_(static_cast<char*>(buffers.output)),
      reducer_(reducer),
      argument_(argument),
      options_(options) {
  if (options_.protocol != kSimple) options_.slices = options_.slice_steps = 1;
  auto simple_slot = static_cast<size_t>(block.comm->buffer_sizes[kSimple] / kSteps);
  size_t step_bytes = options_.step_bytes ? options_.step_bytes : simple_slot;
  largest_slice_ = step_bytes / reducer.element * static_cast<size_t>(options_.slice_steps);
  for (int rank : peers.receive_from)
    if (rank >= 0) AddSide(receives_, HostAlias(block.channel.peers[rank])->recv[options_.connector], true);
  for (int rank : peers.send_to)
    if (rank >= 0) AddSide(sends_, HostAlias(block.channel.peers[rank])->send[options_.connector], false);
}

void Primitives::AddSide(std::vector<Side>& sides, Connection& connection, bool receives) {
  bool simple = options_.protocol == kSimple;
  Side side{.connection = &connection,
            .step = RoundUp(connection.step, static_cast<uint64_t>(options_.slices * options_.slice_steps)),
            .tail = HostAlias(connection.tail),
            .head = HostAlias(connection.head),
            .fifo = Fifo(HostAlias(connection.fifo)),
            .buffer = HostAlias(connection.buffers[options_.protocol]),
            .step_bytes = static_cast<size_t>(simple ? connection.step_size
                                                     : block_.comm->buffer_sizes[options_.protocol] / kSteps),
            .registered = simple && options_.registered && (connection.flags & kConnectionDirectNic)};
  if (simple && receives) {
    Store(side.head, side.step);                                         // returns the credits that rounding skipped
    if (side.registered) Store(&side.fifo.Size(side.step), ssize_t{0});  // the user buffer may be written
  }
  sides.push_back(side);
}

Primitives::~Primitives() noexcept(false) {
  for (auto* sides : {&receives_, &sends_})
    for (Side& side : *sides) side.connection->step = side.step;
  if (std::uncaught_exceptions()) return;
  for (const Side& side : sends_) {
    if (!side.registered) continue;
    uint64_t last = side.step - static_cast<uint64_t>(options_.slice_steps);
    block_.scheduler.Wait([&] { return Load(&side.fifo.Size(last)) == kProxyHasSent; });
  }
}

char* Primitives::SlotOf(const Side& side) const {
  if (side.fifo && side.fifo.UsesOffset(side.step)) return side.buffer + side.fifo.Offset(side.step);
  return side.buffer + side.step % kSteps * side.step_bytes;
}

void Primitives::WaitForRoom(const Side& side, int steps) {
  block_.scheduler.Wait([&] { return Load(side.head) + kSteps >= side.step + static_cast<uint64_t>(steps); });
}

void Primitives::Run(const Step& step, ssize_t count) {
  auto element = static_cast<ssize_t>(reducer_.element);
  bool place_is_output = step.from == kNowhere || step.to == kOutput;
  Move move{.receive = step.receive,
            .send = step.send,
            .source = step.from == kNowhere ? nullptr : HostAlias(input_ + step.input * element),
            .destination = step.to == kNowhere ? nullptr : HostAlias(output_ + step.output * element),
            .registered = HostAlias(output_ + (place_is_output ? step.output : step.input) * element),
            .count = static_cast<size_t>(std::max<ssize_t>(count, 0)),
            .how = {.argument = argument_, .pre = step.from == kInput, .post = step.last}};
  if (options_.protocol == kSimple) {
    RunSimple(move);
  } else if (options_.protocol == kLL) {
    RunLL(move);
  } else {
    RunLL128(move);
  }
}

void Primitives::RunSimple(const Move& move) {
  const auto slices = static_cast<size_t>(options_.slices);
  const auto steps = static_cast<uint64_t>(options_.slice_steps);
  const bool p2p = options_.connector == 1;
  size_t slice = std::max(RoundUp(move.count, 16 * slices) / slices, largest_slice_ / 32);
  size_t done = 0;
  for (size_t i = 0; i < slices; i++) {
    slice = std::min(slice, move.count - done);
    Sources from;
    Destinations to;
    if (move.source) from.Add(move.source + done * reducer_.element);
    if (move.destination) to.Add(move.destination + done * reducer_.element);
    char* registered = move.registered + done * reducer_.element;
    if (move.receive) {
      for (const Side& side : receives_) {
        block_.scheduler.Wait([&] { return Load(side.tail) >= side.step + steps; });
        if (!side.registered) {
          from.Add(SlotOf(side));
        } else if (!p2p) {
          from.Add(registered);
        }
      }
    }
    if (move.send) {
      for (const Side& side : sends_) {
        WaitForRoom(side, options_.slice_steps);
        if (side.fifo) side.fifo.Size(side.step) = static_cast<ssize_t>(slice * reducer_.element);
        if (!side.registered) {
          to.Add(SlotOf(side));
        } else if (!p2p && move.receive) {
          to.Add(registered);
        }
      }
    }
    if (slice && from.count && to.count) reducer_.Run(to, from, slice, move.how);
    if (move.receive) {
      for (Side& side : receives_) {
        side.step += steps;
        Store(side.head, side.step);
      }
    }
    if (move.send) {
      for (Side& side : sends_) {
        side.step += steps;
        Store(side.tail, side.step);
      }
    }
    done += slice;
  }
}

}  // namespace fakecuda
