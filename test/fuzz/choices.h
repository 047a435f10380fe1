// A fuzzer's input as a series of choices. Numbers are taken from its end and bytes from its beginning, so that a
// change of one does not shift all that follow; when nothing is left, every choice is the least one.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <span>
#include <vector>

namespace relay::fuzz {

class Choices {
 public:
  Choices(const uint8_t* data, size_t size) : left_(data, size) {}

  bool any_left() const { return !left_.empty(); }

  // From `least` to `most`, both included. It takes as many bytes as the range needs.
  template <class T>
  T Between(T least, T most) {
    const uint64_t range = static_cast<uint64_t>(most) - static_cast<uint64_t>(least);
    uint64_t number = 0;
    for (unsigned bits = 0; bits < 8 * sizeof(T) && (range >> bits) != 0 && !left_.empty(); bits += 8) {
      number = number << 8 | left_.back();
      left_ = left_.first(left_.size() - 1);
    }
    if (range != std::numeric_limits<uint64_t>::max()) number %= range + 1;
    return static_cast<T>(static_cast<uint64_t>(least) + number);
  }
  uint64_t Number() { return Between<uint64_t>(0, std::numeric_limits<uint64_t>::max()); }
  bool Yes() { return (Between<uint8_t>(0, 255) & 1) != 0; }

  template <class T>
  T OneOf(std::initializer_list<T> values) {
    return *(values.begin() + Between<size_t>(0, values.size() - 1));
  }

  // At most so many.
  std::vector<std::byte> Bytes(size_t most) {
    const auto taken = std::as_bytes(left_.first(std::min(most, left_.size())));
    left_ = left_.subspan(taken.size());
    return {taken.begin(), taken.end()};
  }

 private:
  std::span<const uint8_t> left_;
};

}  // namespace relay::fuzz
