#include "perf/kernel.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <cstring>

namespace relay::perf {
namespace {

std::span<const float> Read(const Launch& launch, const Place& place, size_t count) {
  if (place.where == Where::kInput) return launch.input.subspan(place.offset, count);
  const auto& buffer = place.where == Where::kOutput ? launch.output : launch.scratch;
  return buffer.subspan(place.offset, count);
}

std::span<float> Write(const Launch& launch, const Place& place, size_t count) {
  return (place.where == Where::kOutput ? launch.output : launch.scratch).subspan(place.offset, count);
}

void Copy(std::span<const float> from, float* to) {
  if (!from.empty()) std::memcpy(to, from.data(), from.size_bytes());
}

// The highest bit below the exponent: in whole numbers from 1 to 1024 no sum of such swallows it.
void FlipBit(float& value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits ^= 1U << 22;
  std::memcpy(&value, &bits, sizeof bits);
}

}  // namespace

Block::Block(int channel, const std::vector<std::unique_ptr<Connection>>& connections, int ranks, Latch& latch,
             std::function<void()> meanwhile)
    : latch_(latch),
      meanwhile_(std::move(meanwhile)),
      receives_(static_cast<size_t>(ranks)),
      sends_(static_cast<size_t>(ranks)) {
  for (const auto& connection : connections) {
    if (connection->channel != channel) continue;
    const bool sends = connection->direction == Direction::kSend;
    Port& port = sends ? To(connection->peer) : From(connection->peer);
    port.connection = connection.get();
    ++ports_;
  }
  thread_ = std::thread([this] { Loop(); });
  ::pthread_setname_np(thread_.native_handle(), fmt::format("kernel {}", channel).c_str());
}

Block::~Block() {
  latch_.Stop();
  {
    std::lock_guard lock(mutex_);
    leave_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void Block::Start(const Launch& launch) {
  std::lock_guard lock(mutex_);
  launch_ = &launch;
  changed_.notify_all();
}

bool Block::Ended(std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, wait, [this] { return launch_ == nullptr; });
}

void Block::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return leave_ || launch_ != nullptr; });
    if (launch_ == nullptr) return;
    const Launch& launch = *launch_;
    lock.unlock();
    Execute(launch);
    lock.lock();
    launch_ = nullptr;
    changed_.notify_all();
  }
}

void Block::Execute(const Launch& launch) {
  size_t longest = 0;
  for (const Step& step : launch.steps) longest = std::max(longest, step.count);
  sum_.resize(std::max(longest, sum_.size()));
  for (int repetition = 0; repetition < launch.repetitions; ++repetition) {
    done_.assign(launch.steps.size(), false);
    for (first_ = 0; first_ < launch.steps.size();) {
      if (latch_.raised()) return;
      const bool moved = Pass(launch);
      if (meanwhile_) {
        meanwhile_();
      } else if (!moved) {
        std::this_thread::yield();
      }
    }
    if (launch.ends) launch.ends->push_back(std::chrono::steady_clock::now());
  }
}

// Every step that can run, in order, until all ports wait for an earlier step.
bool Block::Pass(const Launch& launch) {
  ++pass_;
  bool moved = false;
  size_t free_ports = ports_;
  for (size_t i = first_; i < launch.steps.size(); ++i) {
    if (done_[i]) continue;
    const Step& step = launch.steps[i];
    const bool runs = (step.needs < 0 || done_[static_cast<size_t>(step.needs)]) && Free(step) && Ready(launch, step);
    if (latch_.raised()) return false;
    if (runs) {
      Perform(launch, step);
      done_[i] = moved = true;
    } else {
      for (const auto* ranks : {&step.from, &step.to}) {
        for (int rank : *ranks) {
          Port& port = ranks == &step.from ? From(rank) : To(rank);
          free_ports -= port.blocked != pass_;
          port.blocked = pass_;
        }
      }
      if (free_ports == 0) break;
    }
  }
  while (first_ < launch.steps.size() && done_[first_]) ++first_;
  return moved;
}

