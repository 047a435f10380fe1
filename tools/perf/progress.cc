#include "perf/progress.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>

#include "perf/runner.h"

namespace relay::perf {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLatchGlance(100);  // how often a sleeping thread looks at the latch
constexpr std::chrono::seconds kProgressFarewell(10);
constexpr int kUnwrittenSize = -77;

void* const kHint = reinterpret_cast<void*>(NCCL_NET_OPTIONAL_RECV_COMPLETION);

}  // namespace

ProgressThread::ProgressThread(const Facts& facts, Latch& latch) : facts_(facts), latch_(latch) {
  if (facts_.borrowed) return;
  thread_ = std::thread([this] { Loop(); });
  ::pthread_setname_np(thread_.native_handle(), "progress");
}

ProgressThread::~ProgressThread() {
  latch_.Stop();
  Join();
}

void ProgressThread::Join() {
  if (!thread_.joinable()) return;
  {
    std::unique_lock lock(mutex_);
    changed_.notify_all();
    if (!changed_.wait_for(lock, kProgressFarewell, [this] { return left_; })) QuitStuck("progress");
  }
  thread_.join();
}

void ProgressThread::Post(const std::vector<Operation>& operations) {
  std::lock_guard lock(mutex_);
  posted_.insert(posted_.end(), operations.begin(), operations.end());
  idle_ = posted_.empty() && idle_;
  changed_.notify_all();
}

bool ProgressThread::Idle(milliseconds wait) {
  if (facts_.borrowed) return TurnUntilIdle(wait);
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, wait, [this] { return idle_; });
}

bool ProgressThread::TurnUntilIdle(milliseconds wait) {
  const auto deadline = std::chrono::steady_clock::now() + wait;
  while (!latch_.raised()) {
    Turn();
    {
      std::lock_guard lock(mutex_);
      if (idle_) return true;
    }
    if (std::chrono::steady_clock::now() >= deadline) return false;
  }
  return false;
}

bool ProgressThread::Turn() {
  std::vector<Operation> fresh;
  {
    std::unique_lock lock(mutex_);
    if (active_.empty() && posted_.empty()) {
      idle_ = true;
      changed_.notify_all();
      if (facts_.borrowed) return false;
      changed_.wait_for(lock, kLatchGlance, [this] { return !posted_.empty() || latch_.raised(); });
    }
    fresh.swap(posted_);
  }
  if (!fresh.empty()) facts_.net->SetNetAttributes(facts_.context);
  for (const Operation& operation : fresh) Adopt(operation);
  return Pass();
}

void ProgressThread::Loop() {
  while (!latch_.raised()) {
    if (!Turn()) std::this_thread::yield();
  }
  std::lock_guard lock(mutex_);
  left_ = true;
  changed_.notify_all();
}

void ProgressThread::Adopt(const Operation& operation) {
  Connection* connection = operation.connection;
  auto found =
      std::find_if(active_.begin(), active_.end(), [&](const Active& a) { return a.connection == connection; });
  if (found != active_.end()) {
    found->queue.push_back(operation);
  } else {
    active_.push_back({connection, {operation}, connection->posted + operation.messages});
  }
}

bool ProgressThread::Pass() {
  bool moved = false;
  for (Active& active : active_) {
    auto advanced = Advance(active);
    if (!advanced) {
      latch_.Raise(advanced.error());
      return false;
    }
    moved = moved || *advanced;
  }
  std::erase_if(active_, [](const Active& active) { return active.queue.empty(); });
  return moved;
}

Result<bool> ProgressThread::Advance(Active& active) {
  auto moved = active.connection->direction == Direction::kSend ? AdvanceSend(active) : AdvanceReceive(active);
  if (!moved) return moved;
  if (active.connection->tested == active.end) {
    active.queue.pop_front();
    if (!active.queue.empty()) active.end += active.queue.front().messages;
  }
  return moved;
}

// At most one post and one test, of the oldest, per pass: so NCCL's thread is fair to all connections.
Result<bool> ProgressThread::AdvanceSend(Active& active) {
  Connection& c = *active.connection;
  const Protocol protocol = active.queue.front().protocol;
  const Layout& layout = c.layouts.Of(protocol);
  bool moved = false;
  if (c.posted < active.end && c.posted < c.tested + layout.slots &&
      c.posted < c.filled.load(std::memory_order_acquire)) {
    const size_t slot = c.posted % layout.slots;
    void** request = &c.requests[slot];  // still the older request of this slot
    const ncclResult_t result = facts_.net->Isend(c.comm, c.Slot(protocol, c.posted), c.sizes[slot], facts_.rank,
                                                  c.mhandles[static_cast<size_t>(protocol)], request);
    if (result != ncclSuccess) return Failed("isend()", c, result);
    if (*request != nullptr) {
      ++c.posted;
      NotePosted();
      moved = true;
    }
  }
  if (c.tested == c.posted) return moved;
  const size_t slot = c.tested % layout.slots;
  int size = kUnwrittenSize;
  auto done = Test(c.requests[slot], facts_.net->tells_sent_size() ? &size : nullptr, c);
  if (!done || !*done) return done ? moved : done;
  NoteCompleted(c);
  c.freed.store(c.tested, std::memory_order_release);
  return true;
}

