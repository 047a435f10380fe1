// Sentences of which every channel brings the same: each is said aloud once. Any thread.
#pragma once
#include <mutex>
#include <set>
#include <string>

#include "base/log.h"

namespace relay::comm {

class SayOnce {
 public:
  void Warn(const std::string& sentence) {
    if (sentence.empty()) return;
    std::lock_guard lock(mutex_);
    if (said_.insert(sentence).second) RELAY_WARN("%s", sentence.c_str());
  }

 private:
  std::mutex mutex_;
  std::set<std::string> said_;
};

}  // namespace relay::comm
