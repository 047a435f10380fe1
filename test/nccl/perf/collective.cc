#include "perf/collective.h"

namespace perf {
namespace {

size_t One(size_t count, int) { return count; }
size_t All(size_t count, int ranks) { return count * static_cast<size_t>(ranks); }

InPlace SameBuffer(size_t, const Place&) { return {0, 0}; }
InPlace OwnPartSent(size_t count, const Place& place) { return {count * static_cast<size_t>(place.rank), 0}; }
InPlace OwnPartReceived(size_t count, const Place& place) { return {0, count * static_cast<size_t>(place.rank)}; }

double Plain(int) { return 1; }
double OthersShare(int ranks) { return static_cast<double>(ranks - 1) / ranks; }
double ThereAndBack(int ranks) { return 2 * OthersShare(ranks); }

bool Everyone(const Place&) { return true; }
bool RootOnly(const Place& place) { return place.rank == place.root; }

float Sum(size_t index, uint32_t seed, int ranks) {
  float sum = 0;
  for (int rank = 0; rank < ranks; rank++) sum += Contribution(rank, index, seed);
  return sum;
}

ncclResult_t LaunchAllReduce(const Launch& l) {
  return ncclAllReduce(l.send, l.recv, l.count, ncclFloat, ncclSum, l.comm, l.stream);
}
float ExpectSum(size_t index, const Repetition& r, const Place& p) { return Sum(index, r.seed, p.ranks); }

ncclResult_t LaunchAllGather(const Launch& l) {
  return ncclAllGather(l.send, l.recv, l.count, ncclFloat, l.comm, l.stream);
}
float ExpectGathered(size_t index, const Repetition& r, const Place&) {
  return Contribution(static_cast<int>(index / r.count), index % r.count, r.seed);
}

ncclResult_t LaunchReduceScatter(const Launch& l) {
  return ncclReduceScatter(l.send, l.recv, l.count, ncclFloat, ncclSum, l.comm, l.stream);
}
float ExpectOwnPartOfSum(size_t index, const Repetition& r, const Place& p) {
  return Sum(index + static_cast<size_t>(p.rank) * r.count, r.seed, p.ranks);
}

ncclResult_t LaunchBroadcast(const Launch& l) {
  return ncclBroadcast(l.send, l.recv, l.count, ncclFloat, l.root, l.comm, l.stream);
}
float ExpectRoots(size_t index, const Repetition& r, const Place& p) { return Contribution(p.root, index, r.seed); }

ncclResult_t LaunchReduce(const Launch& l) {
  return ncclReduce(l.send, l.recv, l.count, ncclFloat, ncclSum, l.root, l.comm, l.stream);
}

// The group is closed in any case; the first error counts.
ncclResult_t ExchangeWithPeers(const Launch& l, int first_peer_to, int first_peer_from, int peers, size_t stride) {
  ncclResult_t result = ncclGroupStart();
  for (int i = 0; i < peers && result == ncclSuccess; i++) {
    int to = (first_peer_to + i) % l.ranks, from = (first_peer_from + i) % l.ranks;
    result = ncclSend(l.send + static_cast<size_t>(to) * stride, l.count, ncclFloat, to, l.comm, l.stream);
    if (result != ncclSuccess) break;
    result = ncclRecv(l.recv + static_cast<size_t>(from) * stride, l.count, ncclFloat, from, l.comm, l.stream);
  }
  ncclResult_t end = ncclGroupEnd();
  return result == ncclSuccess ? end : result;
}

ncclResult_t LaunchAllToAll(const Launch& l) { return ExchangeWithPeers(l, 0, 0, l.ranks, l.count); }
float ExpectTransposed(size_t index, const Repetition& r, const Place& p) {
  return Contribution(static_cast<int>(index / r.count), static_cast<size_t>(p.rank) * r.count + index % r.count,
                      r.seed);
}

ncclResult_t LaunchSendRecv(const Launch& l) {
  return ExchangeWithPeers(l, (l.rank + 1) % l.ranks, (l.rank + l.ranks - 1) % l.ranks, 1, 0);
}
float ExpectPrevious(size_t index, const Repetition& r, const Place& p) {
  return Contribution((p.rank + p.ranks - 1) % p.ranks, index, r.seed);
}

ncclResult_t LaunchNcclAllToAll(const Launch& l) {
  static auto* const call = CallNamed<decltype(ncclAlltoAll)>("ncclAlltoAll");
  return call(l.send, l.recv, l.count, ncclFloat, l.comm, l.stream);
}

ncclResult_t LaunchGather(const Launch& l) {
  static auto* const call = CallNamed<decltype(ncclGather)>("ncclGather");
  return call(l.send, l.recv, l.count, ncclFloat, l.root, l.comm, l.stream);
}

ncclResult_t LaunchScatter(const Launch& l) {
  static auto* const call = CallNamed<decltype(ncclScatter)>("ncclScatter");
  return call(l.send, l.recv, l.count, ncclFloat, l.root, l.comm, l.stream);
}
float ExpectOwnPartOfRoots(size_t index, const Repetition& r, const Place& p) {
  return Contribution(p.root, static_cast<size_t>(p.rank) * r.count + index, r.seed);
}

constexpr Collective kCollectives[] = {
    {"all_reduce", true, false, false, true, One, One, SameBuffer, ThereAndBack, LaunchAllReduce, ExpectSum, Everyone},
    {"all_gather", false, false, true, true, One, All, OwnPartSent, OthersShare, LaunchAllGather, ExpectGathered,
     Everyone},
    {"reduce_scatter", true, false, true, true, All, One, OwnPartReceived, OthersShare, LaunchReduceScatter,
     ExpectOwnPartOfSum, Everyone},
    {"broadcast", false, true, false, true, One, One, SameBuffer, Plain, LaunchBroadcast, ExpectRoots, Everyone},
    {"reduce", true, true, false, true, One, One, SameBuffer, Plain, LaunchReduce, ExpectSum, RootOnly},
    {"alltoall", false, false, true, false, All, All, SameBuffer, OthersShare, LaunchAllToAll, ExpectTransposed,
     Everyone},
    {"nccl_alltoall", false, false, true, false, All, All, SameBuffer, OthersShare, LaunchNcclAllToAll,
     ExpectTransposed, Everyone},
    {"gather", false, true, true, true, One, All, OwnPartSent, OthersShare, LaunchGather, ExpectGathered, RootOnly},
    {"scatter", false, true, true, true, All, One, OwnPartReceived, OthersShare, LaunchScatter, ExpectOwnPartOfRoots,
     Everyone},
    {"sendrecv", false, false, false, false, One, One, SameBuffer, Plain, LaunchSendRecv, ExpectPrevious, Everyone},
};

}  // namespace

const Collective* FindCollective(std::string_view name) {
  for (const Collective& collective : kCollectives)
    if (collective.name == name) return &collective;
  return nullptr;
}

float Contribution(int rank, size_t index, uint32_t seed) {
  uint32_t x =
      static_cast<uint32_t>(index) * 0x9e3779b1u + static_cast<uint32_t>(rank) * 0x7feb352du + seed * 0x846ca68bu;
  x ^= x >> 16;
  x *= 0x85ebca6bu;
  x ^= x >> 13;
  return static_cast<float>(x & 1023);
}

}  // namespace perf
