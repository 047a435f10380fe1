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

template <class Choice>
bool ParseChoice(std::string_view s, Choice& out) {
  for (const auto& word : knob::kWords<Choice>) {
    if (s != word.text) continue;
    out = word.value;
    return true;
  }
  return false;
}

// "neither auto nor off", "none of warn, info, trace"
template <class Choice>
std::string NoneOfTheWords() {
  const auto& words = knob::kWords<Choice>;
  if (words.size() == 2) return "neither " + std::string(words[0].text) + " nor " + std::string(words[1].text);
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "none of " : ", ") + std::string(word.text);
  return out;
}

template <class Choice>
std::string WordsText() {
  std::string out;
  for (const auto& word : knob::kWords<Choice>) out += (out.empty() ? "`" : ", `") + std::string(word.text) + "`";
  return out;
}

template <class Kind>
std::string OutOfRange(const char* kind, const char* min, const char* max) {
  if (std::is_same_v<Kind, knob::Text>) return std::string("longer than ") + max + " characters";
  return std::string("not ") + kind + " within " + min + ".." + max;
}

template <class Kind>
std::string RangeText(const char* min, const char* max) {
  if (std::is_same_v<Kind, knob::Text>) return std::string("up to ") + max + " characters";
  return std::string(min) + ".." + max;
}

struct Row {
  const char* name;
  const char* type;
  const char* fallback;
  std::string (*range)();
  const char* help;
};
constexpr Row kRows[] = {
#define K(field, type, def, min, max, name, help) \
  {name, #type, def, [] { return RangeText<knob::type>(#min, #max); }, help},
#define C(field, type, def, name, help) {name, "Choice", def, [] { return WordsText<knob::type>(); }, help},
    RELAY_KNOBS(K, C)
#undef C
#undef K
};

const Row* FindRow(std::string_view name) {
  for (const Row& row : kRows) {
    if (name == row.name) return &row;
  }
  return nullptr;
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
#define C(field, type, def, name, help) ParseChoice(def, field);
  RELAY_KNOBS(K, C)
#undef C
#undef K
}

Result<Knobs> LoadKnobs(const Getenv& getenv_fn, const char* const* environment) {
  RELAY_TRY(CheckNames(environment));
  Knobs knobs;
  const auto wrong = [](std::string_view name, const char* value, const std::string& why, std::string_view help) {
    return Fail(ErrorCode::kUsage, std::string(name) + "='" + value + "' is " + why + " (" + std::string(help) + ")");
  };
#define K(field, type, def, min, max, name, help)                                                \
  if (const char* v = getenv_fn(name); v != nullptr && !Parse##type(v, knobs.field, min, max)) { \
    return wrong(name, v, OutOfRange<knob::type>(#type, #min, #max), help);                      \
  }
#define C(field, type, def, name, help)                                                \
  if (const char* v = getenv_fn(name); v != nullptr && !ParseChoice(v, knobs.field)) { \
    return wrong(name, v, NoneOfTheWords<knob::type>(), help);                         \
  }
  RELAY_KNOBS(K, C)
#undef C
#undef K
  if (knobs.segment % 128 != 0) {
    return Fail(ErrorCode::kUsage, "NCCL_RELAY_SEGMENT=" + std::to_string(knobs.segment) + " is not a multiple of 128");
  }
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
           " | " + row.range() + " | " + row.help + " |\n";
  }
  return out;
}

}  // namespace relay
