// The service thread of a context: drives what is left when NCCL stops calling (ACK, CTS, PING, CLOSE, remnants), and
// runs the callbacks of other descriptors (the agent's socket).
//
// While NCCL drives a stream, the service keeps away from its socket: it only looks, a hundred times a second, whether
// NCCL still calls. A stream that NCCL left alone for one look is driven once and its socket is watched (armed); NCCL's
// next call takes it back. A stream that NCCL does not drive yet, or has closed, is attended to at once: neither set-up
// nor the end of a job waits for a look.
#pragma once
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "stream/callbacks.h"
#include "stream/recovery.h"
#include "stream/rounds.h"
#include "stream/stream.h"

namespace relay::stream {

class ServiceThread {
 public:
  // `housekeeping`: how often deadlines are judged while something waits.
  ServiceThread(const Clock& clock, Duration housekeeping);
  ~ServiceThread() { Stop(); }

  Status Start();
  // `recovery`: of a stream that outlives its circuit; null: it does not.
  void Add(std::shared_ptr<Stream> stream, std::unique_ptr<Recovery> recovery = nullptr);
  // Something has come that some recovery may wait for. Any thread.
  void HaveNews();
  // Runs `callback` on the service thread whenever fd is readable.
  void WatchFd(int fd, Callbacks::Callback callback) { callbacks_.WatchFd(epoll_.get(), fd, std::move(callback)); }
  // After fd was closed, which took it out of the epoll set.
  void ForgetFd(int fd) { callbacks_.ForgetFd(fd); }
  // Runs `callback` at the next housekeeping, once.
  void WatchTime(Callbacks::Callback callback) {
    callbacks_.WatchTime(std::move(callback));
    Wake();
  }
  // NCCL drives a stream again. Any thread, cheap while the service looks anyway.
  void Resume() {
    if (!looking_.load()) Wake();
  }
  // NCCL will not drive this stream again. Any thread.
  void TakeOver(Handover& handover);
  // Until every closed stream is finished; false when that takes longer.
  bool Drain(Duration longest);
  // Joins the thread; streams that are left are dropped with their circuits.
  void Stop();

 private:
  struct Entry {
    std::shared_ptr<Stream> stream;
    std::unique_ptr<Recovery> recovery{};
    uint64_t calls_seen = 0;
    int watched_fd = -1, watched_lane_fd = -1;
    bool waits = true, soon = false;
  };

  void Wake();
  void Run();
  void Wait();
  void OnEvent(uint64_t id);
  void TakeNew();
  void AttendToLeft();
  void TendAll();
  void Look();
  void HouseKeep();
  // Drives the stream; false when it is finished and gone.
  bool AttendTo(uint64_t id, Entry& entry, bool housekeeping, bool arm, bool news = false);
  void Watch(uint64_t id, Entry& entry, const Attention& attention);
  void WatchOnce(uint64_t id, int fd, bool writable, int& watched);
  void Settle();
  const Clock& clock_;
  Fd epoll_, wake_;
  std::thread thread_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> looking_{true};  // a stream is not armed
  std::atomic<bool> any_left_{false};
  std::atomic<bool> news_{false};
  Callbacks callbacks_;

  std::mutex mutex_;  // guards what other threads leave for the service
  std::condition_variable drained_;
  std::vector<Entry> added_;
  size_t streams_ = 0;  // added and not finished

  std::unordered_map<uint64_t, Entry> entries_;  // service thread only
  std::vector<uint64_t> finished_;
  uint64_t next_id_ = 1;
  Rounds rounds_;
};

}  // namespace relay::stream
