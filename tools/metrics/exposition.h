// Prometheus' text format, version 0.0.4. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace relay::metrics {

enum class Kind : uint8_t { kGauge, kCounter };

struct Sample {
  std::vector<std::pair<std::string, std::string>> labels;
  double value = 0;
};

struct Family {
  std::string name, help;
  Kind kind = Kind::kGauge;
  std::vector<Sample> samples;
};

inline constexpr char kContentType[] = "text/plain; version=0.0.4; charset=utf-8";

// Families without a sample are left out.
std::string Expose(const std::vector<Family>& families);

}  // namespace relay::metrics
