#include "transport/rdma/device.h"

#include <fcntl.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <tuple>

#include "base/log.h"
#include "transport/rdma/event_table.h"
#include "transport/rdma/memlock.h"
#include "transport/rdma/memory_cache.h"
#include "transport/rdma/port_facts.h"
#include "transport/rdma/verbs.h"

namespace relay::transport::rdma {
namespace {

// One object per name and port, so that registrations are shared. Lives as long as the process; holds no device.
struct OpenDevices {
  using Key = std::tuple<const Verbs*, std::string, uint8_t>;
  std::mutex mutex;
  std::map<Key, std::weak_ptr<Device>> devices;
};

OpenDevices& TheOpenDevices() {
  static auto* const open = new OpenDevices;
  return *open;
}

std::string SizeText(size_t bytes) {
  return bytes >= (1u << 20) ? std::to_string(bytes >> 20) + " MiB" : std::to_string(bytes) + " bytes";
}

// What to do about a registration that was refused.
std::string RegisterAdvice(int error) {
  if (error == ENOMEM) return NoMemoryAdvice();
  if (error == EFAULT) {
    return "it is not writable memory of this process's; GPU memory needs the module nvidia-peermem, or DMA-BUF";
  }
  return "see the kernel's log";
}

}  // namespace

Result<std::shared_ptr<Device>> Device::Open(const std::string& name, uint8_t port, const Verbs* verbs) {
  if (!verbs) {
    auto loaded = LoadVerbs();
    RELAY_TRY(loaded);
    verbs = *loaded;
  }
  auto& open = TheOpenDevices();
  std::lock_guard lock(open.mutex);
  const OpenDevices::Key key(verbs, name, port);
  if (const auto it = open.devices.find(key); it != open.devices.end()) {
    auto device = it->second.lock();
    // Where all its connections sleep, nobody has heard yet that it is gone.
    if (device) device->TakeEvents();
    if (device && !device->trouble()) return device;
  }
  std::shared_ptr<Device> device(new Device(*verbs, name, port));
  RELAY_TRY(device->Start());
  open.devices[key] = device;
  return device;
}

Device::Device(const Verbs& verbs, std::string name, uint8_t port)
    : verbs_(&verbs),
      name_(std::move(name)),
      port_(port),
      memory_(std::make_unique<MemoryCache>()),
      events_(std::make_unique<EventTable>(name_, port)) {}

Device::~Device() {
  if (domain_ && verbs_->dealloc_pd(domain_) != 0) RELAY_WARN("%s keeps a protection domain at its end", name_.c_str());
  if (context_ && verbs_->close_device(context_) != 0) RELAY_WARN("%s does not close", name_.c_str());
}

Status Device::Start() {
  auto context = OpenContext(*verbs_, name_);
  RELAY_TRY(context);
  context_ = *context;
  // Who watches the descriptor must never wait in reading it.
  const int flags = fcntl(context_->async_fd, F_GETFL);
  if (flags < 0 || fcntl(context_->async_fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return FailErrno(ErrorCode::kSystem, "the events of " + name_ + " cannot be made non-blocking");
  }
  auto facts = DescribeDevice(*verbs_, context_, name_, port_);
  RELAY_TRY(facts);
  limits_ = facts->limits;
  infiniband_ = facts->port.infiniband;
  max_message_ = facts->port.max_message;
  active_ = facts->port.active;
  speed_mbit_ = facts->port.speed_mbit;
  errno = 0;
  domain_ = verbs_->alloc_pd(context_);
  if (!domain_) return FailErrno(ErrorCode::kSystem, name_ + " gives no protection domain", errno);
  if (verbs_->reg_dmabuf_mr) {
    // No buffer has this descriptor: whoever says so, and not that the call is unknown, knows the call.
    errno = 0;
    ibv_mr* region = verbs_->reg_dmabuf_mr(domain_, 0, 0, 0, -1, 0);
    supports_dma_buf_ = !region && errno != EOPNOTSUPP && errno != EPROTONOSUPPORT && errno != ENOSYS;
    if (region) verbs_->dereg_mr(region);
  }
  return {};
}

Result<std::shared_ptr<Memory>> Device::Register(void* data, size_t size, Ordering ordering) {
  auto range = PageRange::Around(data, size);
  RELAY_TRY(range);
  int error = 0;
  auto memory = memory_->FindOrMake(*range, ordering, shared_from_this(), [&](const PageRange& pages) {
    const int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
    auto* const begin = reinterpret_cast<void*>(pages.begin);
    const size_t bytes = pages.end - pages.begin;
    errno = 0;
    ibv_mr* region =
        ordering == Ordering::kRelaxed && verbs_->reg_mr_iova2
            ? verbs_->reg_mr_iova2(domain_, begin, bytes, pages.begin, access | IBV_ACCESS_RELAXED_ORDERING)
            : verbs_->reg_mr(domain_, begin, bytes, access);
    error = errno;
    return region;
  });
  if (memory) return memory;
  return FailErrno(ErrorCode::kSystem,
                   name_ + " cannot register " + SizeText(size) + " of memory (" + RegisterAdvice(error) + ")", error);
}

Result<std::shared_ptr<Memory>> Device::RegisterDmaBuf(void* data, size_t size, uint64_t offset, int fd) {
  if (!supports_dma_buf_) {
    return Fail(ErrorCode::kSystem, name_ +
                                        " takes no DMA-BUF: that needs Linux 5.12, a libibverbs of rdma-core 34 and a "
                                        "driver that can; nvidia-peermem does without");
  }
  auto range = PageRange::Around(data, size);
  RELAY_TRY(range);
  // Pages of the address are pages of the buffer.
  const uint64_t skew = reinterpret_cast<uint64_t>(data) - range->begin;
  const uint64_t page = PageRange::Around(nullptr, 1)->end;
  if (offset % page != skew) {
    return Fail(ErrorCode::kUsage, "a DMA-BUF's offset " + std::to_string(offset) +
                                       " does not fit the address of its memory: both must lie alike in their pages");
  }
  int error = 0;
  auto memory = memory_->FindOrMake(*range, Ordering::kRelaxed, shared_from_this(), [&](const PageRange& pages) {
    const int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |
                       (verbs_->reg_mr_iova2 ? IBV_ACCESS_RELAXED_ORDERING : 0);
    errno = 0;
    ibv_mr* region = verbs_->reg_dmabuf_mr(domain_, offset - skew, pages.end - pages.begin, pages.begin, fd, access);
    error = errno;
    return region;
  });
  if (memory) return memory;
  return FailErrno(ErrorCode::kSystem,
                   name_ + " cannot register " + SizeText(size) +
                       " of GPU memory by DMA-BUF (NCCL_DMABUF_ENABLE=0 and the "
                       "module nvidia-peermem do without)",
                   error);
}

uint64_t Device::registered_bytes() const { return memory_->bytes(); }

int Device::event_fd() const { return context_->async_fd; }

void Device::TakeEvents() {
  for (;;) {
    ibv_async_event event{};
    errno = 0;
    if (verbs_->get_async_event(context_, &event) != 0) {
      // Reading ends for good when the driver has let go of the device.
      if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) events_->DeviceGone("its driver has let go of it");
      if (errno != EINTR) return;
      continue;
    }
    const char* name = verbs_->event_type_str(event.event_type);
    const auto news = events_->Take(event, name ? name : "an event without a name");
    verbs_->ack_async_event(&event);
    if (news == EventTable::News::kPortDown || news == EventTable::News::kDeviceGone) active_ = false;
    if (news != EventTable::News::kPortUp) continue;
    if (auto port = DescribePort(*verbs_, context_, name_, port_)) {
      active_ = port->active;
      speed_mbit_ = port->speed_mbit;
    }
  }
}

std::optional<Error> Device::trouble() const { return events_->trouble(); }

Result<Device::PortFacts> Device::ReadPort() const {
  auto port = DescribePort(*verbs_, context_, name_, port_);
  RELAY_TRY(port);
  return PortFacts{
      .active = port->active, .needs_global_header = port->needs_global_header, .lid = port->lid, .mtu = port->mtu};
}

Result<std::vector<Gid>> Device::ReadGids() const {
  auto rows = ReadGidRows(*verbs_, context_, name_, port_);
  RELAY_TRY(rows);
  std::vector<Gid> gids;
  for (const GidRow& row : *rows) {
    // An address vector names it by one byte.
    if (row.gid.index <= UINT8_MAX) gids.push_back(row.gid);
  }
  // The best first: what does not fit is least missed.
  std::stable_sort(gids.begin(), gids.end(), [](const Gid& a, const Gid& b) { return a.type > b.type; });
  if (gids.size() > kMaxGids) gids.resize(kMaxGids);
  return gids;
}

void Device::Watch(ibv_qp* queue_pair, ibv_cq* completions, std::shared_ptr<Trouble> trouble) {
  events_->Watch(queue_pair, completions, std::move(trouble));
}

void Device::Forget(ibv_qp* queue_pair) { events_->Forget(queue_pair); }

}  // namespace relay::transport::rdma
