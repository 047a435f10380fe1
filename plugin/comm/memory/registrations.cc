#include "comm/memory/registrations.h"

#include <fcntl.h>

#include <algorithm>

namespace relay::comm {

namespace {

constexpr const char* kGpuAdvice =
    "; set NCCL_RELAY_GDR=off (or NCCL_NET_GDR_LEVEL=LOC) for the whole job, so that NCCL's buffers for the net are in "
    "host memory";

// NCCL places its buffers before it knows the peer: by then it is too late to take others.
tl::unexpected<Error> NoGpuMemory(const std::string& detail) {
  return Fail(ErrorCode::kUsage,
              "GPU memory cannot be registered: the hops of this connection are TCP" + detail + kGpuAdvice);
}

}  // namespace

Result<MemoryRegion*> Registrations::Register(void* data, size_t size, int pointer_kind) {
  std::list<MemoryRegion> made(1);
  made.front().data = static_cast<std::byte*>(data);
  made.front().size = size;
  made.front().gpu = pointer_kind != kHostPointer;
  return Keep(made);
}

Result<MemoryRegion*> Registrations::RegisterDmaBuf(void* data, size_t size, uint64_t offset, int fd) {
  std::list<MemoryRegion> made(1);
  MemoryRegion& region = made.front();
  region.data = static_cast<std::byte*>(data);
  region.size = size;
  region.gpu = true;
  region.offset = offset;
  region.dma_buf = Fd::Born([fd] { return fcntl(fd, F_DUPFD_CLOEXEC, 0); });
  if (!region.dma_buf) {
    return FailErrno(ErrorCode::kSystem, "no descriptor to keep GPU memory by, for other devices (ulimit -n)", errno);
  }
  return Keep(made);
}

Result<MemoryRegion*> Registrations::Keep(std::list<MemoryRegion>& made) {
  std::lock_guard changing(changing_);
  if (closed_) return Fail(ErrorCode::kInternal, "memory is registered with a comm that is closed");
  MemoryRegion& region = made.front();
  RELAY_TRY(RegisterOn(Present(), region));
  if (prepared_) RELAY_TRY(RegisterOn(1 - Present(), region));
  if (region.gpu && receives_ && !flush_) RELAY_TRY(AddFlush());
  std::lock_guard lock(mutex_);
  regions_.splice(regions_.end(), made);
  return &region;
}

// Nobody else looks at this side of the region: it is new, or the side that is not the present one.
Status Registrations::RegisterOn(size_t side, MemoryRegion& region) {
  const Devices& devices = devices_[side];
  if (devices.empty() && region.gpu) return NoGpuMemory("");
  MemoryRegion::OnDevices memory;
  for (const auto& device : devices) {
    auto registered = region.dma_buf
                          ? device->RegisterDmaBuf(region.data, region.size, region.offset, region.dma_buf.get())
                          : device->Register(region.data, region.size);
    RELAY_TRY(registered);
    memory.push_back(std::move(*registered));
  }
  for (size_t i = 0; i < transport::kMaxStripes; ++i) {
    const uint64_t keys =
        i < memory.size() ? uint64_t{memory[i]->remote_key()} << 32 | memory[i]->local_key() : uint64_t{0};
    // Who reads this while it changes has an old turn, and sees a new one behind it.
    region.keys[side][i].store(keys, std::memory_order_release);
  }
  std::lock_guard lock(mutex_);
  region.memory[side] = std::move(memory);
  return {};
}

Status Registrations::AddFlush() {
  auto flush = Flush::Make(devices_[Present()], hop_timeout_);
  RELAY_TRY(flush);
  if (prepared_) {
    auto readers = Flush::ReadersOf(devices_[1 - Present()], hop_timeout_);
    RELAY_TRY(readers);
    next_readers_ = std::move(*readers);
  }
  std::lock_guard lock(mutex_);
  flush_ = std::move(*flush);
  return {};
}

void Registrations::Deregister(MemoryRegion* region) {
  std::lock_guard changing(changing_);
  std::list<MemoryRegion> gone;
  std::lock_guard lock(mutex_);
  const auto it = std::find_if(regions_.begin(), regions_.end(), [region](const auto& r) { return &r == region; });
  if (it != regions_.end()) gone.splice(gone.end(), regions_, it);
}

void Registrations::Clear() {
  std::lock_guard changing(changing_);
  closed_ = true;
  prepared_ = false;
  next_readers_.clear();
  std::list<MemoryRegion> gone;
  std::unique_ptr<Flush> flush;  // goes first
  std::lock_guard lock(mutex_);
  flush.swap(flush_);
  gone.swap(regions_);
}

// The keys are read again until one turn is seen before and after.
transport::StripeKeys Registrations::KeysOf(const void* region) const {
  transport::StripeKeys out{};
  if (region == nullptr) return out;
  const auto& all = static_cast<const MemoryRegion*>(region)->keys;
  uint64_t turn = turn_.load(std::memory_order_acquire), before = 0;
  do {
    before = turn;
    for (size_t i = 0; i < out.size(); ++i) {
      const uint64_t keys = all[before % 2][i].load(std::memory_order_acquire);
      out[i] = {static_cast<uint32_t>(keys), static_cast<uint32_t>(keys >> 32)};
    }
    turn = turn_.load(std::memory_order_acquire);
  } while (turn != before);
  return out;
}

// Every device of the connection may have delivered a part, and only its own read pushes what it wrote.
Result<stream::Request*> Registrations::PostFlush(void* data, size_t size, MemoryRegion* region) {
  if (size == 0 || region == nullptr || !region->gpu) return nullptr;
  std::lock_guard lock(mutex_);
  if (!flush_) return Fail(ErrorCode::kInternal, "iflush of a comm that receives nothing into GPU memory");
  return flush_->Post(reinterpret_cast<uint64_t>(data), region->memory[Present()], region->memory[1 - Present()]);
}

Status Registrations::Prepare(Devices devices) {
  std::lock_guard changing(changing_);
  if (closed_) return {};
  const size_t side = 1 - Present();
  Forget(side);
  devices_[side] = std::move(devices);
  Status done = PrepareSide(side);
  if (!done) Forget(side);
  prepared_ = done.has_value();
  return done;
}

Status Registrations::PrepareSide(size_t side) {
  const bool gpu = std::any_of(regions_.begin(), regions_.end(), [](const auto& region) { return region.gpu; });
  if (gpu && devices_[side].empty()) {
    return Fail(ErrorCode::kUsage,
                std::string("the connection cannot go on over TCP, which does not reach the GPU memory that NCCL has "
                            "registered with it") +
                    kGpuAdvice);
  }
  for (MemoryRegion& region : regions_) RELAY_TRY(RegisterOn(side, region));
  if (!flush_ || devices_[0] == devices_[1]) return {};
  auto readers = Flush::ReadersOf(devices_[side], hop_timeout_);
  RELAY_TRY(readers);
  next_readers_ = std::move(*readers);
  return {};
}

void Registrations::Move() {
  std::lock_guard changing(changing_);
  if (!std::exchange(prepared_, false)) return;
  std::lock_guard lock(mutex_);
  if (!next_readers_.empty()) flush_->Follow(std::move(next_readers_));
  next_readers_.clear();
  turn_.store(turn_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

void Registrations::DropFormer() {
  std::lock_guard changing(changing_);
  if (!prepared_) Forget(1 - Present());
}

// What is registered on the devices that are not the present ones, whether they were or were to be.
void Registrations::Forget(size_t side) {
  next_readers_.clear();
  if (flush_) {
    std::vector<Flush::Target> targets;
    for (const MemoryRegion& region : regions_) {
      if (region.gpu) targets.push_back({reinterpret_cast<uint64_t>(region.data), region.memory[side]});
    }
    flush_->DropFormer(targets);
  }
  std::vector<MemoryRegion::OnDevices> gone;
  std::lock_guard lock(mutex_);
  for (MemoryRegion& region : regions_) gone.push_back(std::move(region.memory[side]));
  devices_[side].clear();
}

}  // namespace relay::comm
