#include "comm/memory/flush.h"

#include <unistd.h>

#include <algorithm>

namespace relay::comm {

using stream::Request;
using transport::rdma::FlushPair;
using transport::rdma::Memory;

namespace {

// Reads take microseconds, whatever is before them in the queue.
constexpr Duration kLongestSweep = std::chrono::seconds(1);
constexpr useconds_t kBetweenLooks = 20;

}  // namespace

Result<Flush::Readers> Flush::ReadersOf(std::span<const Device> devices, Duration hop_timeout) {
  Readers out;
  for (const Device& device : devices) {
    auto pair = FlushPair::Make(device, hop_timeout);
    if (!pair) {
      return Fail(pair.error().code,
                  "GPU memory cannot be received into, since " + device->name() +
                      " does not reach itself to flush it: " + pair.error().what,
                  pair.error().sys_errno);
    }
    out.push_back({.device = device, .pair = std::move(*pair)});
  }
  return out;
}

Result<std::unique_ptr<Flush>> Flush::Make(std::span<const Device> devices, Duration hop_timeout) {
  auto readers = ReadersOf(devices, hop_timeout);
  RELAY_TRY(readers);
  std::unique_ptr<Flush> out(new Flush);
  out->present_ = std::move(*readers);
  for (FlushRequest& request : out->requests_) request.flush = out.get();
  return out;
}

// A device that is gone has written its last, long before anybody hears of its end: nothing of it is waited for.
Result<uint64_t> Flush::DoneBy(Reader& reader) {
  if (!reader.gone) {
    auto done = reader.pair->Done();
    if (done) return done;
    reader.device->TakeEvents();
    if (!reader.device->trouble()) return done;
    reader.gone = true;
  }
  return UINT64_MAX;
}

Status Flush::Read(Reader& reader, uint64_t address, const Memory& memory) {
  if (reader.gone) return {};
  return reader.pair->Start({address, memory.remote_key()});
}

// Where there is no room it is an error: "nothing to flush" would be taken for "done".
Result<Request*> Flush::Post(uint64_t address, OnDevices on_devices, OnDevices on_former) {
  std::lock_guard lock(mutex_);
  FlushRequest& request = requests_[posted_ % kMost];
  bool room = request.state == Request::State::kFree && on_devices.size() == present_.size();
  for (Readers* readers : {&present_, &former_}) {
    for (Reader& reader : *readers) {
      RELAY_TRY(DoneBy(reader));
      room = room && (reader.gone || reader.pair->HasRoom());
      reader.until[posted_ % kMost] = 0;
    }
  }
  if (!room) {
    return Fail(ErrorCode::kInternal, "more than " + std::to_string(kMost) + " flushes of one connection at once");
  }
  const auto read = [&](Readers& readers, OnDevices memory) -> Status {
    for (size_t i = 0; i < readers.size() && i < memory.size(); ++i) {
      RELAY_TRY(Read(readers[i], address, *memory[i]));
      readers[i].until[posted_ % kMost] = readers[i].pair->started();
    }
    return {};
  };
  RELAY_TRY(read(present_, on_devices));
  RELAY_TRY(read(former_, on_former));
  request.state = Request::State::kPosted;
  request.message = posted_++;
  return &request;
}

Result<Progress> Flush::Test(FlushRequest& request) {
  std::lock_guard lock(mutex_);
  for (Readers* readers : {&present_, &former_}) {
    for (Reader& reader : *readers) {
      auto done = DoneBy(reader);
      if (!done) {
        request.state = Request::State::kFree;
        return Fail(done.error().code, "a flush of GPU memory failed: " + done.error().what, done.error().sys_errno);
      }
      if (*done < reader.until[request.message % kMost]) return Progress::kAgain;
    }
  }
  request.state = Request::State::kFree;
  return Progress::kDone;
}

void Flush::Follow(Readers readers) {
  std::lock_guard lock(mutex_);
  std::move(present_.begin(), present_.end(), std::back_inserter(former_));
  present_ = std::move(readers);
}

// As many of the targets as there is room to read now; the first that is left.
size_t Flush::Sweep(std::span<const Target> targets, size_t next) {
  const auto ready = [](Reader& reader) {
    if (!DoneBy(reader)) reader.gone = true;  // its queue pair has failed, and nothing else can be asked
    return reader.gone || reader.pair->HasRoom();
  };
  for (; next < targets.size(); ++next) {
    if (!std::all_of(former_.begin(), former_.end(), ready)) break;
    const Target& target = targets[next];
    for (size_t i = 0; i < former_.size() && i < target.on_former.size(); ++i) {
      if (!Read(former_[i], target.address, *target.on_former[i])) former_[i].gone = true;
    }
  }
  return next;
}

bool Flush::Idle() {
  return std::all_of(former_.begin(), former_.end(), [](Reader& reader) {
    auto done = DoneBy(reader);
    return !done || *done >= reader.pair->started();
  });
}

void Flush::DropFormer(std::span<const Target> targets) {
  const SystemClock clock;
  const TimePoint deadline = clock.Now() + kLongestSweep;
  for (size_t next = 0;; usleep(kBetweenLooks)) {
    std::lock_guard lock(mutex_);
    if (former_.empty()) return;
    next = Sweep(targets, next);
    if ((next < targets.size() || !Idle()) && clock.Now() < deadline) continue;
    return former_.clear();
  }
}

}  // namespace relay::comm
