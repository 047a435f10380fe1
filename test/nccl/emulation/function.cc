#include "emulation/function.h"

#include <vector>

#include "emulation/layout.h"
#include "fakecuda/log.h"
#include "fakecuda/symbols.h"

namespace fakecuda {
namespace {

using Rows = std::vector<DeviceFunction>;
using Algorithms = std::vector<int>;

void AddPlain(Rows& rows, int collective, const Algorithms& algorithms) {
  for (int algorithm : algorithms)
    for (int protocol = 0; protocol < kProtocols; protocol++)
      rows.push_back({collective, kSum, kU8, algorithm, protocol});
}

void AddReducing(Rows& rows, int collective, const Algorithms& algorithms) {
  for (int op = 0; op < kReduceOps; op++)
    for (int type = 0; type < GetLayout().types; type++)
      for (int algorithm : algorithms)
        for (int protocol = 0; protocol < kProtocols; protocol++)
          rows.push_back({collective, op, type, algorithm, protocol});
}

Rows AllRows() {
  const Algorithms ring = {kRing};
  const Algorithms all_reduce = {kTree, kRing, kCollnetDirect, kCollnetChain, kNvls, kNvlsTree};
  Algorithms gathering = {kRing, kCollnetDirect, kNvls};
  if (GetLayout().pat) gathering.push_back(kPat);

  Rows rows{DeviceFunction{kSendRecv}};
  AddPlain(rows, kAllGather, gathering);
  AddPlain(rows, kBroadcast, ring);
  if (GetLayout().all_gather_v) AddPlain(rows, kAllGatherV, ring);
  AddReducing(rows, kAllReduce, all_reduce);
  AddReducing(rows, kReduce, ring);
  AddReducing(rows, kReduceScatter, gathering);
  return rows;
}

Rows FunctionsById() {
  const Symbol* table = NcclSymbols().Find("ncclDevFuncRowToId");
  if (!table) Die("this libnccl has no function table (ncclDevFuncRowToId)");
  auto* ids = reinterpret_cast<const int*>(table->address);
  const Rows rows = AllRows();
  // The table ends with one entry that is no row.
  size_t given = table->size / sizeof(int) - 1;
  if (rows.size() != given) Die("the function table has %zu rows where %zu are known", given, rows.size());
  Rows by_id;
  for (size_t row = 0; row < rows.size(); row++) {
    if (ids[row] < 0) continue;
    auto id = static_cast<size_t>(ids[row]);
    if (id >= by_id.size()) by_id.resize(id + 1);
    by_id[id] = rows[row];  // rows that share a function are equal here: signed integers map onto unsigned ones
  }
  return by_id;
}

}  // namespace

const char* CollectiveName(int collective) {
  static const char* const kNames[] = {"SendRecv", "AllGather",     "Broadcast", "AllReduce",
                                       "Reduce",   "ReduceScatter", "AllGatherV"};
  return kNames[collective];
}

const char* AlgorithmName(int algorithm) {
  static const char* const kNames[] = {"TREE", "RING", "COLLNET_DIRECT", "COLLNET_CHAIN", "NVLS", "NVLS_TREE", "PAT"};
  return kNames[algorithm];
}

const char* ProtocolName(int protocol) {
  static const char* const kNames[] = {"LL", "LL128", "SIMPLE"};
  return kNames[protocol];
}

const DeviceFunction& GetFunction(unsigned id) {
  static const Rows& functions = *new Rows(FunctionsById());
  if (id >= functions.size() || functions[id].collective < 0) Die("device function %u is not known", id);
  return functions[id];
}

}  // namespace fakecuda
