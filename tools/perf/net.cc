// One adapter for all tables: what differs between versions is asked of the table's types.
#include "perf/net.h"

#include <cstring>
#include <limits>

#include "nccl/net_v10.h"
#include "nccl/net_v11.h"
#include "nccl/net_v12.h"
#include "nccl/net_v6.h"
#include "nccl/net_v7.h"
#include "nccl/net_v8.h"
#include "nccl/net_v9.h"

namespace relay::perf {
namespace {

constexpr size_t kLargestOldMessage = size_t{1} << 30;  // of the core's shims for v6 to v8

template <class Function>
struct Arguments;
template <class... A>
struct Arguments<ncclResult_t (*)(A...)> {
  template <size_t i>
  using At = std::tuple_element_t<i, std::tuple<A...>>;
};

template <class Raw>
Properties Translate(const Raw& raw, int device) {
  Properties out;
  out.name = raw.name;
  out.pci_path = raw.pciPath;
  out.guid = raw.guid;
  out.pointer_support = raw.ptrSupport;
  out.speed = raw.speed;
  out.port = raw.port;
  out.latency = raw.latency;
  out.max_comms = raw.maxComms;
  out.max_recvs = raw.maxRecvs;
  out.first_physical = device;
  if constexpr (requires { raw.netDeviceType; }) {
    out.device_type = raw.netDeviceType;
    out.device_version = raw.netDeviceVersion;
  }
  if constexpr (requires { raw.regIsGlobal; }) out.reg_is_global = raw.regIsGlobal;
  if constexpr (requires { raw.vProps; }) {
    out.force_flush = raw.forceFlush;
    out.physical_devices = raw.vProps.ndevs;
    out.first_physical = raw.vProps.devs[0];
    out.max_p2p_bytes = raw.maxP2pBytes;
    out.max_collective_bytes = raw.maxCollBytes;
  }
  if constexpr (requires { raw.maxMultiRequestSize; }) out.max_multi_request = raw.maxMultiRequestSize;
  if constexpr (requires { raw.railId; }) {
    out.rail = raw.railId;
    out.plane = raw.planeId;
  }
  return out;
}

template <int kAbi, class Table>
class Adapter final : public Net {
 public:
  explicit Adapter(const Table& table) : table_(table) {}
  int abi() const override { return kAbi; }
  const char* name() const override { return table_.name; }

  ncclResult_t Init(void** context, ncclDebugLogger_t logger) override {
    if constexpr (kAbi >= 11) {
      std::remove_pointer_t<typename Arguments<decltype(Table::init)>::template At<2>> config;
      config.trafficClass = NCCL_NET_TRAFFIC_CLASS_UNDEF;
      return table_.init(context, 0x5045524601, &config, logger, nullptr);
    } else if constexpr (kAbi == 10) {
      return table_.init(logger, nullptr);
    } else {
      return table_.init(logger);
    }
  }

  ncclResult_t Devices(int* count) override { return table_.devices(count); }

  ncclResult_t GetProperties(int device, Properties* properties) override {
    std::remove_pointer_t<typename Arguments<decltype(Table::getProperties)>::template At<1>> raw;
    std::memset(&raw, kGarbage, sizeof raw);
    const ncclResult_t result = table_.getProperties(device, &raw);
    if (result == ncclSuccess) *properties = Translate(raw, device);
    return result;
  }

  ncclResult_t Listen(void* context, int device, void* handle, void** listen_comm) override {
    if constexpr (kAbi >= 11) return table_.listen(context, device, handle, listen_comm);
    if constexpr (kAbi < 11) return table_.listen(device, handle, listen_comm);
  }

  ncclResult_t Connect(void* context, int device, void* handle, void** send_comm) override {
    ncclNetDeviceHandle_t* device_handle = nullptr;
    if constexpr (kAbi >= 11) {
      return table_.connect(context, device, handle, send_comm, &device_handle);
    } else if constexpr (kAbi == 10) {
      ncclNetCommConfig_v10_t config{NCCL_NET_TRAFFIC_CLASS_UNDEF};
      return table_.connect(device, &config, handle, send_comm, &device_handle);
    } else if constexpr (kAbi >= 7) {
      return table_.connect(device, handle, send_comm, &device_handle);
    } else {
      return table_.connect(device, handle, send_comm);
    }
  }

  ncclResult_t Accept(void* listen_comm, void** recv_comm) override {
    ncclNetDeviceHandle_t* device_handle = nullptr;
    if constexpr (kAbi >= 7) return table_.accept(listen_comm, recv_comm, &device_handle);
    if constexpr (kAbi < 7) return table_.accept(listen_comm, recv_comm);
  }

