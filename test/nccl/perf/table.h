// What rank 0 prints: the table of nccl-tests, or one JSON document.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "perf/options.h"

namespace perf {

struct Device {  // one rank's line in the head
  int rank, pid, device;
  unsigned bus;
  char host[64], name[64];
};

struct Measurement {
  double microseconds;
  double algorithm_bandwidth, bus_bandwidth;  // GB/s
  std::optional<double> wrong;                // elements over all ranks; absent: not verified
};

struct Row {
  size_t bytes, count;
  const char* op;
  int root;
  Measurement out_of_place, in_place;
};

class Table {
 public:
  explicit Table(const Options& options) : options_(options) {}

  void Begin(const std::vector<Device>& devices);
  void Add(const Row& row);
  void End();

  int failures() const { return failures_; }  // verified measurements with wrong elements

 private:
  const Options& options_;
  size_t rows_ = 0;
  int failures_ = 0;
  double bandwidth_sum_ = 0;
};

}  // namespace perf
