#include "stream/service_thread.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cstring>
#include <system_error>

namespace relay::stream {
namespace {

constexpr uint64_t kWakeId = 0;

// No signal of the host process may land on a thread that begins under this.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// The caller may be pinned to one core; this thread would then fight with it for that core.
void ResetAffinity() {
  cpu_set_t all;
  std::memset(&all, 0xff, sizeof all);
  sched_setaffinity(0, sizeof all, &all);
}

}  // namespace

ServiceThread::ServiceThread(const Clock& clock, Duration housekeeping) : clock_(clock), rounds_(housekeeping) {}

Status ServiceThread::Start() {
  epoll_ = Fd::Born([] { return epoll_create1(EPOLL_CLOEXEC); });
  wake_ = Fd::Born([] { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); });
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kWakeId}};
  if (!epoll_ || !wake_ || epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) {
    return FailErrno(ErrorCode::kSystem, "cannot make the service thread's epoll (raise ulimit -n?)");
  }
  try {
    const AllSignalsBlocked blocked;
    thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error& error) {
    return FailErrno(ErrorCode::kSystem,
                     "cannot start a thread: raise `ulimit -u`, or the container's limit of processes",
                     error.code().value());
  }
  pthread_setname_np(thread_.native_handle(), "relay-service");
  return {};
}

void ServiceThread::Stop() {
  if (!thread_.joinable()) return;
  stop_ = true;
  Wake();
  thread_.join();
  entries_.clear();
}

void ServiceThread::Wake() {
  uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof one) < 0) return;  // full: it is awake anyway
}

void ServiceThread::HaveNews() {
  news_ = true;
  Wake();
}

void ServiceThread::Add(std::shared_ptr<Stream> stream, std::unique_ptr<Recovery> recovery) {
  stream->set_recovers(recovery != nullptr);
  {
    std::lock_guard lock(mutex_);
    added_.push_back({.stream = std::move(stream), .recovery = std::move(recovery)});
    ++streams_;
  }
  any_left_ = true;
  Wake();
}

void ServiceThread::TakeOver(Handover& handover) {
  handover.left = true;
  any_left_ = true;
  Wake();
}

bool ServiceThread::Drain(Duration longest) {
  Wake();
  std::unique_lock lock(mutex_);
  return drained_.wait_for(lock, longest, [this] { return streams_ == 0; });
}

void ServiceThread::Run() {
  ResetAffinity();
  while (!stop_) {
    Wait();
    bool any_left = any_left_.exchange(false);  // before: who sets it has added its stream
    TakeNew();
    if (any_left) AttendToLeft();
    if (news_.exchange(false)) TendAll();
    const TimePoint now = clock_.Now();
    if (rounds_.HousekeepingIsDue(now)) HouseKeep();
    if (looking_ && rounds_.LookIsDue(now)) Look();
    Settle();
  }
}

void ServiceThread::Wait() {
  const Duration longest = rounds_.LongestSleep(clock_.Now(), looking_);
  int ms = -1;
  if (longest != Duration::max()) {
    ms = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(longest).count());
  }
  epoll_event events[64];
  int n = epoll_wait(epoll_.get(), events, 64, ms);
  for (int i = 0; i < n; ++i) OnEvent(events[i].data.u64);
}

void ServiceThread::OnEvent(uint64_t id) {
  if (id == kWakeId) {
    uint64_t count;
    if (::read(wake_.get(), &count, sizeof count) < 0) return;
    return;
  }
  if (auto it = entries_.find(id); it != entries_.end()) {
    // A stream that NCCL took back in the meantime is NCCL's to drive.
    if (it->second.stream->handover().armed) AttendTo(id, it->second, /*housekeeping=*/false, /*arm=*/true);
    return;
  }
  if (id >= Callbacks::kFirstId) callbacks_.OnReadable(id);
}

void ServiceThread::TakeNew() {
  std::vector<Entry> added;
  std::lock_guard lock(mutex_);
  added.swap(added_);
  for (Entry& entry : added) entries_[next_id_++] = std::move(entry);
}

void ServiceThread::AttendToLeft() {
  for (auto& [id, entry] : entries_) {
    if (entry.stream->handover().left.exchange(false)) AttendTo(id, entry, /*housekeeping=*/false, /*arm=*/true);
  }
}

void ServiceThread::TendAll() {
  for (auto& [id, entry] : entries_) {
    if (entry.recovery) AttendTo(id, entry, /*housekeeping=*/false, entry.stream->handover().armed, /*news=*/true);
  }
}

void ServiceThread::Look() {
  for (auto& [id, entry] : entries_) {
    if (entry.stream->handover().armed) continue;
    uint64_t calls = entry.stream->handover().calls();
    if (std::exchange(entry.calls_seen, calls) == calls) AttendTo(id, entry, /*housekeeping=*/false, /*arm=*/true);
  }
}

void ServiceThread::HouseKeep() {
  for (auto& [id, entry] : entries_) {
    bool armed = entry.stream->handover().armed;
    if (entry.waits || !armed) AttendTo(id, entry, /*housekeeping=*/true, armed);
  }
  callbacks_.RunTimed();
}

bool ServiceThread::AttendTo(uint64_t id, Entry& entry, bool housekeeping, bool arm, bool news) {
  auto watch = [&](const Attention& attention) {
    if (arm) Watch(id, entry, attention);
  };
  const TimePoint now = clock_.Now();
  Attention attention = entry.stream->Attend(now, housekeeping, watch);
  entry.waits = attention.waits;
  entry.soon = attention.soon;
  const bool needs = attention.need.circuit || attention.need.doubt || attention.need.ended;
  if (entry.recovery && !attention.finished && (needs || news || housekeeping)) {
    entry.recovery->Tend(now, attention.need);
  }
  if (attention.finished) finished_.push_back(id);
  return !attention.finished;
}

void ServiceThread::Watch(uint64_t id, Entry& entry, const Attention& attention) {
  entry.stream->handover().armed = true;
  WatchOnce(id, attention.fd, attention.wants_write, entry.watched_fd);
  WatchOnce(id, attention.lane_fd, /*writable=*/false, entry.watched_lane_fd);
}

void ServiceThread::WatchOnce(uint64_t id, int fd, bool writable, int& watched) {
  if (fd >= 0) {
    epoll_event event{.events = EPOLLIN | EPOLLONESHOT, .data = {.u64 = id}};
    if (writable) event.events |= EPOLLOUT;
    // A new circuit's descriptor may have the number of the last one's, which left the set when it was closed.
    const bool known = watched == fd && epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0;
    if (!known) epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }
  watched = fd;  // closing it took it out of the epoll set
}

// Drops what is finished and decides how long the next wait may be.
void ServiceThread::Settle() {
  for (uint64_t id : finished_) {
    if (entries_.erase(id) == 0) continue;
    std::lock_guard lock(mutex_);
    if (--streams_ == 0) drained_.notify_all();
  }
  finished_.clear();
  looking_ = false;  // before the check: a stream taken back after it finds this and wakes us
  bool look = false, waits = callbacks_.any_timed(), soon = false;
  for (auto& [id, entry] : entries_) {
    const bool armed = entry.stream->handover().armed;
    look = look || !armed;
    waits = waits || entry.waits || !armed;
    soon = soon || entry.soon;
  }
  if (look) looking_ = true;
  rounds_.Settle(clock_.Now(), waits, soon);
}

}  // namespace relay::stream