void ProgressThread::NotePosted() {
  if (facts_.gap) gap_.Posted(GapMeter::Clock::now());
}

void ProgressThread::NoteCompleted(Connection& c) {
  ++c.tested;
  latch_.moved.fetch_add(1, std::memory_order_relaxed);
  if (facts_.gap) gap_.Completed(GapMeter::Clock::now());
}

// Once: what comes after the first time is posted as soon as it can be.
bool ProgressThread::IsLate() {
  if (facts_.late.count() == 0) return false;
  const auto now = GapMeter::Clock::now();
  if (!receives_from_) receives_from_ = now + facts_.late;
  return now < *receives_from_;
}

Result<bool> ProgressThread::AdvanceReceive(Active& active) {
  auto posted = PostReceive(active);
  if (!posted) return posted;
  auto tested = TestReceive(active);
  if (!tested) return tested;
  return *posted || *tested;
}

Result<bool> ProgressThread::PostReceive(Active& active) {
  Connection& c = *active.connection;
  const Protocol protocol = active.queue.front().protocol;
  const Layout& layout = c.layouts.Of(protocol);
  if (c.posted == active.end || c.posted == c.tested + layout.slots ||
      c.posted == c.freed.load(std::memory_order_acquire) + layout.slots) {
    return false;
  }
  if (IsLate()) return false;
  const size_t slot = c.posted % layout.slots;
  void** request = &c.requests[slot];
  // Beside the hint, the slot holds nothing or the last flush.
  const bool hint = protocol != Protocol::kSimple && facts_.net->takes_hint();
  *request = hint ? kHint : c.flushes[slot];
  const ncclResult_t result = facts_.net->Irecv(c.comm, c.Slot(protocol, c.posted), layout.slot_bytes, c.peer,
                                                c.mhandles[static_cast<size_t>(protocol)], request);
  if (result != ncclSuccess) return Failed("irecv()", c, result);
  if (*request == kHint) return Broken("irecv() left the hint 0x1 in *request", c);
  if (*request == nullptr) return false;
  c.flushes[slot] = nullptr;
  ++c.posted;
  NotePosted();
  return true;
}

Result<bool> ProgressThread::TestReceive(Active& active) {
  Connection& c = *active.connection;
  const Protocol protocol = active.queue.front().protocol;
  const uint64_t slots = c.layouts.Of(protocol).slots;
  if (c.tested == c.posted) return false;
  const size_t slot = c.tested % slots;
  if (c.flushes[slot] != nullptr) {
    auto flushed = Test(c.flushes[slot], nullptr, c);
    if (!flushed || !*flushed) return flushed;
  } else {
    int size = kUnwrittenSize;
    auto done = Test(c.requests[slot], &size, c);
    if (!done || !*done) return done;
    const Layout& layout = c.layouts.Of(protocol);
    if (size == kUnwrittenSize) return Broken("test() left *sizes unwritten", c);
    if (size < 0 || static_cast<size_t>(size) > layout.slot_bytes) {
      return Broken(fmt::format("test() says that {} bytes came into a slot of {}", size, layout.slot_bytes), c);
    }
    c.sizes[slot] = static_cast<size_t>(size);
    if (facts_.flush && protocol == Protocol::kSimple && size > 0) {
      const ncclResult_t result =
          facts_.net->Iflush(c.comm, c.Slot(protocol, c.tested), size, c.mhandles[0], &c.flushes[slot]);
      if (result != ncclSuccess) return Failed("iflush()", c, result);
      if (c.flushes[slot] != nullptr) return true;
    }
  }
  NoteCompleted(c);
  c.filled.store(c.tested, std::memory_order_release);
  return true;
}

Result<bool> ProgressThread::Test(void* request, int* size, const Connection& connection) {
  int done = kUnwrittenSize;
  const ncclResult_t result = facts_.net->Test(request, &done, size);
  if (result != ncclSuccess) return Failed("test()", connection, result);
  if (done != 0 && done != 1) return Broken("test() left *done unwritten", connection);
  return done == 1;
}

tl::unexpected<Error> ProgressThread::Failed(const char* call, const Connection& c, ncclResult_t result) const {
  return Broken(fmt::format("{} failed with {}", call, ResultText(result)), c);
}

tl::unexpected<Error> ProgressThread::Broken(const std::string& what, const Connection& c) const {
  return Fail(ErrorCode::kRemote, fmt::format("{} on the connection {} rank {}, channel {}", what,
                                              c.direction == Direction::kSend ? "to" : "from", c.peer, c.channel));
}

}  // namespace relay::perf
