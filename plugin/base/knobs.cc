#include "relay/knobs.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <vector>

namespace relay {
namespace {

constexpr std::string_view kPrefix = "NCCL_RELAY_";

bool ParseNumber(std::string_view s, double& out) {
  auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), out);
  return ec == std::errc() && end == s.data() + s.size() && std::isfinite(out);
}

template <class T>
bool Within(T value, double min, double max) {
  return static_cast<double>(value) >= min && static_cast<double>(value) <= max;
}

bool ParseText(std::string_view s, knob::Text& out, double min, double max) {
  out = s;
  return Within(s.size(), min, max);
}

bool ParseCount(std::string_view s, knob::Count& out, double min, double max) {
  auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), out);
  return ec == std::errc() && end == s.data() + s.size() && Within(out, min, max);
}

bool ParseBytes(std::string_view s, knob::Bytes& out, double min, double max) {
  uint64_t unit = 1;
  if (!s.empty()) {
    switch (s.back()) {
      case 'K':
        unit = uint64_t{1} << 10;
        break;
      case 'M':
        unit = uint64_t{1} << 20;
        break;
      case 'G':
        unit = uint64_t{1} << 30;
        break;
      default:
        break;
    }
  }
  if (unit != 1) s.remove_suffix(1);
  auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), out);
  if (ec != std::errc() || end != s.data() + s.size() || out > UINT64_MAX / unit) return false;
  out *= unit;
  return Within(out, min, max);
}

bool ParseSeconds(std::string_view s, knob::Seconds& out, double min, double max) {
  double unit = 1;
  if (s.ends_with("ms")) {
    unit = 1e-3;
    s.remove_suffix(2);
  } else if (s.ends_with("s")) {
    s.remove_suffix(1);
  }
  double value = 0;
  if (!ParseNumber(s, value) || !Within(value * unit, min, max)) return false;
  out = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(value * unit));
  return true;
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t best = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = std::exchange(row[j], best);
    }
  }
  return row[b.size()];
}

struct Row {
  const char* name;
  const char* type;
  const char* fallback;
  const char* range;
  const char* help;
};
constexpr Row kRows[] = {
#define K(field, type, def, min, max, name, help) {name, #type, def, #min ".." #max, help},
    RELAY_KNOBS(K)
#undef K
};

const Row* FindRow(std::string_view name) {
  for (const Row& row : kRows) {
    if (name == row.name) return &row;
  }
  return nullptr;
}

// What a word-valued knob may be, beyond its length.
Status CheckWords(const Knobs& knobs) {
  if (knobs.agent != "auto" && knobs.agent != "off") {
    return Fail(ErrorCode::kUsage, "NCCL_RELAY_AGENT='" + knobs.agent + "' is neither auto nor off");
  }
  if (knobs.rdma != "auto" && knobs.rdma != "off") {
    return Fail(ErrorCode::kUsage, "NCCL_RELAY_RDMA='" + knobs.rdma + "' is neither auto nor off");
  }
  if (knobs.gdr != "auto" && knobs.gdr != "off") {
    return Fail(ErrorCode::kUsage, "NCCL_RELAY_GDR='" + knobs.gdr + "' is neither auto nor off");
  }
  if (knobs.staging != "host" && knobs.staging != "gpu") {
    return Fail(ErrorCode::kUsage, "NCCL_RELAY_STAGING='" + knobs.staging + "' is neither host nor gpu");
  }
  if (knobs.log != "warn" && knobs.log != "info" && knobs.log != "trace") {
    return Fail(ErrorCode::kUsage, "NCCL_RELAY_LOG='" + knobs.log + "' is none of warn, info, trace");
  }
  if (knobs.segment % 128 != 0) {
    return Fail(ErrorCode::kUsage, "NCCL_RELAY_SEGMENT=" + std::to_string(knobs.segment) + " is not a multiple of 128");
  }
  return {};
}

Status CheckNames(const char* const* environment) {
  for (const char* const* e = environment; e != nullptr && *e != nullptr; ++e) {
    std::string_view name(*e, std::strcspn(*e, "="));
    if (!name.starts_with(kPrefix) || FindRow(name) != nullptr) continue;
    std::string what = "unknown variable " + std::string(name);
    if (auto nearest = NearestKnob(name)) what += " (did you mean " + std::string(*nearest) + "?)";
    return Fail(ErrorCode::kUsage, what);
  }
  return {};
}

}  // namespace

Knobs::Knobs() {
#define K(field, type, def, min, max, name, help) Parse##type(def, field, min, max);
  RELAY_KNOBS(K)
#undef K
}

Result<Knobs> LoadKnobs(const Getenv& getenv_fn, const char* const* environment) {
  RELAY_TRY(CheckNames(environment));
  Knobs knobs;
#define K(field, type, def, min, max, name, help)                                                          \
  if (const char* v = getenv_fn(name); v != nullptr && !Parse##type(v, knobs.field, min, max)) {           \
    return Fail(ErrorCode::kUsage,                                                                         \
                std::string(name) + "='" + v + "' is not " #type " within " #min ".." #max " (" help ")"); \
  }
  RELAY_KNOBS(K)
#undef K
  RELAY_TRY(CheckWords(knobs));
  return knobs;
}

std::optional<Duration> ParseKnobSeconds(std::string_view text) {
  knob::Seconds out{};
  if (!ParseSeconds(text, out, 0, 86400)) return std::nullopt;
  return out;
}

std::optional<std::string_view> NearestKnob(std::string_view unknown) {
  const Row* best = nullptr;
  size_t best_distance = 4;  // farther than three letters is another word
  for (const Row& row : kRows) {
    size_t distance = EditDistance(row.name, unknown);
    if (distance < best_distance) {
      best = &row;
      best_distance = distance;
    }
  }
  if (best == nullptr) return std::nullopt;
  return best->name;
}

std::string KnobsReference() {
  std::string out =
      "# Knobs\n\nEvery environment variable of nccl-relay. A wrong name or value stops the start with a sentence.\n\n"
      "| variable | kind | default | range | meaning |\n|---|---|---|---|---|\n";
  for (const Row& row : kRows) {
    out += std::string("| `") + row.name + "` | " + row.type + " | " + (*row.fallback ? row.fallback : "unset") +
           " | " + row.range + " | " + row.help + " |\n";
  }
  return out;
}

}  // namespace relay
