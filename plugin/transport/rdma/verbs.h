// The calls of libibverbs that are used, as a table: from libibverbs.so.1, which is loaded at run time, or a test's.
// The only header that shows <infiniband/verbs.h>, and only to sources of this folder and to test/fake/verbs.
//
// The data path (poll_cq, req_notify_cq, post_send, post_recv) goes through ibv_context::ops, as the inline functions
// of verbs.h do. Every call keeps its meaning, its errno and its thread rules from libibverbs' manual.
#pragma once
#include <infiniband/verbs.h>

#include <cerrno>
#include <functional>

#include "relay/result.h"

namespace relay::transport::rdma {

// All are there but those said to be optional. The table outlives every device that was opened with it.
struct Verbs {
  std::function<ibv_device**(int* count)> get_device_list;
  std::function<void(ibv_device**)> free_device_list;
  std::function<ibv_context*(ibv_device*)> open_device;
  std::function<int(ibv_context*)> close_device;
  std::function<int(ibv_context*, ibv_async_event*)> get_async_event;
  std::function<void(ibv_async_event*)> ack_async_event;
  std::function<int(ibv_context*, ibv_device_attr*)> query_device;
  std::function<int(ibv_context*, uint8_t port, ibv_port_attr*)> query_port;
  // Reads the addresses of every port of the device, without empty entries, and says how many, or a negative errno.
  // Never null: where libibverbs is older than the call, sysfs is read.
  std::function<ssize_t(ibv_context*, ibv_gid_entry*, size_t most)> query_gid_table;

  std::function<ibv_pd*(ibv_context*)> alloc_pd;
  std::function<int(ibv_pd*)> dealloc_pd;
  std::function<ibv_mr*(ibv_pd*, void*, size_t, int access)> reg_mr;
  std::function<ibv_mr*(ibv_pd*, void*, size_t, uint64_t iova, unsigned access)> reg_mr_iova2;  // optional
  std::function<ibv_mr*(ibv_pd*, uint64_t offset, size_t, uint64_t iova, int fd, int access)>
      reg_dmabuf_mr;  // optional
  std::function<int(ibv_mr*)> dereg_mr;

  std::function<ibv_comp_channel*(ibv_context*)> create_comp_channel;
  std::function<int(ibv_comp_channel*)> destroy_comp_channel;
  std::function<ibv_cq*(ibv_context*, int entries, void* user, ibv_comp_channel*, int vector)> create_cq;
  std::function<int(ibv_cq*)> destroy_cq;
  std::function<int(ibv_comp_channel*, ibv_cq**, void** user)> get_cq_event;
  std::function<void(ibv_cq*, unsigned)> ack_cq_events;

  std::function<ibv_qp*(ibv_pd*, ibv_qp_init_attr*)> create_qp;
  std::function<int(ibv_qp*, ibv_qp_attr*, int mask)> modify_qp;
  std::function<int(ibv_qp*)> destroy_qp;

  std::function<const char*(ibv_wc_status)> wc_status_str;
  std::function<const char*(ibv_event_type)> event_type_str;
};

// What calls that return a number return: an errno, or -1 with errno set, as the older ones do.
inline int VerbsErrno(int returned) { return returned < 0 ? errno : returned; }

// Loaded once per process and never unloaded. Any thread. Where the library is missing or too old, the error says what
// to install; it is looked for once, and whoever asks again gets the same error, marked as told.
Result<const Verbs*> LoadVerbs();
// The table of another file. Not kept.
Result<Verbs> LoadVerbsFrom(const char* file);

}  // namespace relay::transport::rdma
