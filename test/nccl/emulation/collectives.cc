// The collectives on a ring, and all-reduce on a tree, as sequences of primitives; PAT is a thing of its own.
#include <algorithm>
#include <cstring>

#include "emulation/pat.h"
#include "emulation/primitives.h"
#include "emulation/share.h"
#include "fakecuda/log.h"
#include "fakecuda/memory.h"

namespace fakecuda {
namespace {

struct Run {
  Block& block;
  const DeviceFunction& function;
  CollectiveWork work;
  Share share;
  Reducer reducer;
  Primitives::Options options;

  int ranks() const { return block.comm->ranks; }
  Primitives::Buffers buffers() const { return {work.send_buffer, work.recv_buffer}; }
};

void TreeAllReduce(Run& run) {
  const Tree& tree = run.block.channel.tree;
  const std::vector<int> children(tree.down, tree.down + 3), parent(1, tree.up);
  const uint64_t argument = run.work.operator_argument;
  if (tree.up == -1) {
    Primitives root(run.block, {children, children}, run.buffers(), run.reducer, argument, run.options);
    ForEachPiece(run.share, [&](Piece p) { root.RecvReduceCopySend(p.start, p.start, p.count); });
    return;
  }
  const bool leaf = tree.down[0] == -1;
  bool reduced = false;
  run.block.scheduler.Spawn([&] {  // the reduction runs beside the broadcast of its result
    try {
      Primitives up(run.block, {children, parent}, run.buffers(), run.reducer, argument, run.options);
      ForEachPiece(run.share, [&](Piece p) { leaf ? up.Send(p.start, p.count) : up.RecvReduceSend(p.start, p.count); });
    } catch (KernelAborted&) {
    }
    reduced = true;
  });
  bool aborted = false;
  try {
    Primitives down(run.block, {parent, children}, run.buffers(), run.reducer, argument, run.options);
    ForEachPiece(run.share, [&](Piece p) { leaf ? down.Recv(p.start, p.count) : down.RecvCopySend(p.start, p.count); });
  } catch (KernelAborted&) {
    aborted =
        true;  // no switching of fibers inside a handler: the runtime's list of caught exceptions belongs to the thread
  }
  run.block.scheduler.Join([&] { return reduced; });
  if (aborted) throw KernelAborted();
}

void RingAllReduce(Run& run, Primitives& primitives) {
  const int ranks = run.ranks(), index = run.block.channel.index;
  const Share& share = run.share;
  const auto count = static_cast<size_t>(ranks);
  for (size_t done = 0; done < share.count; done += count * share.chunk) {
    const size_t rest = share.count - done, unit = 16 / run.reducer.element;
    size_t chunk = share.chunk;
    if (rest < count * chunk) chunk = ((rest + count - 1) / count + unit - 1) / unit * unit;
    auto piece = [&](int k) {
      auto start = static_cast<ssize_t>(static_cast<size_t>(k % ranks) * chunk);
      return Piece{static_cast<ssize_t>(share.start + done) + start,
                   std::min(static_cast<ssize_t>(chunk), static_cast<ssize_t>(rest) - start)};
    };
    Piece p = piece(index + ranks - 1);
    primitives.Send(p.start, p.count);
    for (int j = 2; j < ranks; j++) {
      p = piece(index + ranks - j);
      primitives.RecvReduceSend(p.start, p.count);
    }
    p = piece(index);
    primitives.RecvReduceCopySend(p.start, p.start, p.count);
    for (int j = 1; j < ranks - 1; j++) {
      p = piece(index + ranks - j);
      primitives.RecvCopySend(p.start, p.count);
    }
    p = piece(index + 1);
    primitives.Recv(p.start, p.count);
  }
}

void RingReduceScatter(Run& run, Primitives& primitives) {
  const int ranks = run.ranks();
  auto part = [&](int k) {
    return static_cast<ssize_t>(run.block.channel.ring[k]) * static_cast<ssize_t>(run.share.total);
  };
  ForEachPiece(run.share, [&](Piece p) {
    primitives.Send(p.start + part(ranks - 1), p.count);
    for (int j = 2; j < ranks; j++) primitives.RecvReduceSend(p.start + part(ranks - j), p.count);
    primitives.RecvReduceCopy(p.start + part(0), p.start, p.count);
  });
}

// With `net_to_net`, whole parts go from user buffer to user buffer, this rank's own included.
void RingAllGather(Run& run, Primitives& primitives, bool net_to_net) {
  const int ranks = run.ranks();
  const auto element = static_cast<ssize_t>(run.reducer.element);
  auto* input = static_cast<char*>(run.work.send_buffer);
  auto* output = static_cast<char*>(run.work.recv_buffer);
  auto part = [&](int k) {
    return static_cast<ssize_t>(run.block.channel.ring[k]) * static_cast<ssize_t>(run.share.total);
  };
  ForEachPiece(run.share, [&](Piece p) {
    ssize_t own = p.start + part(0);
    if (net_to_net || input + p.start * element == output + own * element) {
      primitives.Send(p.start, p.count);
    } else {
      primitives.CopySend(p.start, own, p.count);
    }
    for (int j = 1; j < ranks - 1; j++) primitives.RecvCopySend(p.start + part(ranks - j), p.count);
    primitives.Recv(p.start + part(1), p.count);
  });
  if (!net_to_net) return;
  auto start = static_cast<ssize_t>(run.share.start);
  char* from = HostAlias(input + start * element);
  char* to = HostAlias(output + (start + part(0)) * element);
  if (from != to) memmove(to, from, run.share.count * run.reducer.element);
}

void RingBroadcast(Run& run, Primitives& primitives) {
  const int* ring = run.block.channel.ring;
  const auto root = static_cast<int>(run.work.root);
  ForEachPiece(run.share, [&](Piece p) {
    if (ring[0] == root) {
      run.work.send_buffer == run.work.recv_buffer ? primitives.Send(p.start, p.count)
                                                   : primitives.CopySend(p.start, p.start, p.count);
    } else if (ring[1] == root) {
      primitives.Recv(p.start, p.count);
    } else {
      primitives.RecvCopySend(p.start, p.count);
    }
  });
}

void RingReduce(Run& run, Primitives& primitives) {
  const int* ring = run.block.channel.ring;
  const auto root = static_cast<int>(run.work.root);
  ForEachPiece(run.share, [&](Piece p) {
    if (ring[run.ranks() - 1] == root) {
      primitives.Send(p.start, p.count);
    } else if (run.block.comm->rank == root) {
      primitives.RecvReduceCopy(p.start, p.start, p.count);
    } else {
      primitives.RecvReduceSend(p.start, p.count);
    }
  });
}

// The operator's argument as the reducers take it.
uint64_t OperatorArgument(const CollectiveWork& work, const DeviceFunction& function, size_t element) {
  uint64_t argument = work.operator_argument;
  if (work.operator_is_pointer) {
    auto* pointer = reinterpret_cast<void*>(argument);
    argument = 0;
    memcpy(&argument, HostAlias(pointer), function.op == kSumPostDiv ? sizeof argument : element);
  }
  // Before 2.24 the argument of an integer average is the plain divisor, and signed types have functions of their own.
  bool is_signed = function.type == kI8 || function.type == kI32 || function.type == kI64;
  if (function.op == kSumPostDiv && !GetLayout().new_flags) argument = argument << 1 | is_signed;
  return argument;
}

}  // namespace

void RunCollective(Block& block, const DeviceFunction& function, const CollectiveWork& work) {
  const int collective = function.collective;
  if (work.registered)
    Die("user buffers registered for IPC or NVLS are not emulated: NCCL_LOCAL_REGISTER=0 NCCL_GRAPH_REGISTER=0");
  const bool pat = function.algorithm == kPat && (collective == kAllGather || collective == kReduceScatter);
  if (function.algorithm != kRing && !(function.algorithm == kTree && collective == kAllReduce) && !pat)
    Die("%s with algorithm %s is not emulated", CollectiveName(collective), AlgorithmName(function.algorithm));

  Run run{block, function, work, {}, FindReducer(function.type, function.op), {.protocol = function.protocol}};
  run.work.operator_argument = OperatorArgument(work, function, run.reducer.element);
  run.share = ShareOf(work, block.channel_id, function.protocol, run.reducer.element);
  if (function.algorithm == kTree) return TreeAllReduce(run);
  if (pat) {
    const PatBuffers buffers{HostAlias(static_cast<char*>(work.send_buffer)),
                             HostAlias(static_cast<char*>(work.recv_buffer))};
    return collective == kAllGather ? RunPatGather(block, buffers, run.share, run.reducer)
                                    : RunPatScatter(block, buffers, run.share, run.reducer);
  }

  const bool deep = collective == kAllReduce || collective == kAllGather || collective == kReduceScatter;
  run.options.slices = run.options.slice_steps = deep ? 2 : 1;
  run.options.registered = work.net_registered && function.protocol == kSimple &&
                           (collective == kAllReduce || collective == kAllGather || collective == kBroadcast);
  const bool net_to_net = run.options.registered && work.one_rank_per_node && collective == kAllGather;
  if (net_to_net) {
    run.options.slices = run.options.slice_steps = 1;
    run.options.step_bytes = run.share.chunk = kMaxNetSize;
  }
  Primitives primitives(block, {{block.channel.previous}, {block.channel.next}}, run.buffers(), run.reducer,
                        run.work.operator_argument, run.options);
  switch (collective) {
    case kAllReduce:
      return RingAllReduce(run, primitives);
    case kReduceScatter:
      return RingReduceScatter(run, primitives);
    case kAllGather:
      return RingAllGather(run, primitives, net_to_net);
    case kBroadcast:
      return RingBroadcast(run, primitives);
    case kReduce:
      return RingReduce(run, primitives);
    default:
      Die("collective %s is not emulated", CollectiveName(collective));
  }
}

}  // namespace fakecuda
