// What rank 0 prints: nccl-tests' table, or one JSON document.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "perf/options.h"

namespace relay::perf {

struct Row {
  uint64_t bytes = 0, count = 0;
  const char* operation = "none";
  int root = -1;
  double microseconds = 0;             // pingpong: the median
  double minimum = 0, percentile = 0;  // pingpong only, microseconds
  double bus_factor = 1;
  std::optional<uint64_t> wrong{};  // nullopt: not verified
  double gap = 0;                   // seconds: the longest of any rank so far

  double algorithm_bandwidth() const;  // GB/s
  double bus_bandwidth() const { return algorithm_bandwidth() * bus_factor; }
};

struct Heading {
  const Options& options;
  int ranks;
  int abi;
  std::string plugin, device;
  int speed_mbit;
};

class Table {
 public:
  explicit Table(const Heading& heading) : heading_(heading) {}
  std::string Begin() const;
  std::string Add(const Row& row);
  std::string End() const;
  bool right() const { return failures_ == 0; }

 private:
  bool latencies() const { return heading_.options.pattern == "pingpong"; }
  std::string JsonRow(const Row& row) const;

  const Heading heading_;
  int rows_ = 0, failures_ = 0;
  double bandwidths_ = 0, gap_ = 0;
};

// A JSON string with its quotes.
std::string Quoted(const std::string& text);

}  // namespace relay::perf
