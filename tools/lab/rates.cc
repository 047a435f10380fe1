#include "lab/rates.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "fabric/link_facts.h"

namespace relay::lab {

Result<uint32_t> ParseRate(std::string_view text) {
  if (text.empty()) return 0u;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  const double mbit = unit == "gbit" ? value * 1000 : value;
  if (error != std::errc() || (unit != "gbit" && unit != "mbit") || !(mbit >= 1) || mbit > 1e6) {
    return Fail(ErrorCode::kUsage, fmt::format("rate {}: write it like 1gbit, 2.5gbit or 100mbit", text));
  }
  return static_cast<uint32_t>(std::lround(mbit));
}

Result<Rates> Rates::Parse(std::span<const std::string> texts) {
  Rates rates;
  for (const std::string& text : texts) {
    const size_t equals = text.rfind('=');
    const Result<uint32_t> mbit = ParseRate(equals == text.npos ? text : text.substr(equals + 1));
    RELAY_TRY(mbit);
    if (equals == text.npos) {
      rates.common_mbit_ = *mbit;
    } else {
      rates.exceptions_.push_back({text.substr(0, equals), *mbit});
    }
  }
  return rates;
}

Status Rates::Declare(fabric::Fabric& fabric) const {
  for (const Exception& exception : exceptions_) {
    const Result<Place> place = FindPlace(fabric, exception.place);
    RELAY_TRY(place);
    for (const fabric::LinkEnd& end : place->senders)
      fabric.nodes[end.node].ports[end.port].speed_mbit = exception.mbit;
  }
  for (fabric::Link& link : fabric.links) link.speed_mbit = fabric::SpeedOfPorts(fabric, link);
  return {};
}

Status Rates::Shape(Plan& plan) const {
  for (PlanNode& node : plan.nodes) {
    for (Interface& interface : node.interfaces) interface.rate_kbit = common_mbit_ * 1000;
  }
  for (const Exception& exception : exceptions_) {
    const Result<Place> place = FindPlace(plan.fabric, exception.place);
    RELAY_TRY(place);
    for (const fabric::LinkEnd& end : place->senders) {
      plan.nodes[end.node].interfaces[end.port].rate_kbit = exception.mbit * 1000;
    }
  }
  return {};
}

}  // namespace relay::lab
