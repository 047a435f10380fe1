// What others have run on the service thread: when a descriptor of theirs is readable, or at the next housekeeping. Any
// thread but where said otherwise.
#pragma once
#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace relay::stream {

class Callbacks {
 public:
  using Callback = std::function<void()>;

  // Ids of these descriptors in an epoll set; all others are below.
  static constexpr uint64_t kFirstId = uint64_t{1} << 63;

  void WatchFd(int epoll, int fd, Callback callback);
  // After fd was closed, which took it out of the epoll set.
  void ForgetFd(int fd);
  void WatchTime(Callback callback);
  bool any_timed() const;

  // Service thread. Runs without the lock: a callback may add and forget descriptors.
  void OnReadable(uint64_t id);
  // Each once.
  void RunTimed();

 private:
  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, std::pair<int, Callback>> by_fd_;
  std::vector<Callback> timed_;
  uint64_t next_id_ = kFirstId;
};

}  // namespace relay::stream
