#include "agent/discovery/path_mtu.h"

namespace relay::agent {
namespace {

constexpr uint32_t kLate = 2;  // rounds

}  // namespace

void PathMtu::Said(uint32_t longest, uint32_t rounds) {
  // A copy over another family may come later than what was said after it.
  if (longest == longest_ && rounds < rounds_ && rounds_ - rounds <= kLate) return;
  // What left before this port was heard counts for nothing, nor what another MTU made of it.
  if (longest != longest_ || rounds < rounds_) *this = {}, longest_came_ = rounds;
  longest_ = longest;
  rounds_ = rounds;
}

void PathMtu::Came(uint32_t bytes) {
  if (bytes >= longest_) longest_came_ = rounds_;
  for (size_t i = 0; i < kSmaller.size(); ++i) {
    if (bytes == kSmaller[i]) came_[i] = rounds_;
  }
}

uint32_t PathMtu::limit() const {
  if (longest_ == 0 || rounds_ - longest_came_ < kMissed) return 0;
  for (size_t i = 0; i < kSmaller.size(); ++i) {
    if (kSmaller[i] < longest_ && came_[i] != 0 && rounds_ - came_[i] < kMissed) return kSmaller[i];
  }
  return kSmaller.back();
}

}  // namespace relay::agent
