#include "stream/placement.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "fake/stream_pair.h"

namespace relay::stream {
namespace {

TEST(Placement, CopiesEveryLengthAtEveryAlignmentAndNothingElse) {
  for (size_t shift = 0; shift < 8; ++shift) {
    for (size_t size = 0; size < 70; ++size) {
      auto from = fake::Pattern(size, 5);
      alignas(8) std::byte to[96];
      std::fill(std::begin(to), std::end(to), std::byte{0xee});
      PlaceInOrder(to + shift, from.data(), size);
      for (size_t i = 0; i < sizeof to; ++i) {
        bool inside = i >= shift && i < shift + size;
        ASSERT_EQ(to[i], inside ? from[i - shift] : std::byte{0xee}) << shift << " " << size << " " << i;
      }
    }
  }
}

// A reader that polls the last word must find all words before it.
TEST(Placement, AReaderThatSeesTheLastWordSeesAllOthers) {
  constexpr size_t kWords = 512;
  std::vector<uint64_t> slot(kWords), source(kWords);
  for (uint64_t round = 1; round <= 2000; ++round) {
    std::thread reader([&] {
      while (__atomic_load_n(&slot[kWords - 1], __ATOMIC_ACQUIRE) != round) {
      }
      for (size_t i = 0; i < kWords; ++i) ASSERT_EQ(__atomic_load_n(&slot[i], __ATOMIC_RELAXED), round);
    });
    std::fill(source.begin(), source.end(), round);
    PlaceInOrder(reinterpret_cast<std::byte*>(slot.data()), reinterpret_cast<std::byte*>(source.data()), kWords * 8);
    reader.join();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace relay::stream
