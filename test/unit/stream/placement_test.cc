#include "stream/placement.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
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

// Two pages, of which the second takes writes only after a look at what stands before it: the first write there faults.
class Boundary {
 public:
  Boundary() {
    page_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    first_ =
        static_cast<std::byte*>(mmap(nullptr, 2 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (first_ == MAP_FAILED) std::abort();
    struct sigaction act = {};
    act.sa_sigaction = OnFault;
    act.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &act, &former_);
  }
  ~Boundary() {
    sigaction(SIGSEGV, &former_, nullptr);
    munmap(first_, 2 * page_);
  }
  // Whether all of the first `before` bytes were there when the first write behind them was made.
  bool AllBefore(size_t before, const std::vector<std::byte>& from) {
    std::memset(first_, 0, page_);
    if (mprotect(first_ + page_, page_, PROT_NONE) != 0) return false;
    from_ = from.data();
    before_ = before;
    faults_ = 0;
    PlaceInOrder(first_ + page_ - before, from.data(), from.size());
    return faults_ == 1 && in_order_ && std::memcmp(first_ + page_ - before, from.data(), from.size()) == 0;
  }

 private:
  static void OnFault(int, siginfo_t* info, void*) {
    std::byte* second = first_ + page_;
    const auto* at = static_cast<std::byte*>(info->si_addr);
    if (at < second || at >= second + page_) {
      std::signal(SIGSEGV, SIG_DFL);  // a fault of another kind: it comes again, and ends the test
      return;
    }
    faults_ = faults_ + 1;
    in_order_ = std::memcmp(second - before_, from_, before_) == 0;
    mprotect(second, page_, PROT_READ | PROT_WRITE);
  }

  static inline std::byte* first_ = nullptr;
  static inline const std::byte* from_ = nullptr;
  static inline size_t page_ = 0, before_ = 0;
  static inline volatile int faults_ = 0;
  static inline volatile bool in_order_ = false;
  struct sigaction former_ = {};
};

TEST(Placement, GoesFromTheFirstByteToTheLast) {
  Boundary boundary;
  const auto from = fake::Pattern(200, 7);
  for (size_t before = 1; before < from.size(); ++before) EXPECT_TRUE(boundary.AllBefore(before, from)) << before;
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
