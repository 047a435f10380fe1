// Every algorithm on every number of ranks: the kernels of all ranks in one process, joined by wires in place of a
// plugin.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "perf/collective.h"
#include "perf/kernel.h"

namespace relay::perf {
namespace {

struct Case {
  const char* collective;
  AlgorithmChoice algorithm;
  Protocol protocol;
  int ranks, channels;
  size_t count;
};

struct Rank {
  std::vector<std::unique_ptr<Connection>> connections;
  std::vector<Launch> launches;
  std::vector<float> input, output, scratch;
  std::vector<std::unique_ptr<Block>> blocks;
};

// Small slots, so that counters wrap often.
Layouts SmallLayouts(const Algorithm& algorithm) {
  Layouts layouts = algorithm.layouts;
  layouts.simple.slot_bytes = 256;
  return layouts;
}

class Wires {
 public:
  explicit Wires(const Case& test) : case_(test), ranks_(static_cast<size_t>(test.ranks)) {
    for (int rank = 0; rank < test.ranks; ++rank) Build(rank);
  }

  // True when all kernels ended.
  bool Run() {
    for (Rank& rank : ranks_) {
      for (int channel = 0; channel < case_.channels; ++channel) {
        rank.blocks.push_back(std::make_unique<Block>(channel, rank.connections, case_.ranks, latch_));
        rank.blocks.back()->Start(rank.launches[static_cast<size_t>(channel)]);
      }
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < deadline && !latch_.raised()) {
      bool moved = false, ended = true;
      for (Rank& sender : ranks_) moved = Carry(sender, static_cast<int>(&sender - ranks_.data())) || moved;
      for (const Rank& rank : ranks_) {
        for (const auto& block : rank.blocks) ended = ended && block->Ended({});
      }
      if (ended) return true;
      if (!moved) std::this_thread::yield();
    }
    return false;
  }

  uint64_t Wrong() const {
    uint64_t wrong = 0;
    for (size_t rank = 0; rank < ranks_.size(); ++rank) {
      const Work place = WorkOf(static_cast<int>(rank), 0);
      if (!collective_.has_result(place)) continue;
      const size_t size = case_.count * (collective_.blocks_out ? ranks_.size() : 1);
      for (size_t i = 0; i < size; ++i) wrong += ranks_[rank].output[i] != collective_.expected(i, 7, place);
    }
    return wrong;
  }

  Status status() const { return latch_.status(); }
  std::vector<Rank>& ranks() { return ranks_; }

 private:
  Work WorkOf(int rank, int channel) const {
    Work work;
    work.rank = rank;
    work.ranks = case_.ranks;
    work.root = case_.ranks / 2;
    work.peer = case_.ranks - 1;
    work.channel = channel;
    work.count = case_.count;
    work.slice = 64;
    work.slices_per_chunk = algorithm_.layouts.Of(case_.protocol).slices_per_chunk;
    TakeShare(work, case_.channels);
    return work;
  }

  void Build(int rank) {
    Rank& r = ranks_[static_cast<size_t>(rank)];
    const size_t n = ranks_.size();
    r.input.resize(case_.count * (collective_.blocks_in ? n : 1));
    for (size_t i = 0; i < r.input.size(); ++i) r.input[i] = Contribution(rank, i, 7);
    r.output.assign(case_.count * (collective_.blocks_out ? n : 1), NAN);
    r.scratch.assign(r.input.size(), NAN);
    for (int channel = 0; channel < case_.channels; ++channel) {
      Launch launch;
      launch.steps = algorithm_.steps(WorkOf(rank, channel));
      launch.input = r.input;
      launch.output = r.output;
      launch.scratch = r.scratch;
      launch.protocol = case_.protocol;
      launch.repetitions = 2;
      r.launches.push_back(std::move(launch));
      for (int peer = 0; peer < case_.ranks; ++peer) {
        for (Direction direction : {Direction::kSend, Direction::kReceive}) {
          auto c = std::make_unique<Connection>(direction, peer, channel, SmallLayouts(algorithm_));
          const auto protocol = static_cast<size_t>(case_.protocol);
          c->memory[protocol] = Memory::Map(c->layouts.Of(case_.protocol).bytes()).value();
          r.connections.push_back(std::move(c));
        }
      }
    }
  }

  Connection& Find(int rank, Direction direction, int peer, int channel) {
    for (const auto& c : ranks_[static_cast<size_t>(rank)].connections) {
      if (c->direction == direction && c->peer == peer && c->channel == channel) return *c;
    }
    std::abort();
  }

  // One message of each connection, as a plugin that holds none back. Words of LL go in order, each whole.
  bool Carry(Rank& sender, int rank) {
    bool moved = false;
    for (const auto& from : sender.connections) {
      if (from->direction != Direction::kSend || from->filled.load(std::memory_order_acquire) == from->tested) continue;
      Connection& to = Find(from->peer, Direction::kReceive, rank, from->channel);
      const Layout& layout = to.layouts.Of(case_.protocol);
      if (to.tested == to.freed.load(std::memory_order_acquire) + layout.slots) continue;
      const size_t bytes = from->sizes[from->tested % layout.slots];
      const std::byte* source = from->Slot(case_.protocol, from->tested);
      std::byte* target = to.Slot(case_.protocol, to.tested);
      for (size_t at = 0; at < bytes; at += 8) {
        uint64_t word = 0;
        std::memcpy(&word, source + at, std::min<size_t>(8, bytes - at));
        __atomic_store_n(reinterpret_cast<uint64_t*>(target + at), word, __ATOMIC_RELEASE);
      }
      to.sizes[to.tested % layout.slots] = bytes;
      to.filled.store(++to.tested, std::memory_order_release);
      from->freed.store(++from->tested, std::memory_order_release);
      moved = true;
    }
    return moved;
  }

