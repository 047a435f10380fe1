// One collective on one rank's buffers: filled with data of its own each time, launched, and verified element by
// element. Verified is also that nothing behind the result was written.
#pragma once

#include <cstddef>

#include "perf/collective.h"
#include "perf/session.h"

namespace perf {

// GPU memory for floats. Registered with the communicator, NCCL may hand it to the net as it is.
class DeviceBuffer {
 public:
  DeviceBuffer(Session& session, size_t elements, bool registered);
  ~DeviceBuffer();
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  float* data() const { return static_cast<float*>(data_); }

 private:
  const ncclComm_t comm_;  // outlives a registered buffer
  void* data_ = nullptr;
  void* registration_ = nullptr;
};

class Exercise {
 public:
  struct Mode {
    bool in_place;
    const float* send;
    float* recv;
  };

  // Runs any count up to `max_count`. The session's communicator is there.
  Exercise(Session& session, const Collective& collective, int root, size_t max_count, bool registered = false);

  const Collective& collective() const { return collective_; }
  const Place& place() const { return place_; }

  Mode ModeFor(size_t count, bool in_place) const;
  void Fill(const Repetition& repetition, const Mode& mode);
  ncclResult_t Launch(size_t count, const Mode& mode);  // may be part of a group, of which the caller takes care
  size_t CountWrong(const Repetition& repetition, const Mode& mode);

 private:
  size_t ElementsFor(size_t count, size_t (*size)(size_t, int)) const;

  Session& session_;
  const Collective& collective_;
  const Place place_;
  DeviceBuffer send_, recv_;
};

}  // namespace perf
