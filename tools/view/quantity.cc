#include "view/quantity.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace relay::view {
namespace {

// Three digits and a power of 1000.
std::string Scaled(double value, const char* unit) {
  static constexpr std::array<const char*, 6> kPrefixes = {"", "k", "M", "G", "T", "P"};
  size_t power = 0;
  // What would round up to 1000 is 1 of the next.
  while (power + 1 < kPrefixes.size() && value >= 999.5) {
    value /= 1000;
    ++power;
  }
  std::string digits = fmt::format("{:.3g}", value);
  return digits + " " + kPrefixes[power] + unit;
}

}  // namespace

std::string RateText(double bits_s) {
  if (!(bits_s >= 0.5)) return "0";
  if (bits_s < 1000) return fmt::format("{:.0f} bit/s", bits_s);
  return Scaled(bits_s, "bit/s");
}

std::string SpeedText(uint32_t mbit) { return mbit == 0 ? "unknown speed" : Scaled(mbit * 1e6, "bit/s"); }

std::string BytesText(uint64_t bytes) {
  return bytes < 1000 ? fmt::format("{} B", bytes) : Scaled(static_cast<double>(bytes), "B");
}

std::string AgeText(uint64_t ms) {
  const uint64_t seconds = ms / 1000, minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
  if (ms < 10000) return fmt::format("{:.1f} s", static_cast<double>(ms / 100) / 10);
  if (minutes == 0) return fmt::format("{} s", seconds);
  if (hours == 0) return fmt::format("{} min {} s", minutes, seconds % 60);
  if (days == 0) return fmt::format("{} h {} min", hours, minutes % 60);
  return fmt::format("{} d {} h", days, hours % 24);
}

std::string MicrosText(uint64_t us) {
  if (us == 0) return "-";
  if (us < 1000) return fmt::format("{} us", us);
  if (us < 1000000) return fmt::format("{:.3g} ms", static_cast<double>(us) / 1e3);
  return fmt::format("{:.3g} s", static_cast<double>(us) / 1e6);
}

std::string CountText(size_t count, const std::string& noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace relay::view
