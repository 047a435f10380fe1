#include "lab/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "fabric/link_facts.h"

namespace relay::lab {
namespace {

constexpr double kMillion = 1e6;

struct Parts {
  std::string what;
  std::optional<std::string> value;
  Duration after{};
};

bool TakesValue(FaultKind kind) {
  return kind == FaultKind::kSlow || kind == FaultKind::kLoss || kind == FaultKind::kMtu || kind == FaultKind::kNarrow;
}

const FaultOption& OptionOf(FaultKind kind) {
  return *std::find_if(kFaultOptions.begin(), kFaultOptions.end(),
                       [&](const FaultOption& o) { return o.kind == kind; });
}

tl::unexpected<Error> Wrong(const Fault& fault, const std::string& reason) {
  return Fail(ErrorCode::kUsage, fmt::format("--{}: {}", fault.text, reason));
}

std::string ExampleOf(FaultKind kind) {
  switch (kind) {
    case FaultKind::kSlow:
    case FaultKind::kLoss:
      return "A-B=1%@3s";
    case FaultKind::kMtu:
      return "A-B=1280@3s";
    case FaultKind::kNarrow:
      return "A-B=1500@3s";
    default:
      return IsLinkFault(kind) ? "A-B@3s" : "B@3s";
  }
}

// "WHAT@TIME", "WHAT=VALUE@TIME".
Result<Parts> Split(const Fault& fault, std::string_view text) {
  const size_t at = text.rfind('@');
  if (at == text.npos) return Wrong(fault, "says no time: write it like " + ExampleOf(fault.kind));
  const Result<Duration> after = ParseDuration(text.substr(at + 1));
  RELAY_TRY(after);
  Parts parts{std::string(text.substr(0, at)), std::nullopt, *after};
  const size_t equals = parts.what.rfind('=');
  if ((equals != std::string::npos) != TakesValue(fault.kind)) {
    return Wrong(fault, std::string(TakesValue(fault.kind) ? "says no value" : "takes no value") + ": write it like " +
                            ExampleOf(fault.kind));
  }
  if (equals != std::string::npos) {
    parts.value = parts.what.substr(equals + 1);
    parts.what.resize(equals);
  }
  return parts;
}

struct Quantity {
  double number = 0;
  std::string unit;
};

std::optional<Quantity> ParseQuantity(const std::string& text) {
  Quantity quantity;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), quantity.number);
  if (error != std::errc() || !std::isfinite(quantity.number)) return std::nullopt;
  quantity.unit = end;
  return quantity;
}

// How many of the unit of `value` a rate's unit is; 0 for none.
double RateUnit(const std::string& unit) {
  return unit == "%" ? kMillion / 100 : unit == "kbit" ? 1 : unit == "mbit" ? 1e3 : unit == "gbit" ? 1e6 : 0;
}

Status SetValue(Fault& fault, const std::string& text) {
  const std::optional<Quantity> quantity = ParseQuantity(text);
  const double number = quantity ? quantity->number : -1;
  const std::string unit = quantity ? quantity->unit : "";
  if (fault.kind == FaultKind::kMtu) {
    if (!unit.empty() || !(number >= 1280 && number <= 65535)) return Wrong(fault, "an MTU is 1280 to 65535");
    fault.value = static_cast<uint32_t>(number);
    return {};
  }
  if (fault.kind == FaultKind::kNarrow) {
    if (!unit.empty() || !(number >= 68 && number <= 65535)) return Wrong(fault, "a packet has 68 to 65535 bytes");
    fault.value = static_cast<uint32_t>(number);
    return {};
  }
  if (fault.kind == FaultKind::kLoss) {
    if (unit != "%" || !(number >= 0 && number <= 100)) return Wrong(fault, "a loss is 0% to 100%");
    fault.value = static_cast<uint32_t>(std::lround(number * kMillion / 100));
    return {};
  }
  const double value = number * RateUnit(unit);
  fault.relative = unit == "%";
  if (!(value >= 8 && value <= 1e9) || (fault.relative && number > 100)) {
    return Wrong(fault, "a rate is written like 1%, 500kbit, 10mbit or 1gbit");
  }
  fault.value = static_cast<uint32_t>(std::lround(value));
  return {};
}

uint32_t BuiltKbit(const Plan& plan, const fabric::LinkEnd& end) {
  const uint32_t shaped = plan.InterfaceAt(end).rate_kbit;
  return shaped != 0 ? shaped : fabric::PortAt(plan.fabric, end).speed_mbit * 1000;
}

Status SetPlace(const Plan& plan, const std::string& what, Fault& fault) {
  Result<Place> place = FindPlace(plan.fabric, what);
  if (!place) return Wrong(fault, place.error().what);
  fault.place = std::move(*place);
  if (fault.kind == FaultKind::kCut && fault.place.one_way) {
    return Wrong(fault, "a cable is cut both ways: write A-B, or use --drop");
  }
  for (const fabric::LinkEnd& end : fault.place.senders) {
    if (fault.relative && BuiltKbit(plan, end) == 0) {
      return Wrong(fault, "the link has neither a rate nor a declared speed: give a rate like 10mbit");
    }
  }
  return {};
}

}  // namespace

bool IsLinkFault(FaultKind kind) { return kind <= FaultKind::kNarrow; }

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

Result<Fault> ParseFault(const Plan& plan, FaultKind kind, std::string_view text) {
  Fault fault;
  fault.kind = kind;
  fault.text = fmt::format("{} {}", OptionOf(kind).name, text);
  const Result<Parts> parts = Split(fault, text);
  RELAY_TRY(parts);
  fault.after = parts->after;
  if (parts->value) RELAY_TRY(SetValue(fault, *parts->value));
  if (IsLinkFault(kind)) {
    RELAY_TRY(SetPlace(plan, parts->what, fault));
    return fault;
  }
  const Result<size_t> node = FindNodeNamed(plan, parts->what);
  if (!node) return Wrong(fault, node.error().what);
  fault.node = *node;
  return fault;
}

Result<std::vector<Fault>> ParseSchedule(const Plan& plan, const RunOptions& options) {
  std::vector<Fault> faults;
  for (const FaultText& text : options.faults) {
    Result<Fault> fault = ParseFault(plan, text.kind, text.value);
    RELAY_TRY(fault);
    faults.push_back(std::move(*fault));
  }
  std::stable_sort(faults.begin(), faults.end(), [](const Fault& x, const Fault& y) { return x.after < y.after; });
  return faults;
}

LinkState After(const Plan& plan, const Fault& fault, const fabric::LinkEnd& end, const LinkState& before) {
  LinkState after = before;
  switch (fault.kind) {
    case FaultKind::kCut:
      after.cut = true;
      break;
    case FaultKind::kHeal:
      after = BuiltState(plan, end);
      break;
    case FaultKind::kDrop:
      after.drop = true;
      break;
    case FaultKind::kSlow:
      after.rate_kbit = fault.value;
      if (fault.relative) {
        const double kbit = BuiltKbit(plan, end) * (fault.value / kMillion);
        after.rate_kbit = std::max<uint32_t>(8, static_cast<uint32_t>(std::lround(kbit)));
      }
      break;
    case FaultKind::kLoss:
      after.loss_ppm = fault.value;
      break;
    case FaultKind::kMtu:
      after.mtu = fault.value;
      break;
    case FaultKind::kNarrow:
      after.longest = fault.value;
      break;
    default:
      break;
  }
  return after;
}

}  // namespace relay::lab
