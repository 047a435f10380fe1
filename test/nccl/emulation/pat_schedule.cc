#include "emulation/pat_schedule.h"

#include <bit>
#include <utility>

#include "emulation/layout.h"

namespace fakecuda {
namespace {

int ParentOf(int block) { return block & (block - 1); }

int Log2(int power) { return std::countr_zero(static_cast<unsigned>(power)); }

// The i-th of `count` (a power of two) numbers in the order in which a scatter takes them: from the number with all
// bits set down to 0, most significant bit changing fastest.
int Backwards(int i, int count) {
  int number = 0;
  for (int bit = 1; bit < count; bit *= 2)
    if (!(i & bit)) number += count / 2 / bit;
  return number;
}

class Builder {
 public:
  Builder(int ranks, PatSizes sizes) : ranks_(ranks) {
    const int power = static_cast<int>(std::bit_ceil(static_cast<unsigned>(ranks)));
    // Small blocks share messages as long as two fit into half a chunk; then rounds grow while messages last.
    for (size_t bytes = sizes.share; 2 * bytes <= sizes.chunk && together_ < ranks / 2; bytes *= 2) together_ *= 2;
    per_message_ = together_;
    for (int depth = kSteps; depth > 1 && together_ < ranks / 2; depth /= 2) together_ *= 2;
    stride_ = power / together_;
    schedule_.dimensions = Log2(power);
    schedule_.places.resize(static_cast<size_t>(ranks));
    schedule_.uses.resize(static_cast<size_t>(ranks));
    schedule_.messages.resize(static_cast<size_t>(schedule_.dimensions));
  }

  PatSchedule Gather() {
    for (int dimension = schedule_.dimensions - 1; dimension >= Log2(stride_); dimension--) {
      std::vector<int> round;
      for (int block = 1 << dimension; block < ranks_; block += 2 << dimension) round.push_back(block);
      Place(round, true);
      for (int block : round) AddStep(ParentOf(block), block);
    }
    GatherBelow(0, Log2(stride_));
    return std::move(schedule_);
  }

  PatSchedule Scatter(bool count_absent) {
    for (int residue = stride_ - 1; residue > 0; residue--) Place(ScatterRound(residue), count_absent);
    for (int scale = 1; scale < together_; scale *= 2) Place(ScatterTrunk(scale), count_absent);

    for (int residue = stride_ - 1; residue > 0; residue--) {
      const std::vector<int> round = ScatterRound(residue);
      if (residue % 2)
        for (int block : round) AddStep(block, kNoBlock);
      if (residue > 1)
        for (int child : round) AddStep(ParentOf(child), child);
    }
    for (int scale = 1; scale < together_; scale *= 2) {
      for (int block : ScatterTrunk(scale)) AddStep(block, block + 1);
      for (int child : ScatterTrunk(scale)) AddStep(ParentOf(child), child);
    }
    AddStep(0, 1);
    return std::move(schedule_);
  }

 private:
  // The tree of residues below `residue`, largest children first, each before its own children.
  void GatherBelow(int residue, int dimensions) {
    for (int dimension = dimensions - 1; dimension >= 0; dimension--) {
      const int child = residue + (1 << dimension);
      std::vector<int> round;
      for (int block = child; block < ranks_; block += stride_) round.push_back(block);
      Place(round, true);
      for (int block : round) AddStep(ParentOf(block), block);
      if (dimension == 0) {
        // A block that nobody needs any more is kept all the same.
        for (int block = residue; block < ranks_; block += stride_)
          if (block + 1 >= ranks_) AddStep(block, kNoBlock);
        for (int block : round) AddStep(block, kNoBlock);
      }
      GatherBelow(child, dimension);
    }
  }

  std::vector<int> ScatterRound(int residue) const {
    std::vector<int> round;
    for (int i = 0; i < together_; i++) round.push_back(Backwards(i, together_) * stride_ + residue);
    return round;
  }

  std::vector<int> ScatterTrunk(int scale) const {
    std::vector<int> round;
    const int count = together_ / (2 * scale);
    for (int i = 0; i < count; i++) round.push_back((2 * Backwards(i, count) + 1) * scale * stride_);
    return round;
  }

  bool Exists(int block) const { return block < ranks_; }

  // Puts the blocks of a round, all of one dimension, into messages.
  void Place(const std::vector<int>& round, bool count_absent) {
    int position = 0, group = -1;
    PatPlace* previous = nullptr;
    for (int block : round) {
      if (!Exists(block)) {
        position += count_absent;
        continue;
      }
      int& messages = schedule_.messages[static_cast<size_t>(PatDimension(block))];
      if (position / per_message_ == group) {
        previous->last = false;
      } else {
        group = position / per_message_;
        messages++;
      }
      previous = &schedule_.places[static_cast<size_t>(block)];
      *previous = {.message = messages - 1, .index = position % per_message_, .last = true};
      position++;
    }
  }

  void AddStep(int block, int child) {
    if (!Exists(block)) return;
    schedule_.steps.push_back({block, child != kNoBlock && Exists(child) ? child : kNoBlock});
    schedule_.uses[static_cast<size_t>(block)]++;
  }

  const int ranks_;
  int together_ = 1;     // blocks of a round
  int per_message_ = 1;  // blocks of a message
  int stride_ = 1;       // between the blocks of a round
  PatSchedule schedule_;
};

}  // namespace

int PatDimension(int block) { return std::countr_zero(static_cast<unsigned>(block)); }

PatSchedule PatGather(int ranks, PatSizes sizes) { return Builder(ranks, sizes).Gather(); }

PatSchedule PatScatter(int ranks, PatSizes sizes, bool count_absent) {
  return Builder(ranks, sizes).Scatter(count_absent);
}

}  // namespace fakecuda
