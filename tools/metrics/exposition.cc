#include "metrics/exposition.h"

#include <fmt/format.h>

#include <cmath>

namespace relay::metrics {
namespace {

enum class Quoting : bool { kHelp, kLabel };

std::string Escaped(const std::string& text, Quoting quoting) {
  std::string out;
  for (char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quoting == Quoting::kLabel) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

// Whole numbers whole: a counter of bytes is not to be read as 1.2e+12.
std::string ValueText(double value) {
  if (std::nearbyint(value) == value && std::abs(value) < 9e15) return fmt::format("{}", static_cast<int64_t>(value));
  return fmt::format("{:.9g}", value);
}

std::string LabelsText(const Sample& sample) {
  std::string out;
  for (const auto& [name, value] : sample.labels) {
    out += fmt::format("{}{}=\"{}\"", out.empty() ? "" : ",", name, Escaped(value, Quoting::kLabel));
  }
  return out.empty() ? "" : "{" + out + "}";
}

}  // namespace

std::string Expose(const std::vector<Family>& families) {
  std::string out;
  for (const Family& family : families) {
    if (family.samples.empty()) continue;
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", family.name, Escaped(family.help, Quoting::kHelp), family.name,
                       family.kind == Kind::kCounter ? "counter" : "gauge");
    for (const Sample& sample : family.samples) {
      out += family.name + LabelsText(sample) + " " + ValueText(sample.value) + "\n";
    }
  }
  return out;
}

}  // namespace relay::metrics