  ncclResult_t RegMr(void* comm, void* data, size_t size, void** mhandle) override {
    using Size = typename Arguments<decltype(Table::regMr)>::template At<2>;
    if (size > static_cast<size_t>(std::numeric_limits<Size>::max())) return ncclInternalError;
    return table_.regMr(comm, data, static_cast<Size>(size), NCCL_PTR_HOST, mhandle);
  }

  ncclResult_t DeregMr(void* comm, void* mhandle) override { return table_.deregMr(comm, mhandle); }

  ncclResult_t Isend(void* comm, void* data, size_t size, int tag, void* mhandle, void** request) override {
    if constexpr (kAbi >= 10) {
      return table_.isend(comm, data, size, tag, mhandle, nullptr, request);
    } else if constexpr (kAbi == 9) {
      return table_.isend(comm, data, size, tag, mhandle, request);
    } else {
      if (size > kLargestOldMessage) return ncclInternalError;
      return table_.isend(comm, data, static_cast<int>(size), tag, mhandle, request);
    }
  }

  ncclResult_t Irecv(void* comm, void* data, size_t size, int tag, void* mhandle, void** request) override {
    void* profiler_handle = nullptr;
    if constexpr (kAbi >= 10) {
      return table_.irecv(comm, 1, &data, &size, &tag, &mhandle, &profiler_handle, request);
    } else if constexpr (kAbi == 9) {
      return table_.irecv(comm, 1, &data, &size, &tag, &mhandle, request);
    } else {
      if (size > kLargestOldMessage) return ncclInternalError;
      int old_size = static_cast<int>(size);
      return table_.irecv(comm, 1, &data, &old_size, &tag, &mhandle, request);
    }
  }

  ncclResult_t Iflush(void* comm, void* data, int size, void* mhandle, void** request) override {
    *request = nullptr;
    if (table_.iflush == nullptr) return ncclSuccess;
    return table_.iflush(comm, 1, &data, &size, &mhandle, request);
  }
  ncclResult_t Test(void* request, int* done, int* size) override { return table_.test(request, done, size); }
  ncclResult_t CloseSend(void* comm) override { return table_.closeSend(comm); }
  ncclResult_t CloseRecv(void* comm) override { return table_.closeRecv(comm); }
  ncclResult_t CloseListen(void* comm) override { return table_.closeListen(comm); }

  ncclResult_t Finalize(void* context) override {
    if constexpr (kAbi >= 11) return table_.finalize(context);
    return ncclSuccess;
  }

  void SetNetAttributes(void* context) override {
    if constexpr (kAbi >= 11) {
      if (table_.setNetAttr == nullptr) return;
      std::remove_pointer_t<typename Arguments<decltype(Table::setNetAttr)>::template At<1>> attributes;
      std::memset(&attributes, 0xff, sizeof attributes);  // every field undefined
      (void)table_.setNetAttr(context, &attributes);
    }
  }

  Status CheckTable() const override {
    auto missing = [](const char* slot) {
      return Fail(ErrorCode::kInternal, std::string("ncclNetPlugin_v") + std::to_string(kAbi) + " has no " + slot);
    };
    if (table_.name == nullptr) return missing("name");
    if (!table_.init || !table_.devices || !table_.getProperties) return missing("init, devices or getProperties");
    if (!table_.listen || !table_.connect || !table_.accept) return missing("listen, connect or accept");
    if (!table_.regMr || !table_.deregMr) return missing("regMr or deregMr");
    if (!table_.isend || !table_.irecv || !table_.test) return missing("isend, irecv or test");
    if (!table_.closeSend || !table_.closeRecv || !table_.closeListen) {
      return missing("closeSend, closeRecv or closeListen");
    }
    if constexpr (kAbi >= 11) {
      if (!table_.finalize) return missing("finalize");
    }
    return {};
  }

 private:
  const Table& table_;
};

template <int kAbi, class Table>
std::unique_ptr<Net> Make(const void* table) {
  return std::make_unique<Adapter<kAbi, Table>>(*static_cast<const Table*>(table));
}

}  // namespace

std::unique_ptr<Net> MakeNet(int abi, const void* table) {
  switch (abi) {
    case 6:
      return Make<6, ncclNet_v6_t>(table);
    case 7:
      return Make<7, ncclNet_v7_t>(table);
    case 8:
      return Make<8, ncclNet_v8_t>(table);
    case 9:
      return Make<9, ncclNet_v9_t>(table);
    case 10:
      return Make<10, ncclNet_v10_t>(table);
    case 11:
      return Make<11, ncclNet_v11_t>(table);
    case 12:
      return Make<12, ncclNet_v12_t>(table);
    default:
      return nullptr;
  }
}

}  // namespace relay::perf
