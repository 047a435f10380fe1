#include "emulation/pat.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "emulation/fifo.h"
#include "emulation/pat_schedule.h"
#include "fakecuda/memory.h"

namespace fakecuda {
namespace {

// The messages of one dimension in one direction.
class Stream {
 public:
  Stream(Block& block, Connection& connection)
      : block_(block),
        connection_(connection),
        tail_(HostAlias(connection.tail)),
        head_(HostAlias(connection.head)),
        fifo_(HostAlias(connection.fifo)),
        buffer_(HostAlias(connection.buffers[kSimple])),
        chunk_(connection.step) {}

  // Messages are numbered from the start of a chunk.
  void StartChunk() { chunk_ = connection_.step; }

  char* AwaitMessage(int message) {
    const uint64_t step = StepOf(message);
    block_.scheduler.Wait([&] { return Load(tail_) > step; });
    return SlotOf(step);
  }

  char* AwaitRoom(int message) {
    const uint64_t step = StepOf(message);
    block_.scheduler.Wait([&] { return Load(head_) + kSteps > step; });
    return SlotOf(step);
  }

  void Post(size_t bytes) {
    if (fifo_) fifo_.Size(connection_.step) = static_cast<ssize_t>(bytes);
    Store(tail_, ++connection_.step);
  }

  void Release() { Store(head_, ++connection_.step); }

 private:
  uint64_t StepOf(int message) const { return chunk_ + static_cast<uint64_t>(message); }
  char* SlotOf(uint64_t step) const { return buffer_ + step % kSteps * static_cast<uint64_t>(connection_.step_size); }

  Block& block_;
  Connection& connection_;
  uint64_t *tail_, *head_;
  Fifo fifo_;
  char* buffer_;
  uint64_t chunk_;  // step of the chunk's first message
};

class Pat {
 public:
  // `towards`: +1 when messages go to the ranks after this one, -1 when to those before.
  Pat(Block& block, PatBuffers buffers, const Share& share, const Reducer& reducer, PatSchedule schedule, int towards)
      : block_(block), buffers_(buffers), share_(share), reducer_(reducer), schedule_(std::move(schedule)) {
    const int rank = block.comm->rank, ranks = block.comm->ranks;
    for (int dimension = 0; dimension < schedule_.dimensions; dimension++) {
      const int distance = 1 << dimension;
      const int after = (rank + distance) % ranks, before = (rank - distance + ranks) % ranks;
      receives_.emplace_back(block, HostAlias(block.channel.peers[towards > 0 ? before : after])->recv[0]);
      sends_.emplace_back(block, HostAlias(block.channel.peers[towards > 0 ? after : before])->send[0]);
    }
  }

  void Gather() {
    ForEachPiece(share_, [&](Piece piece) {
      StartChunk(piece);
      for (const PatStep& step : schedule_.steps) GatherStep(step);
    });
  }

  void Scatter() {
    ForEachPiece(share_, [&](Piece piece) {
      StartChunk(piece);
      for (const PatStep& step : schedule_.steps) ScatterStep(step);
    });
  }

 private:
  void StartChunk(Piece piece) {
    piece_ = piece;
    uses_left_ = schedule_.uses;
    for (Stream& stream : receives_) stream.StartChunk();
    for (Stream& stream : sends_) stream.StartChunk();
  }

  void GatherStep(const PatStep& step) {
    Sources from;
    from.Add(step.block ? Received(step.block) : buffers_.input + BytesOf(piece_.start));
    Destinations to;
    if (step.child != kNoBlock) to.Add(RoomFor(step.child));
    char* kept = PartOf(buffers_.output, step.block);
    if (FirstUse(step.block) && kept != from.pointers[0]) to.Add(kept);
    if (to.count) reducer_.Run(to, from, Elements(), {});
    if (step.child != kNoBlock) PostIfLast(step.child);
    if (LastUse(step.block) && step.block) ReleaseIfLast(step.block);
  }

  void ScatterStep(const PatStep& step) {
    Sources from;
    if (step.child != kNoBlock) from.Add(Received(step.child));
    char* sum = step.block ? RoomFor(step.block) : buffers_.output + BytesOf(piece_.start);
    from.Add(FirstUse(step.block) ? PartOf(buffers_.input, step.block) : sum);
    Destinations to;
    to.Add(sum);
    reducer_.Run(to, from, Elements(), {});
    if (LastUse(step.block) && step.block) PostIfLast(step.block);
    if (step.child != kNoBlock) ReleaseIfLast(step.child);
  }

  bool FirstUse(int block) const { return uses_left_[Index(block)] == schedule_.uses[Index(block)]; }
  bool LastUse(int block) { return --uses_left_[Index(block)] == 0; }

  char* Received(int block) {
    const PatPlace& place = PlaceOf(block);
    return receives_[Index(PatDimension(block))].AwaitMessage(place.message) + OffsetOf(place);
  }

  char* RoomFor(int block) {
    const PatPlace& place = PlaceOf(block);
    return sends_[Index(PatDimension(block))].AwaitRoom(place.message) + OffsetOf(place);
  }

  void PostIfLast(int block) {
    const PatPlace& place = PlaceOf(block);
    if (place.last) sends_[Index(PatDimension(block))].Post(OffsetOf(place) + BytesOf(piece_.count));
  }

  void ReleaseIfLast(int block) {
    if (PlaceOf(block).last) receives_[Index(PatDimension(block))].Release();
  }

  static size_t Index(int number) { return static_cast<size_t>(number); }
  const PatPlace& PlaceOf(int block) const { return schedule_.places[Index(block)]; }
  size_t BytesOf(ssize_t elements) const { return static_cast<size_t>(elements) * reducer_.element; }
  size_t Elements() const { return static_cast<size_t>(piece_.count); }
  size_t OffsetOf(const PatPlace& place) const { return Index(place.index) * BytesOf(piece_.count); }

  // The piece of a block in a buffer with the parts of all ranks.
  char* PartOf(char* buffer, int block) const {
    const auto rank = Index((block_.comm->rank + block) % block_.comm->ranks);
    return buffer + rank * share_.total * reducer_.element + BytesOf(piece_.start);
  }

  Block& block_;
  const PatBuffers buffers_;
  const Share share_;
  const Reducer reducer_;
  const PatSchedule schedule_;
  std::vector<Stream> receives_, sends_;  // by dimension
  Piece piece_{};
  std::vector<int> uses_left_;  // by block
};

PatSizes SizesOf(const Share& share, size_t element) {
  return {.chunk = share.chunk * element, .share = share.count * element};
}

}  // namespace

void RunPatGather(Block& block, PatBuffers buffers, const Share& share, const Reducer& reducer) {
  PatSchedule schedule = PatGather(block.comm->ranks, SizesOf(share, reducer.element));
  Pat(block, buffers, share, reducer, std::move(schedule), -1).Gather();
}

void RunPatScatter(Block& block, PatBuffers buffers, const Share& share, const Reducer& reducer) {
  const bool count_absent = GetLayout().pat_counts_absent;
  PatSchedule schedule = PatScatter(block.comm->ranks, SizesOf(share, reducer.element), count_absent);
  Pat(block, buffers, share, reducer, std::move(schedule), +1).Scatter();
}

}  // namespace fakecuda
