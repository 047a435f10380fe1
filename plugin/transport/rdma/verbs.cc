#include "transport/rdma/verbs.h"

#include <dlfcn.h>

#include <cerrno>
#include <cstring>
#include <mutex>

#include "transport/rdma/sysfs_gids.h"

namespace relay::transport::rdma {
namespace {

// Two generations of most calls are in the library under one name; the older has other structs.
template <class Signature>
void FindCall(void* library, const char* name, std::function<Signature>& to, std::string& missing,
              const char* version = "IBVERBS_1.1") {
  if (void* symbol = dlvsym(library, name, version)) {
    to = reinterpret_cast<Signature*>(symbol);
  } else if (missing.empty()) {
    missing = std::string(name) + " of " + version;
  }
}

void FindCalls(void* library, Verbs& verbs, std::string& missing) {
  FindCall(library, "ibv_get_device_list", verbs.get_device_list, missing);
  FindCall(library, "ibv_free_device_list", verbs.free_device_list, missing);
  FindCall(library, "ibv_open_device", verbs.open_device, missing);
  FindCall(library, "ibv_close_device", verbs.close_device, missing);
  FindCall(library, "ibv_get_async_event", verbs.get_async_event, missing);
  FindCall(library, "ibv_ack_async_event", verbs.ack_async_event, missing);
  FindCall(library, "ibv_query_device", verbs.query_device, missing);
  FindCall(library, "ibv_alloc_pd", verbs.alloc_pd, missing);
  FindCall(library, "ibv_dealloc_pd", verbs.dealloc_pd, missing);
  FindCall(library, "ibv_reg_mr", verbs.reg_mr, missing);
  FindCall(library, "ibv_dereg_mr", verbs.dereg_mr, missing);
  FindCall(library, "ibv_create_comp_channel", verbs.create_comp_channel, missing, "IBVERBS_1.0");
  FindCall(library, "ibv_destroy_comp_channel", verbs.destroy_comp_channel, missing, "IBVERBS_1.0");
  FindCall(library, "ibv_create_cq", verbs.create_cq, missing);
  FindCall(library, "ibv_destroy_cq", verbs.destroy_cq, missing);
  FindCall(library, "ibv_get_cq_event", verbs.get_cq_event, missing);
  FindCall(library, "ibv_ack_cq_events", verbs.ack_cq_events, missing);
  FindCall(library, "ibv_create_qp", verbs.create_qp, missing);
  FindCall(library, "ibv_modify_qp", verbs.modify_qp, missing);
  FindCall(library, "ibv_destroy_qp", verbs.destroy_qp, missing);
  FindCall(library, "ibv_wc_status_str", verbs.wc_status_str, missing);
  FindCall(library, "ibv_event_type_str", verbs.event_type_str, missing);

  // It fills the part of the struct that its generation knew.
  std::function<int(ibv_context*, uint8_t, _compat_ibv_port_attr*)> query_port;
  FindCall(library, "ibv_query_port", query_port, missing);
  verbs.query_port = [query_port](ibv_context* context, uint8_t port, ibv_port_attr* attributes) {
    std::memset(attributes, 0, sizeof *attributes);
    return query_port(context, port, reinterpret_cast<_compat_ibv_port_attr*>(attributes));
  };

  std::string optional;
  FindCall(library, "ibv_reg_mr_iova2", verbs.reg_mr_iova2, optional, "IBVERBS_1.8");
  FindCall(library, "ibv_reg_dmabuf_mr", verbs.reg_dmabuf_mr, optional, "IBVERBS_1.12");
  std::function<ssize_t(ibv_context*, ibv_gid_entry*, size_t, uint32_t, size_t)> query_gid_table;
  FindCall(library, "_ibv_query_gid_table", query_gid_table, optional, "IBVERBS_1.11");
  verbs.query_gid_table = [query_gid_table](ibv_context* context, ibv_gid_entry* entries, size_t most) -> ssize_t {
    if (query_gid_table) return query_gid_table(context, entries, most, 0, sizeof *entries);
    return ReadSysfsGids(context->device->ibdev_path, {entries, most});
  };
}

}  // namespace

Result<Verbs> LoadVerbsFrom(const char* file) {
  void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char* why = dlerror();
    return Fail(ErrorCode::kSystem, std::string("RDMA needs ") + file + ", which does not load here (" +
                                        (why ? why : "no reason given") +
                                        "): install libibverbs1 and ibverbs-providers, or rdma-core");
  }
  Verbs verbs;
  std::string missing;
  FindCalls(library, verbs, missing);
  if (!missing.empty()) {
    return Fail(ErrorCode::kSystem, std::string(file) + " is too old for RDMA here, it has no " + missing +
                                        ": install a newer libibverbs1, or rdma-core");
  }
  // Before anything is registered. Kernels since 5.12 copy registered pages at a fork and need nothing; where another
  // library of this process was first, it has decided.
  if (auto* init = reinterpret_cast<int (*)()>(dlvsym(library, "ibv_fork_init", "IBVERBS_1.1"))) init();
  return verbs;
}

Result<const Verbs*> LoadVerbs() {
  // Lives as long as the process: queue pairs of threads that end late may still call it.
  static constinit std::mutex mutex;
  static constinit const Verbs* loaded = nullptr;
  static constinit const Error* failed = nullptr;
  std::lock_guard lock(mutex);
  if (loaded) return loaded;
  if (failed) {
    Error again = *failed;
    again.told = true;
    return tl::unexpected<Error>(std::move(again));
  }
  auto verbs = LoadVerbsFrom("libibverbs.so.1");
  if (!verbs) {
    failed = new Error(verbs.error());
    return tl::unexpected<Error>(std::move(verbs).error());
  }
  loaded = new Verbs(std::move(*verbs));
  return loaded;
}

}  // namespace relay::transport::rdma
