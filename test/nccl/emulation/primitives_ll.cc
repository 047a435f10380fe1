// The two protocols that carry a flag beside the data instead of a counter.
#include <algorithm>
#include <cstring>

#include "emulation/primitives.h"

namespace fakecuda {
namespace {

// LL: 8 bytes of data and two flags per line.
struct LLLine {
  uint32_t data_low, flag_low, data_high, flag_high;
};
constexpr size_t kLLData = 8;

// LL128: lines of 15 data words and a flag word, sent in groups of 16 lines. The order of the data words is private to
// sender and receiver, which are both emulated; the proxy looks at the flags only.
constexpr size_t kLL128Words = 16;
constexpr size_t kLL128Data = 120, kLL128Line = 128, kLL128Group = 16;

// Flags are step numbers. Before they wrap, every line of a slot is sent once, so that no stale flag can match.
bool CleansAllLines(uint64_t step) { return (step & 0x7ffffff8) == 0x7ffffff8; }

uint32_t FlagOf(uint64_t step) { return static_cast<uint32_t>(step + 1); }

// Data and flag must become visible as one unit, as the 16-byte store of a GPU does it.
void StoreLine(char* slot, size_t line, uint64_t data, uint32_t flag) {
  auto* words = reinterpret_cast<uint64_t*>(slot) + 2 * line;
  Store(words, (data & 0xffffffff) | uint64_t{flag} << 32);
  Store(words + 1, data >> 32 | uint64_t{flag} << 32);
}

bool LineHasFlag(const LLLine* line, uint32_t flag) {
  return Load(&line->flag_low) == flag && Load(&line->flag_high) == flag;
}

}  // namespace

void Primitives::RunLL(const Move& move) {
  const size_t per_line = kLLData / reducer_.element;
  const size_t lines = (move.count + per_line - 1) / per_line;
  auto slot = [](const Side& side) { return side.buffer + side.step % kSteps * side.step_bytes; };
  if (move.send) {
    for (const Side& side : sends_) {
      WaitForRoom(side, 1);
      size_t bytes = CleansAllLines(side.step) ? side.step_bytes : lines * sizeof(LLLine);
      if (side.fifo) side.fifo.Size(side.step) = static_cast<ssize_t>(bytes);
    }
  }
  for (size_t line = 0; line < lines; line++) {
    size_t elements = std::min(per_line, move.count - line * per_line);
    uint64_t inputs[8], result = 0;
    Sources from;
    if (move.source) {
      inputs[from.count] = 0;
      memcpy(&inputs[from.count], move.source + line * kLLData, elements * reducer_.element);
      from.Add(&inputs[from.count]);
    }
    if (move.receive) {
      for (const Side& side : receives_) {
        auto* received = reinterpret_cast<const LLLine*>(slot(side)) + line;
        block_.scheduler.Wait([&] { return LineHasFlag(received, FlagOf(side.step)); });
        inputs[from.count] = received->data_low | uint64_t{received->data_high} << 32;
        from.Add(&inputs[from.count]);
      }
    }
    Destinations to;
    to.Add(&result);
    reducer_.Run(to, from, elements, move.how);
    if (move.send)
      for (const Side& side : sends_) StoreLine(slot(side), line, result, FlagOf(side.step));
    if (move.destination) memcpy(move.destination + line * kLLData, &result, elements * reducer_.element);
  }
  if (move.receive)
    for (Side& side : receives_) Store(side.head, ++side.step);
  if (move.send)
    for (Side& side : sends_) FinishLLSend(side, lines);
}

void Primitives::FinishLLSend(Side& side, size_t lines) {
  if (CleansAllLines(side.step)) {
    char* slot = side.buffer + side.step % kSteps * side.step_bytes;
    for (size_t line = lines; line < side.step_bytes / sizeof(LLLine); line++)
      StoreLine(slot, line, 0, FlagOf(side.step));
  }
  side.step++;
}

void Primitives::RunLL128(const Move& move) {
  const size_t bytes = move.count * reducer_.element;
  const size_t lines = (bytes + kLL128Data - 1) / kLL128Data;
  const size_t wire_lines = (lines + kLL128Group - 1) / kLL128Group * kLL128Group;
  auto words = [](const Side& side, size_t line) {
    return reinterpret_cast<uint64_t*>(side.buffer + side.step % kSteps * side.step_bytes) + line * kLL128Words;
  };
  if (move.send) {
    for (const Side& side : sends_) {
      WaitForRoom(side, 1);
      if (side.fifo) side.fifo.Size(side.step) = static_cast<ssize_t>(wire_lines * kLL128Line);
    }
  }
  for (size_t line = 0; line < (move.send ? wire_lines : lines); line++) {
    size_t start = line * kLL128Data;
    size_t length = start < bytes ? std::min(kLL128Data, bytes - start) : 0;
    uint64_t result[kLL128Words - 1] = {};
    if (length) {
      Sources from;
      if (move.source) from.Add(move.source + start);
      if (move.receive) {
        for (const Side& side : receives_) {
          const uint64_t* received = words(side, line);
          block_.scheduler.Wait([&] { return Load(received + kLL128Words - 1) == side.step + 1; });
          from.Add(received);
        }
      }
      Destinations to;
      to.Add(result);
      reducer_.Run(to, from, length / reducer_.element, move.how);
    }
    if (move.send) {
      for (const Side& side : sends_) {
        uint64_t* sent = words(side, line);
        memcpy(sent, result, kLL128Data);
        Store(sent + kLL128Words - 1, side.step + 1);
      }
    }
    if (move.destination && length) memcpy(move.destination + start, result, length);
  }
  if (move.receive)
    for (Side& side : receives_) Store(side.head, ++side.step);
  if (move.send)
    for (Side& side : sends_) Store(side.tail, ++side.step);
}

}  // namespace fakecuda
