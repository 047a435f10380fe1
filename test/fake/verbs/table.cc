// Devices and regions of FakeVerbs.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "fake/verbs/events.h"

namespace relay::fake {
namespace {

using Lock = std::unique_lock<std::mutex>;

ibv_context* OpenDevice(ibv_device* which) {
  auto& device = *static_cast<FakeDevice*>(which);
  auto& state = *device.state;
  Lock lock(state.mutex);
  if (const int error = state.Enter("open_device")) return NullWith(error);
  auto* context = new FakeContext;
  static_cast<ibv_context&>(*context) = {};
  context->state = &state;
  context->hardware = &device;
  context->device = which;
  if (!context->events.Open()) {
    delete context;
    return nullptr;
  }
  context->async_fd = context->events.fd;
  context->cmd_fd = -1;
  FillOps(context->ops);
  device.open.insert(context);
  state.contexts.insert(context);
  return context;
}

int CloseDevice(ibv_context* which) {
  auto* context = static_cast<FakeContext*>(which);
  auto& state = *context->state;
  Lock lock(state.mutex);
  if (const int error = state.Enter("close_device", true)) return error;
  context->hardware->open.erase(context);
  state.contexts.erase(context);
  context->events.Close();
  delete context;
  return 0;
}

int GetAsyncEvent(ibv_context* which, ibv_async_event* out) {
  auto* context = static_cast<FakeContext*>(which);
  Lock lock(context->state->mutex);
  auto event = context->events.Pop();
  if (!event) {
    errno = context->hardware->unplugged ? EIO : EAGAIN;
    return -1;
  }
  *out = *event;
  if (event->event_type == IBV_EVENT_CQ_ERR) ++static_cast<FakeQueue*>(event->element.cq)->unacknowledged_async;
  if (IsPairEvent(event->event_type)) ++static_cast<FakePair*>(event->element.qp)->unacknowledged;
  return 0;
}

void AckAsyncEvent(FakeVerbs::State& state, ibv_async_event* event) {
  Lock lock(state.mutex);
  if (event->event_type == IBV_EVENT_CQ_ERR) --static_cast<FakeQueue*>(event->element.cq)->unacknowledged_async;
  if (IsPairEvent(event->event_type)) --static_cast<FakePair*>(event->element.qp)->unacknowledged;
  state.acknowledged.notify_all();
}

int QueryDevice(ibv_context* which, ibv_device_attr* out) {
  auto* context = static_cast<FakeContext*>(which);
  Lock lock(context->state->mutex);
  if (const int error = context->state->Enter("query_device", which)) return error;
  const DeviceSpec& spec = context->hardware->spec;
  *out = {};
  out->phys_port_cnt = static_cast<uint8_t>(spec.ports.size());
  out->max_qp_wr = static_cast<int>(spec.work_requests);
  out->max_sge = static_cast<int>(spec.pieces);
  out->max_cqe = static_cast<int>(spec.completions);
  out->max_qp_rd_atom = out->max_qp_init_rd_atom = 16;
  return 0;
}

int QueryPort(ibv_context* which, uint8_t number, ibv_port_attr* out) {
  auto* context = static_cast<FakeContext*>(which);
  Lock lock(context->state->mutex);
  if (const int error = context->state->Enter("query_port", which)) return error;
  auto& ports = context->hardware->spec.ports;
  if (number == 0 || number > ports.size()) return EINVAL;
  const PortSpec& port = ports[number - 1u];
  *out = {};
  out->state = port.up ? IBV_PORT_ACTIVE : IBV_PORT_DOWN;
  out->max_mtu = IBV_MTU_4096;
  out->active_mtu = static_cast<ibv_mtu>(std::bit_width(port.mtu) - 8);
  for (const auto& gid : port.gids) out->gid_tbl_len = std::max(out->gid_tbl_len, gid.index + 1);
  out->max_msg_sz = port.max_message;
  out->lid = port.lid;
  out->active_width = 2;   // 4 lanes
  out->active_speed = 64;  // of 50 Gbit/s
  out->link_layer = port.infiniband ? IBV_LINK_LAYER_INFINIBAND : IBV_LINK_LAYER_ETHERNET;
  if (port.needs_global_header) out->flags = IBV_QPF_GRH_REQUIRED;
  return 0;
}

ssize_t QueryGidTable(ibv_context* which, ibv_gid_entry* out, size_t most) {
  auto* context = static_cast<FakeContext*>(which);
  Lock lock(context->state->mutex);
  if (const int error = context->state->Enter("query_gid_table", which)) return -error;
  size_t count = 0;
  uint32_t number = 0;
  for (const PortSpec& port : context->hardware->spec.ports) {
    ++number;
    for (const auto& gid : port.gids) {
      if (count == most) return -EINVAL;
      ibv_gid_entry& entry = out[count++];
      entry = {};
      std::memcpy(entry.gid.raw, gid.bytes.data(), gid.bytes.size());
      entry.gid_index = gid.index;
      entry.port_num = number;
      entry.gid_type = static_cast<uint32_t>(gid.type);
    }
  }
  return static_cast<ssize_t>(count);
}

ibv_pd* AllocDomain(ibv_context* which) {
  auto& state = *static_cast<FakeContext*>(which)->state;
  Lock lock(state.mutex);
  if (const int error = state.Enter("alloc_pd", which)) return NullWith(error);
  auto* domain = new FakeDomain;
  domain->context = which;
  domain->state = &state;
  ++state.domains;
  return domain;
}

int DeallocDomain(ibv_pd* which) {
  auto* domain = static_cast<FakeDomain*>(which);
  auto& state = *domain->state;
  Lock lock(state.mutex);
  if (const int error = state.Enter("dealloc_pd", true)) return error;
  if (domain->users > 0) return EBUSY;
  --state.domains;
  delete domain;
  return 0;
}

ibv_mr* NewRegion(ibv_pd* which, uint64_t first, std::byte* bytes, size_t size, unsigned access) {
  auto* domain = static_cast<FakeDomain*>(which);
  auto& state = *domain->state;
  auto* region = new FakeRegion;
  static_cast<ibv_mr&>(*region) = {};
  region->context = which->context;
  region->pd = which;
  region->addr = bytes;
  region->length = size;
  // Never the same number for both, so that one given for the other is found out.
  region->lkey = state.next_key++;
  region->rkey = state.next_key++ | 0x80000000u;
  region->state = &state;
  region->first = first;
  region->bytes = bytes;
  region->access = access;
  state.local_keys[region->lkey] = region;
  state.remote_keys[region->rkey] = region;
  ++domain->users;
  return region;
}

ibv_mr* RegisterHost(const char* name, ibv_pd* domain, void* data, size_t size, unsigned access) {
  auto& state = *static_cast<FakeDomain*>(domain)->state;
  Lock lock(state.mutex);
  if (const int error = state.Enter(name, domain->context)) return NullWith(error);
  return NewRegion(domain, reinterpret_cast<uint64_t>(data), static_cast<std::byte*>(data), size, access);
}

ibv_mr* RegisterDmaBuf(ibv_pd* domain, uint64_t offset, size_t size, uint64_t first, int fd, int access) {
  auto& state = *static_cast<FakeDomain*>(domain)->state;
  Lock lock(state.mutex);
  if (const int error = state.Enter("reg_dmabuf_mr", domain->context)) return NullWith(error);
  if (!static_cast<FakeContext*>(domain->context)->hardware->spec.dma_buf) return NullWith(EOPNOTSUPP);
  struct stat facts {};
  if (fstat(fd, &facts) != 0) return NullWith(EBADF);
  if (size == 0 || offset + size > static_cast<uint64_t>(facts.st_size)) return NullWith(EINVAL);
  void* mapping = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (mapping == MAP_FAILED) return nullptr;
  ibv_mr* region = NewRegion(domain, first, static_cast<std::byte*>(mapping), size, static_cast<unsigned>(access));
  static_cast<FakeRegion*>(region)->mapping = mapping;
  return region;
}

int Deregister(ibv_mr* which) {
  auto* region = static_cast<FakeRegion*>(which);
  auto& state = *region->state;
  Lock lock(state.mutex);
  if (const int error = state.Enter("dereg_mr", true)) return error;
  state.former_keys.insert({region->lkey, region->rkey});
  state.LandHeld(*static_cast<FakeContext*>(region->context)->hardware);
  state.local_keys.erase(region->lkey);
  state.remote_keys.erase(region->rkey);
  --static_cast<FakeDomain*>(region->pd)->users;
  if (region->mapping) munmap(region->mapping, region->length);
  delete region;
  return 0;
}

void FillDeviceList(FakeVerbs::State& state) {
  state.table.get_device_list = [&state](int* count) -> ibv_device** {
    Lock lock(state.mutex);
    if (const int error = state.Enter("get_device_list")) return NullWith(error);
    auto** list = new ibv_device*[state.devices.size() + 1];
    int n = 0;
    for (auto& [name, device] : state.devices) list[n++] = device.get();
    list[n] = nullptr;
    if (count) *count = n;
    ++state.lists;
    return list;
  };
  state.table.free_device_list = [&state](ibv_device** list) {
    Lock lock(state.mutex);
    --state.lists;
    delete[] list;
  };
}

// Those of libibverbs, so that sentences read alike.
void FillWords(transport::rdma::Verbs& table) {
  table.wc_status_str = [](ibv_wc_status status) {
    static constexpr const char* kWords[] = {"success",
                                             "local length error",
                                             "local QP operation error",
                                             "local EE context operation error",
                                             "local protection error",
                                             "Work Request Flushed Error",
                                             "memory management operation error",
                                             "bad response error",
                                             "local access error",
                                             "remote invalid request error",
                                             "remote access error",
                                             "remote operation error",
                                             "transport retry counter exceeded",
                                             "RNR retry counter exceeded",
                                             "local RDD violation error",
                                             "remote invalid RD request",
                                             "aborted error",
                                             "invalid EE context number",
                                             "invalid EE context state",
                                             "fatal error",
                                             "response timeout error",
                                             "general error"};
    return static_cast<size_t>(status) < std::size(kWords) ? kWords[status] : "unknown";
  };
  table.event_type_str = [](ibv_event_type event) {
    static constexpr const char* kWords[] = {"CQ error",
                                             "local work queue catastrophic error",
                                             "invalid request local work queue error",
                                             "local access violation work queue error",
                                             "communication established",
                                             "send queue drained",
                                             "path migrated",
                                             "path migration request error",
                                             "local catastrophic error",
                                             "port active",
                                             "port error",
                                             "LID change",
                                             "P_Key change",
                                             "SM change",
                                             "SRQ catastrophic error",
                                             "SRQ limit reached",
                                             "last WQE reached",
                                             "client reregistration",
                                             "GID table change"};
    return static_cast<size_t>(event) < std::size(kWords) ? kWords[event] : "unknown";
  };
}

}  // namespace

bool IsPairEvent(ibv_event_type type) {
  return (type >= IBV_EVENT_QP_FATAL && type <= IBV_EVENT_PATH_MIG_ERR) || type == IBV_EVENT_QP_LAST_WQE_REACHED;
}

void FillObjectCalls(FakeVerbs::State& state) {
  FillDeviceList(state);
  auto& table = state.table;
  table.open_device = OpenDevice;
  table.close_device = CloseDevice;
  table.get_async_event = GetAsyncEvent;
  table.ack_async_event = [&state](ibv_async_event* event) { AckAsyncEvent(state, event); };
  table.query_device = QueryDevice;
  table.query_port = QueryPort;
  table.query_gid_table = QueryGidTable;
  table.alloc_pd = AllocDomain;
  table.dealloc_pd = DeallocDomain;
  table.reg_mr = [](ibv_pd* domain, void* data, size_t size, int access) {
    return RegisterHost("reg_mr", domain, data, size, static_cast<unsigned>(access));
  };
  table.reg_mr_iova2 = [](ibv_pd* domain, void* data, size_t size, uint64_t, unsigned access) {
    return RegisterHost("reg_mr_iova2", domain, data, size, access);
  };
  table.reg_dmabuf_mr = RegisterDmaBuf;
  table.dereg_mr = Deregister;
  FillWords(table);
}

}  // namespace relay::fake
