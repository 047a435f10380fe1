// One rank's buffers for a collective, what it launches for a size, and whether the result is right.
#pragma once
#include <vector>

#include "perf/collective.h"
#include "perf/kernel.h"
#include "perf/memory.h"

namespace relay::perf {

class Trial {
 public:
  // Buffers for sizes up to the options' largest.
  static Result<Trial> Make(const Options& options, const World& world, int abi);

  const Collective& collective() const { return *collective_; }
  const Algorithm& algorithm() const { return *algorithm_; }
  // Connections are made from these: every peer that any size may use, by channel.
  std::vector<Steps> AllSteps() const;

  // From here on all is about calls of `bytes`, rounded down to whole elements of all blocks.
  Status SetSize(uint64_t bytes);
  uint64_t count() const { return count_; }
  uint64_t bytes() const;
  Protocol protocol() const { return protocol_; }

  // Fresh data in, rubbish out.
  void Fill(uint32_t seed);
  // One launch per channel.
  std::vector<Launch> Launches(int repetitions) const;
  // Elements of the result that differ in any bit.
  uint64_t Wrong(uint32_t seed) const;

 private:
  Trial(const Options& options, const World& world, const Collective& collective)
      : options_(options),
        world_(world),
        collective_(&collective),
        algorithm_(&AlgorithmOf(collective, options.algorithm)) {}
  Work WorkOf(int channel, uint64_t count, Protocol protocol) const;
  Protocol Choose(uint64_t bytes) const;
  size_t Blocks(bool blocks) const { return blocks ? static_cast<size_t>(world_.ranks) : 1; }

  Options options_;
  World world_;
  int abi_ = 0;
  const Collective* collective_;
  const Algorithm* algorithm_;
  Memory input_, output_, scratch_;
  uint64_t count_ = 0;
  Protocol protocol_ = Protocol::kSimple;
};

}  // namespace relay::perf
