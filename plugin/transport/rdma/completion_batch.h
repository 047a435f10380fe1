// Completions as they are read from a device, several at once. What was read behind one that failed waits here until it
// is looked at. Sources of this folder only.
#pragma once
#include <algorithm>
#include <array>

#include "transport/rdma/verbs_pair.h"

namespace relay::transport::rdma {

class CompletionBatch {
 public:
  static constexpr size_t kMost = 16;

  // When the last is taken. False: the completion queue cannot be read, for good.
  bool Read(VerbsPair& verbs, size_t most) {
    const int count = verbs.Poll(read_.data(), static_cast<int>(std::min(most, kMost)));
    next_ = 0;
    count_ = static_cast<size_t>(std::max(count, 0));
    unreadable_ = count < 0;
    return !unreadable_;
  }
  bool empty() const { return next_ == count_; }
  size_t count() const { return count_; }  // as it was read
  const ibv_wc& Next() { return read_[next_++]; }
  bool unreadable() const { return unreadable_; }

 private:
  std::array<ibv_wc, kMost> read_{};
  size_t next_ = 0, count_ = 0;
  bool unreadable_ = false;
};

}  // namespace relay::transport::rdma
