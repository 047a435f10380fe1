// What a kernel is asked to run. NCCL numbers its device functions; its own table from "row" to number, a local symbol
// of the library, is inverted here. The kernel's name does not say it: Simple may run inside a kernel called
// ..._RING_LL.
#pragma once

namespace fakecuda {

enum Collective { kSendRecv, kAllGather, kBroadcast, kAllReduce, kReduce, kReduceScatter, kAllGatherV };
enum Algorithm { kTree, kRing, kCollnetDirect, kCollnetChain, kNvls, kNvlsTree, kPat };
enum ElementType { kI8, kU8, kI32, kU32, kI64, kU64, kF16, kF32, kF64, kBf16, kF8e4m3, kF8e5m2 };
enum ReduceOp { kSum, kProd, kMinMax, kPreMulSum, kSumPostDiv, kReduceOps };

struct DeviceFunction {
  int collective = -1;
  int op = kSum;
  int type = kU8;
  int algorithm = kRing;
  int protocol = 2;  // kSimple
};

const char* CollectiveName(int collective);
const char* AlgorithmName(int algorithm);
const char* ProtocolName(int protocol);

const DeviceFunction& GetFunction(unsigned id);  // stops the process when there is none

}  // namespace fakecuda
