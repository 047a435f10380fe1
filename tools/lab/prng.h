// Random numbers that are the same for a seed on every machine: SplitMix64. Not for secrets.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

namespace relay::lab {

class Prng {
 public:
  explicit Prng(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // 0 to bound - 1, each equally likely; bound > 0.
  uint64_t Below(uint64_t bound) {
    // The values that do not fill a whole round of `bound` are drawn again.
    const uint64_t leftover = (0 - bound) % bound;
    uint64_t value = Next();
    while (value < leftover) value = Next();
    return value % bound;
  }
  template <class T>
  void Shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[Below(i)]);
  }

 private:
  uint64_t state_;
};

}  // namespace relay::lab
