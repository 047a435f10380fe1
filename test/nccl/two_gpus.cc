// Two GPUs in one process: ncclCommInitAll, ncclCommSplit, an all-reduce in each, and what guard mode does to a CPU
// that touches device memory. Needs FAKECUDA_DEVICES=2.
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <vector>

#include "perf/failure.h"

namespace {

using perf::CheckCuda;
using perf::CheckNccl;
using perf::Fail;

constexpr int kGpus = 2;
constexpr size_t kCount = 300001;

struct Gpu {
  ncclComm_t comm;
  cudaStream_t stream;
  void *send, *recv;
};
using Gpus = std::array<Gpu, kGpus>;

void Allocate(Gpus& gpus) {
  for (int i = 0; i < kGpus; i++) {
    Gpu& gpu = gpus[static_cast<size_t>(i)];
    CheckCuda(cudaSetDevice(i), "cudaSetDevice");
    CheckCuda(cudaStreamCreate(&gpu.stream), "cudaStreamCreate");
    CheckCuda(cudaMalloc(&gpu.send, kCount * sizeof(float)), "cudaMalloc");
    CheckCuda(cudaMalloc(&gpu.recv, kCount * sizeof(float)), "cudaMalloc");
    std::vector<float> host(kCount, static_cast<float>(i + 1));
    CheckCuda(cudaMemcpy(gpu.send, host.data(), kCount * sizeof(float), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
}

void AllReduce(Gpus& gpus) {
  for (Gpu& gpu : gpus) CheckCuda(cudaMemset(gpu.recv, 0xff, kCount * sizeof(float)), "cudaMemset");
  CheckNccl(ncclGroupStart(), "ncclGroupStart");
  for (Gpu& gpu : gpus)
    CheckNccl(ncclAllReduce(gpu.send, gpu.recv, kCount, ncclFloat, ncclSum, gpu.comm, gpu.stream), "ncclAllReduce");
  CheckNccl(ncclGroupEnd(), "ncclGroupEnd");
  for (Gpu& gpu : gpus) {
    CheckCuda(cudaStreamSynchronize(gpu.stream), "cudaStreamSynchronize");
    std::vector<float> host(kCount);
    CheckCuda(cudaMemcpy(host.data(), gpu.recv, kCount * sizeof(float), cudaMemcpyDeviceToHost), "cudaMemcpy");
    for (float value : host)
      if (value != 3) Fail("all-reduce of 1 and 2 gave %g", static_cast<double>(value));
  }
}

std::array<ncclComm_t, kGpus> SplitInReverse(Gpus& gpus) {
  std::array<ncclComm_t, kGpus> whole{};
  CheckNccl(ncclGroupStart(), "ncclGroupStart");
  for (size_t i = 0; i < kGpus; i++) {
    whole[i] = gpus[i].comm;
    CheckNccl(ncclCommSplit(whole[i], 0, kGpus - static_cast<int>(i), &gpus[i].comm, nullptr), "ncclCommSplit");
  }
  CheckNccl(ncclGroupEnd(), "ncclGroupEnd");
  return whole;
}

void Destroy(const std::array<ncclComm_t, kGpus>& comms) {
  CheckNccl(ncclGroupStart(), "ncclGroupStart");
  for (ncclComm_t comm : comms) CheckNccl(ncclCommDestroy(comm), "ncclCommDestroy");
  CheckNccl(ncclGroupEnd(), "ncclGroupEnd");
}

sigjmp_buf after_fault;

bool LoadFaults(const void* address) {
  struct sigaction action {
  }, before;
  action.sa_handler = [](int) { siglongjmp(after_fault, 1); };
  sigaction(SIGSEGV, &action, &before);
  volatile bool faulted = true;  // volatile: read after a jump out of the handler
  if (sigsetjmp(after_fault, 1) == 0) {
    [[maybe_unused]] char value = *static_cast<const volatile char*>(address);
    faulted = false;
  }
  sigaction(SIGSEGV, &before, nullptr);
  return faulted;
}

void CheckGuard(const void* device_memory) {
  int ends[2];
  if (pipe(ends)) Fail("pipe: %s", strerror(errno));
  if (write(ends[1], device_memory, 1) >= 0 || errno != EFAULT) Fail("the kernel read device memory");
  if (!LoadFaults(device_memory)) Fail("the CPU read device memory");
  close(ends[0]);
  close(ends[1]);
}

}  // namespace

int main() {
  int devices = 0;
  CheckCuda(cudaGetDeviceCount(&devices), "cudaGetDeviceCount");
  if (devices != kGpus) Fail("want FAKECUDA_DEVICES=2, and FAKECUDA_GUARD not 0");
  Gpus gpus{};
  std::array<ncclComm_t, kGpus> comms{};
  CheckNccl(ncclCommInitAll(comms.data(), kGpus, nullptr), "ncclCommInitAll");
  for (size_t i = 0; i < kGpus; i++) gpus[i].comm = comms[i];
  Allocate(gpus);
  AllReduce(gpus);
  auto whole = SplitInReverse(gpus);
  AllReduce(gpus);
  CheckGuard(gpus[0].send);

  for (size_t i = 0; i < kGpus; i++) comms[i] = gpus[i].comm;
  Destroy(comms);
  Destroy(whole);
  puts("two_gpus: right");
  return 0;
}