bool Block::Free(const Step& step) {
  auto free = [this](const Port& port) { return port.blocked != pass_; };
  return std::all_of(step.from.begin(), step.from.end(), [&](int rank) { return free(From(rank)); }) &&
         std::all_of(step.to.begin(), step.to.end(), [&](int rank) { return free(To(rank)); });
}

bool Block::Ready(const Launch& launch, const Step& step) {
  bool ready = true;
  for (int rank : step.to) {
    const Port& port = To(rank);
    const Connection& c = *port.connection;
    ready = ready && port.next < c.freed.load(std::memory_order_acquire) + c.layouts.Of(launch.protocol).slots;
  }
  for (int rank : step.from) ready = Arrived(launch, From(rank), step.count) && ready;
  return ready;
}

bool Block::Arrived(const Launch& launch, Port& port, size_t count) {
  Connection& c = *port.connection;
  if (launch.protocol == Protocol::kSimple) {
    if (c.filled.load(std::memory_order_acquire) <= port.next) return false;
    const size_t bytes = c.sizes[port.next % c.layouts.simple.slots];
    if (bytes == MessageBytes(launch.protocol, count)) return true;
    latch_.Raise({ErrorCode::kRemote, 0,
                  fmt::format("a message of {} bytes came from rank {}, channel {}, where {} were sent", bytes, c.peer,
                              c.channel, MessageBytes(launch.protocol, count))});
    return false;
  }
  if (port.staged.size() < count) port.staged.resize(count);
  const std::span<float> out(port.staged.data(), count);
  const auto decode = launch.protocol == Protocol::kLl ? DecodeLl : DecodeLl128;
  port.decoded = decode(c.Slot(launch.protocol, port.next), c.Flag(port.next), out, port.decoded);
  return port.decoded == count;
}

// The message itself, which this thread owns until it frees the slot.
std::span<float> Block::Received(const Launch& launch, Port& port, size_t count) {
  float* data = launch.protocol == Protocol::kSimple
                    ? reinterpret_cast<float*>(port.connection->Slot(launch.protocol, port.next))
                    : port.staged.data();
  if (count > 0 && launch.until_corrupt && launch.until_corrupt->fetch_sub(1) == 1) FlipBit(data[0]);
  return {data, count};
}

void Block::Perform(const Launch& launch, const Step& step) {
  std::span<const float> value;
  bool first = true;
  auto add = [&](std::span<const float> more) {
    if (std::exchange(first, false)) {
      value = more;
      return;
    }
    for (size_t i = 0; i < more.size(); ++i) sum_[i] = value[i] + more[i];
    value = std::span<const float>(sum_.data(), more.size());
  };
  if (step.local.where != Where::kNowhere) add(Read(launch, step.local, step.count));
  for (int rank : step.from) add(Received(launch, From(rank), step.count));
  if (step.store.where != Where::kNowhere) {
    const auto out = Write(launch, step.store, step.count);
    if (out.data() != value.data()) Copy(value, out.data());
  }
  for (int rank : step.to) Send(launch, To(rank), value);
  for (int rank : step.from) {
    Port& port = From(rank);
    port.decoded = 0;
    port.connection->freed.store(++port.next, std::memory_order_release);
  }
}

void Block::Send(const Launch& launch, Port& port, std::span<const float> value) {
  Connection& c = *port.connection;
  std::byte* slot = c.Slot(launch.protocol, port.next);
  if (launch.protocol == Protocol::kSimple) Copy(value, reinterpret_cast<float*>(slot));
  if (launch.protocol == Protocol::kLl) EncodeLl(value, c.Flag(port.next), slot);
  if (launch.protocol == Protocol::kLl128) EncodeLl128(value, c.Flag(port.next), slot);
  c.sizes[port.next % c.layouts.Of(launch.protocol).slots] = MessageBytes(launch.protocol, value.size());
  c.filled.store(++port.next, std::memory_order_release);
}

}  // namespace relay::perf
