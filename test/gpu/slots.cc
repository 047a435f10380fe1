// gpu_slots: slots in a GPU's memory as a relay takes them, on the driver that is here. They are allocated, exported
// as DMA-BUF, filled, carried over loopback TCP into others, and compared. With a verbs device in this machine they
// are registered with it, and the device itself carries them too, and flushes them. `--host`: all of it with slots in
// host memory, where there is no GPU. One line of JSON; status 1 with a sentence if anything is wrong.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "agent/relay/slot_space.h"
#include "base/clock.h"
#include "transport/rdma/flush_pair.h"
#include "transport/rdma/gid_choice.h"
#include "transport/tcp/listener.h"

namespace relay {
namespace {

namespace rdma = transport::rdma;
using agent::SlotBudget;
using agent::SlotKind;
using agent::SlotMemory;

constexpr size_t kBytes = size_t{16} << 20;
constexpr Duration kTimeout = std::chrono::seconds(10);

Error Wrong(std::string what) { return {ErrorCode::kSystem, 0, std::move(what), false}; }

// What only a test does with such memory: to put bytes there, and look at them.
class Copies {
 public:
  // Null: slots are in host memory.
  explicit Copies(std::shared_ptr<CudaDevice> device) : device_(std::move(device)) {
    if (!device_) return;
    void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    in_ = reinterpret_cast<int (*)(uint64_t, const void*, size_t)>(dlsym(driver, "cuMemcpyHtoD_v2"));
    out_ = reinterpret_cast<int (*)(void*, uint64_t, size_t)>(dlsym(driver, "cuMemcpyDtoH_v2"));
  }
  bool In(const SlotMemory& slots, const std::vector<std::byte>& bytes) {
    if (!device_) return std::memcpy(slots.data(), bytes.data(), bytes.size()) != nullptr;
    return Entered([&] { return in_(reinterpret_cast<uint64_t>(slots.data()), bytes.data(), bytes.size()); });
  }
  std::vector<std::byte> Out(const SlotMemory& slots) {
    if (!device_) return {slots.data(), slots.data() + kBytes};
    std::vector<std::byte> bytes(kBytes);
    if (!Entered([&] { return out_(bytes.data(), reinterpret_cast<uint64_t>(slots.data()), bytes.size()); }))
      bytes.clear();
    return bytes;
  }

 private:
  template <class Call>
  bool Entered(Call&& call) {
    void* popped = nullptr;
    if (device_->cuda().context_push(device_->context()) != 0) return false;
    const int error = call();
    device_->cuda().context_pop(&popped);
    return error == 0;
  }

