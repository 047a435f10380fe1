#include "lab/schedule.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace relay::lab {
namespace {

struct Timed {
  std::string what;
  Duration after{};
};

Result<Timed> SplitTime(std::string_view text) {
  const size_t at = text.rfind('@');
  if (at == text.npos) return Fail(ErrorCode::kUsage, fmt::format("\"{}\" says no time: write it like A-B@3s", text));
  const Result<Duration> after = ParseDuration(text.substr(at + 1));
  if (!after) return tl::unexpected<Error>(after.error());
  return Timed{std::string(text.substr(0, at)), *after};
}

std::vector<size_t> LinksAt(const fabric::Fabric& fabric, const std::string& end) {
  std::vector<size_t> links;
  for (size_t i = 0; i < fabric.links.size(); ++i) {
    const fabric::Link& link = fabric.links[i];
    if (fabric::EndText(fabric, link.a) == end || fabric::EndText(fabric, link.b) == end) links.push_back(i);
  }
  return links;
}

// Names may contain '-', so every place to cut is tried.
std::vector<size_t> LinksBetween(const fabric::Fabric& fabric, const std::string& pair) {
  std::vector<size_t> links;
  for (size_t i = 0; i < fabric.links.size(); ++i) {
    const std::string& a = fabric.nodes[fabric.links[i].a.node].name;
    const std::string& b = fabric.nodes[fabric.links[i].b.node].name;
    if (a + "-" + b == pair || b + "-" + a == pair) links.push_back(i);
  }
  return links;
}

}  // namespace

Result<Duration> ParseDuration(std::string_view text) {
  const bool ms = text.size() > 2 && text.substr(text.size() - 2) == "ms";
  const bool seconds = !ms && text.size() > 1 && text.back() == 's';
  const std::string_view number = text.substr(0, text.size() - (ms ? 2 : seconds ? 1 : 0));
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  constexpr double kLongest = 7 * 24 * 3600;
  if (error != std::errc() || end != number.data() + number.size() || !(value >= 0) || value > kLongest) {
    return Fail(ErrorCode::kUsage, fmt::format("\"{}\" is no duration: write it like 3s, 0.5s or 250ms", text));
  }
  return std::chrono::nanoseconds(std::llround(value * (ms ? 1e6 : 1e9)));
}

Result<Fault> ParseLinkFault(const Plan& plan, FaultKind kind, std::string_view text) {
  const Result<Timed> timed = SplitTime(text);
  if (!timed) return tl::unexpected<Error>(timed.error());
  Fault fault{kind, timed->after, {}, 0, std::string(text)};
  const bool port = timed->what.find('/') != std::string::npos;
  fault.links = port ? LinksAt(plan.fabric, timed->what) : LinksBetween(plan.fabric, timed->what);
  if (fault.links.empty()) {
    return Fail(ErrorCode::kUsage,
                fmt::format("\"{}\" names no link: write it like A-B@3s, or A/ab@3s for one cable", text));
  }
  return fault;
}

Result<Fault> ParseNodeFault(const Plan& plan, FaultKind kind, std::string_view text) {
  const Result<Timed> timed = SplitTime(text);
  if (!timed) return tl::unexpected<Error>(timed.error());
  const Result<size_t> node = FindNodeNamed(plan, timed->what);
  if (!node) return tl::unexpected<Error>(node.error());
  return Fault{kind, timed->after, {}, *node, std::string(text)};
}

Result<std::vector<Fault>> ParseSchedule(const Plan& plan, const RunOptions& options) {
  std::vector<Fault> faults;
  const auto add = [&](const std::vector<std::string>& texts, FaultKind kind, auto parse) -> Status {
    for (const std::string& text : texts) {
      Result<Fault> fault = parse(plan, kind, text);
      if (!fault) return tl::unexpected<Error>(fault.error());
      faults.push_back(std::move(*fault));
    }
    return {};
  };
  RELAY_TRY(add(options.cuts, FaultKind::kCut, ParseLinkFault));
  RELAY_TRY(add(options.drops, FaultKind::kDrop, ParseLinkFault));
  RELAY_TRY(add(options.kills, FaultKind::kKill, ParseNodeFault));
  RELAY_TRY(add(options.agent_kills, FaultKind::kKillAgent, ParseNodeFault));
  return faults;
}

}  // namespace relay::lab