  const Case case_;
  const Collective& collective_ = *FindCollective(case_.collective);
  const Algorithm& algorithm_ = AlgorithmOf(collective_, case_.algorithm);
  Latch latch_;
  std::vector<Rank> ranks_;
};

void ExpectRight(const Case& test) {
  Wires wires(test);
  const std::string name = std::string(test.collective) + " of " + std::to_string(test.count) + " on " +
                           std::to_string(test.ranks) + " ranks, protocol " +
                           std::to_string(static_cast<int>(test.protocol));
  ASSERT_TRUE(wires.Run()) << name
                           << ": the kernels do not end: " << (wires.status() ? "" : wires.status().error().what);
  EXPECT_EQ(wires.Wrong(), 0U) << name;
}

TEST(PerfAlgorithm, EveryCollectiveIsRightOnAnyNumberOfRanks) {
  for (const char* collective :
       {"all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce", "alltoall", "sendrecv"}) {
    for (int ranks : {1, 2, 3, 5, 8}) {
      for (size_t count : {size_t{1}, size_t{1000}}) {
        ExpectRight({collective, AlgorithmChoice::kRing, Protocol::kSimple, ranks, 2, count});
      }
    }
  }
}

TEST(PerfAlgorithm, TreesAreRightOnAnyNumberOfRanks) {
  for (int ranks = 1; ranks <= 9; ++ranks) {
    ExpectRight({"all_reduce", AlgorithmChoice::kTree, Protocol::kSimple, ranks, 2, 700});
    ExpectRight({"all_gather", AlgorithmChoice::kPat, Protocol::kSimple, ranks, 1, 300});
    ExpectRight({"reduce_scatter", AlgorithmChoice::kPat, Protocol::kSimple, ranks, 1, 300});
  }
}

TEST(PerfAlgorithm, KernelsThatPollFlagsNeedNoOtherSign) {
  for (Protocol protocol : {Protocol::kLl, Protocol::kLl128}) {
    ExpectRight({"all_reduce", AlgorithmChoice::kRing, protocol, 4, 2, 5000});
    ExpectRight({"all_reduce", AlgorithmChoice::kTree, protocol, 4, 2, 5000});
    ExpectRight({"alltoall", AlgorithmChoice::kRing, protocol, 3, 1, 999});
  }
}

TEST(PerfAlgorithm, OneFlippedBitIsWrong) {
  for (Protocol protocol : {Protocol::kSimple, Protocol::kLl, Protocol::kLl128}) {
    Wires wires({"all_reduce", AlgorithmChoice::kRing, protocol, 3, 1, 100});
    std::atomic<int64_t> until{3};
    for (Rank& rank : wires.ranks()) rank.launches[0].repetitions = 1;
    wires.ranks()[1].launches[0].until_corrupt = &until;
    ASSERT_TRUE(wires.Run());
    EXPECT_GT(wires.Wrong(), 0U);
  }
}

// The edges that NCCL's trees have, child to parent.
TEST(PerfAlgorithm, TheDoubleTreeIsThatOfNccl) {
  auto edges = [](int ranks, int tree) {
    std::string out;
    for (int rank = 0; rank < ranks; ++rank) {
      const int parent = TreeParent(rank, ranks, tree);
      if (parent >= 0) out += std::to_string(rank) + "-" + std::to_string(parent) + " ";
    }
    return out;
  };
  EXPECT_EQ(edges(2, 0) + "| " + edges(2, 1), "1-0 | 0-1 ");
  EXPECT_EQ(edges(3, 0) + "| " + edges(3, 1), "1-2 2-0 | 0-1 2-0 ");
  EXPECT_EQ(edges(4, 0) + "| " + edges(4, 1), "1-2 2-0 3-2 | 0-1 1-3 2-1 ");
  EXPECT_EQ(edges(5, 0) + "| " + edges(5, 1), "1-2 2-4 3-2 4-0 | 0-1 2-3 3-0 4-3 ");
  EXPECT_EQ(edges(8, 1), "0-1 1-3 2-1 3-7 4-5 5-3 6-5 ");
}

TEST(PerfAlgorithm, PatOnlyTalksToPowersOfTwo) {
  for (int ranks : {3, 5, 6, 8, 12}) {
    for (int rank = 0; rank < ranks; ++rank) {
      Work work;
      work.rank = rank;
      work.ranks = ranks;
      work.count = work.end = 10;
      work.slice = 64;
      for (const Steps& steps : {PatAllGather(work), PatReduceScatter(work)}) {
        for (const Step& step : steps) {
          for (const auto* peers : {&step.from, &step.to}) {
            for (int peer : *peers) {
              const int up = (peer - rank + ranks) % ranks, down = ranks - up;
              EXPECT_TRUE((up & (up - 1)) == 0 || (down & (down - 1)) == 0) << ranks << ": " << rank << " to " << peer;
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace relay::perf
