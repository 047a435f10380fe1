#include "perf/table.h"

#include <fmt/format.h>

#include <algorithm>

namespace relay::perf {
namespace {

std::string Time(double microseconds) {
  const int digits = microseconds >= 10000 ? 0 : microseconds >= 100 ? 1 : 2;
  return fmt::format("{:.{}f}", microseconds, digits);
}

std::string WrongText(const Row& row) { return row.wrong ? std::to_string(*row.wrong) : "N/A"; }

}  // namespace

double Row::algorithm_bandwidth() const {
  return microseconds > 0 ? static_cast<double>(bytes) / microseconds / 1e3 : 0;
}

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string Table::Begin() const {
  const Options& o = heading_.options;
  if (o.json) {
    return fmt::format("{{\"collective\":{},\"ranks\":{},\"abi\":\"v{}\",\"plugin\":{},\"channels\":{},\"rows\":[",
                       Quoted(o.pattern), heading_.ranks, heading_.abi, Quoted(heading_.plugin), o.channels);
  }
  std::string out = fmt::format(
      "# {} minBytes {} maxBytes {} step: {}(factor) warmup iters: {} iters: {} validation: {} channels: {}\n"
      "# ranks {} ncclNetPlugin_v{} of {}\n# device {} {} Mbit/s\n#\n",
      o.pattern, o.min_bytes, o.max_bytes, o.factor, o.warmups, o.iterations, o.checks, o.channels, heading_.ranks,
      heading_.abi, heading_.plugin, heading_.device, heading_.speed_mbit);
  const char* times[] = {"min", "median", "p99"};
  auto line = [&](auto... words) { out += fmt::format("# {:>10}  {:>12}  {:>8}  {:>6}  {:>6}", words...); };
  line("size", "count", "type", "redop", "root");
  if (latencies()) {
    for (const char* time : times) out += fmt::format("  {:>8}", time);
  } else {
    out += fmt::format("  {:>8}", "time");
  }
  out += fmt::format("  {:>6}  {:>6}  {:>6}\n", "algbw", "busbw", "#wrong");
  line("(B)", "(elements)", "", "", "");
  for (int i = 0; i < (latencies() ? 3 : 1); ++i) out += fmt::format("  {:>8}", "(us)");
  return out + fmt::format("  {:>6}  {:>6}\n", "(GB/s)", "(GB/s)");
}

std::string Table::JsonRow(const Row& row) const {
  std::string times = fmt::format("\"time_us\":{:.3f}", row.microseconds);
  if (latencies()) times += fmt::format(",\"min_us\":{:.3f},\"p99_us\":{:.3f}", row.minimum, row.percentile);
  return fmt::format("{}{{\"size\":{},\"count\":{},{},\"algbw\":{:.9g},\"busbw\":{:.9g},\"wrong\":{}}}",
                     rows_ > 1 ? "," : "", row.bytes, row.count, times, row.algorithm_bandwidth(), row.bus_bandwidth(),
                     row.wrong ? std::to_string(*row.wrong) : "null");
}

std::string Table::Add(const Row& row) {
  ++rows_;
  bandwidths_ += row.bus_bandwidth();
  failures_ += row.wrong.value_or(0) > 0;
  gap_ = std::max(gap_, row.gap);
  if (heading_.options.json) return JsonRow(row);
  std::string out =
      fmt::format("{:>12}  {:>12}  {:>8}  {:>6}  {:>6}", row.bytes, row.count, "float", row.operation, row.root);
  if (latencies()) out += fmt::format("  {:>8}", Time(row.minimum));
  out += fmt::format("  {:>8}", Time(row.microseconds));
  if (latencies()) out += fmt::format("  {:>8}", Time(row.percentile));
  return out +
         fmt::format("  {:>6.2f}  {:>6.2f}  {:>6}\n", row.algorithm_bandwidth(), row.bus_bandwidth(), WrongText(row));
}

std::string Table::End() const {
  const double average = rows_ > 0 ? bandwidths_ / rows_ : 0;
  const bool gap = heading_.options.gap;
  if (heading_.options.json) {
    return fmt::format("],\"out_of_bounds\":{},\"avg_busbw\":{:.9g}{}}}\n", failures_, average,
                       gap ? fmt::format(",\"longest_gap_s\":{:.6f}", gap_) : "");
  }
  return fmt::format("# Out of bounds values : {} {}\n# Avg bus bandwidth    : {:g}\n{}#\n", failures_,
                     failures_ > 0 ? "FAILED" : "OK", average,
                     gap ? fmt::format("# Longest gap          : {:.6f} s\n", gap_) : "");
}

}  // namespace relay::perf
