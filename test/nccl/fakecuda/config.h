// The shim's knobs, read from the environment once, when first asked for. Any thread may ask.
#pragma once

namespace fakecuda {

struct Config {
  int log;             // FAKECUDA_LOG=0..3: lines on stderr, 0 none, 3 every block of every kernel
  int devices;         // FAKECUDA_DEVICES: number of GPUs
  int first_bus;       // FAKECUDA_BUS: PCI bus number of GPU 0, the others follow
  int sm;              // FAKECUDA_SM: compute capability times ten; below 90 NCCL asks for flushes
  int gdr;             // FAKECUDA_GDR=0|1: the GPUs claim to support GPUDirect RDMA
  int dmabuf;          // FAKECUDA_DMABUF=0|1: device memory can be exported as a DMA-BUF
  int guard;           // FAKECUDA_GUARD=0|1: the CPU faults when it touches device memory
  int p2p;             // FAKECUDA_P2P=0|1: GPUs of one node reach each other's memory
  long flip_interval;  // FAKECUDA_FLIP_BIT=n: kernels corrupt one bit in every n-th block they move, 0 none
};

const Config& GetConfig();

}  // namespace fakecuda