  std::shared_ptr<CudaDevice> device_;
  int (*in_)(uint64_t, const void*, size_t) = nullptr;
  int (*out_)(void*, uint64_t, size_t) = nullptr;
};

std::vector<std::byte> Pattern(uint32_t seed) {
  std::vector<std::byte> out(kBytes);
  for (std::byte& byte : out) byte = static_cast<std::byte>((seed = seed * 1664525u + 1013904223u) >> 24);
  return out;
}

// The bytes over a TCP connection of this machine with itself.
Result<std::vector<std::byte>> OverLoopback(const std::vector<std::byte>& bytes) {
  auto listener = transport::tcp::Listener::Open("lo", *SocketAddress::Parse("127.0.0.1"), {});
  if (!listener) return tl::unexpected(std::move(listener).error());
  const Fd sender(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress to = listener->address();
  if (connect(sender.get(), to.get(), to.size()) != 0) return FailErrno(ErrorCode::kSystem, "no connection to itself");
  auto accepted = listener->Accept();
  if (!accepted) return tl::unexpected(std::move(accepted).error());
  if (!*accepted) return tl::unexpected(Wrong("nobody has called"));
  std::thread sending([&] {
    for (size_t sent = 0; sent < bytes.size();) {
      const ssize_t n = write(sender.get(), bytes.data() + sent, bytes.size() - sent);
      if (n <= 0) return;
      sent += static_cast<size_t>(n);
    }
  });
  std::vector<std::byte> out(bytes.size());
  size_t got = 0;
  const TimePoint deadline = SystemClock().Now() + kTimeout;
  while (got < out.size() && SystemClock().Now() < deadline) {
    const ssize_t n = recv((*accepted)->fd.get(), out.data() + got, out.size() - got, 0);
    if (n == 0) break;
    if (n > 0) got += static_cast<size_t>(n);
  }
  sending.join();
  out.resize(got);
  return out;
}

// By a queue pair of the device with itself, as a relay's devices do: from one registration into the other.
Status ByDevice(const std::shared_ptr<rdma::Device>& device, const SlotMemory& from, const SlotMemory& to) {
  auto from_memory = from.RegisterOn(*device);
  if (!from_memory) return tl::unexpected(std::move(from_memory).error());
  auto to_memory = to.RegisterOn(*device);
  if (!to_memory) return tl::unexpected(std::move(to_memory).error());
  auto made = rdma::QueuePair::Create(device, {.sends = 64, .receives = 1, .pieces = 1, .inline_bytes = 0});
  if (!made) return tl::unexpected(std::move(made).error());
  rdma::QueuePair& pair = **made;
  const rdma::Endpoint itself = pair.near();
  auto gids = rdma::ChooseGids(itself, itself, {}, {});
  if (!gids) return tl::unexpected(std::move(gids).error());
  RELAY_TRY(pair.Connect(itself, *gids));
  const rdma::Piece piece{from.data(), static_cast<uint32_t>(kBytes), (*from_memory)->local_key()};
  const auto address = reinterpret_cast<uint64_t>(to.data());
  pair.Write({&piece, 1}, {address, (*to_memory)->remote_key()}, 1, {});
  RELAY_TRY(pair.Ring());
  rdma::Completion done;
  const TimePoint deadline = SystemClock().Now() + kTimeout;
  for (size_t n = 0; n == 0;) {
    auto polled = pair.Poll({&done, 1});
    if (!polled) return tl::unexpected(std::move(polled).error());
    n = *polled;
    if (SystemClock().Now() > deadline) return tl::unexpected(Wrong(device->name() + " does not finish its work"));
  }
  auto flush = rdma::FlushPair::Make(device, kTimeout);
  if (!flush) return tl::unexpected(std::move(flush).error());
  RELAY_TRY((*flush)->Start({address, (*to_memory)->remote_key()}));
  while (true) {
    auto flushed = (*flush)->Done();
    if (!flushed) return tl::unexpected(std::move(flushed).error());
    if (*flushed == 1) return {};
    if (SystemClock().Now() > deadline) return tl::unexpected(Wrong(device->name() + " does not flush"));
  }
}

// Which device did it; empty where there is none.
Result<std::string> ByAnyDevice(const SlotMemory& from, const SlotMemory& to) {
  auto devices = rdma::ListDevices();
  if (!devices) return std::string();
  for (const rdma::DeviceFacts& facts : *devices) {
    if (!facts.active || !facts.why_not.empty()) continue;
    auto device = rdma::Device::Open(facts.name, facts.port);
    if (!device) return tl::unexpected(std::move(device).error());
    RELAY_TRY(ByDevice(*device, from, to));
    return facts.name;
  }
  return std::string();
}

Status Run(bool on_gpu) {
  std::shared_ptr<CudaDevice> gpu;
  if (on_gpu) {
    auto device = CudaDevice::Open(0);
    if (!device) return tl::unexpected(std::move(device).error());
    gpu = std::move(*device);
  }
  Copies copies(gpu);
  SlotBudget budget(4 * kBytes, gpu);
  auto from = SlotMemory::Take(budget, kBytes), to = SlotMemory::Take(budget, kBytes);
  if (!from) return tl::unexpected(std::move(from).error());
  if (!to) return tl::unexpected(std::move(to).error());
  if (on_gpu && budget.used(SlotKind::kGpu) != budget.used()) {
    return tl::unexpected(Wrong("slots are in host memory: " + budget.why_host()));
  }
  const auto bytes = Pattern(1);
  if (!copies.In(*from, bytes) || copies.Out(*from) != bytes) return tl::unexpected(Wrong("slots hold other bytes"));
  auto carried = OverLoopback(copies.Out(*from));
  if (!carried) return tl::unexpected(std::move(carried).error());
  if (!copies.In(*to, *carried) || copies.Out(*to) != bytes) {
    return tl::unexpected(Wrong("other bytes have come over loopback"));
  }
  if (!copies.In(*to, Pattern(2))) return tl::unexpected(Wrong("slots take no bytes"));
  auto by = ByAnyDevice(*from, *to);
  if (!by) return tl::unexpected(std::move(by).error());
  if (!by->empty() && copies.Out(*to) != bytes) return tl::unexpected(Wrong(*by + " has carried other bytes"));
  printf("{\"slots_bytes\":%zu,\"memory\":\"%s\",\"loopback\":\"right\",\"verbs_device\":\"%s\"}\n", budget.used(),
         on_gpu ? "gpu, exported as dma-buf" : "host", by->c_str());
  return {};
}

}  // namespace
}  // namespace relay

int main(int argc, char** argv) {
  const bool host = argc == 2 && std::strcmp(argv[1], "--host") == 0;
  if (argc > 1 && !host) {
    fprintf(stderr, "usage: gpu_slots [--host]\n");
    return 2;
  }
  const relay::Status done = relay::Run(!host);
  if (!done) fprintf(stderr, "gpu_slots: %s\n", done.error().what.c_str());
  return done ? 0 : 1;
}
