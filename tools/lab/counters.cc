#include "lab/counters.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace relay::lab {
namespace {

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const size_t begin = line.find_first_not_of(" \t");
    if (begin == line.npos) return words;
    line.remove_prefix(begin);
    const size_t end = std::min(line.find_first_of(" \t"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

uint64_t Number(std::string_view word) {
  uint64_t value = 0;
  std::from_chars(word.data(), word.data() + word.size(), value);
  return value;
}

// The first "Ip:" line names the columns, the second holds the values.
uint64_t Forwarded(std::string_view snmp) {
  std::vector<std::string_view> names;
  for (std::string_view line : Lines(snmp)) {
    if (line.rfind("Ip:", 0) != 0) continue;
    if (names.empty()) {
      names = Words(line);
      continue;
    }
    const auto values = Words(line);
    const auto column = static_cast<size_t>(std::find(names.begin(), names.end(), "ForwDatagrams") - names.begin());
    return column < values.size() ? Number(values[column]) : 0;
  }
  return 0;
}

}  // namespace

NodeCounters ParseCounters(std::string node, std::string_view dev, std::string_view snmp) {
  NodeCounters counters{std::move(node), {}, Forwarded(snmp)};
  for (std::string_view line : Lines(dev)) {
    const size_t colon = line.find(':');
    if (colon == line.npos) continue;  // the two lines of headings
    const auto values = Words(line.substr(colon + 1));
    if (values.size() < 10) continue;
    const auto name = Words(line.substr(0, colon));
    counters.interfaces.push_back({std::string(name.empty() ? "" : name.front()), Number(values[0]), Number(values[1]),
                                   Number(values[8]), Number(values[9])});
  }
  std::sort(counters.interfaces.begin(), counters.interfaces.end(),
            [](const InterfaceCounters& x, const InterfaceCounters& y) { return x.name < y.name; });
  return counters;
}

std::string CountersTable(const std::vector<NodeCounters>& nodes) {
  std::string out =
      fmt::format("{:<8} {:<15} {:>16} {:>16} {:>14}\n", "node", "interface", "rx bytes", "tx bytes", "ip forwarded");
  for (const NodeCounters& node : nodes) {
    for (const InterfaceCounters& i : node.interfaces) {
      out += fmt::format("{:<8} {:<15} {:>16} {:>16}\n", node.node, i.name, i.rx_bytes, i.tx_bytes);
    }
    out += fmt::format("{:<8} {:<15} {:>16} {:>16} {:>14}\n", node.node, "", "", "", node.ip_forwarded);
  }
  return out;
}

std::string CountersJson(const std::vector<NodeCounters>& nodes) {
  std::string out = "{";
  for (const NodeCounters& node : nodes) {
    out += fmt::format("{}\n  \"{}\": {{\"ip_forwarded\": {}", out.size() > 1 ? "," : "", node.node, node.ip_forwarded);
    for (const InterfaceCounters& i : node.interfaces) {
      out +=
          fmt::format(",\n    \"{}\": {{\"rx_bytes\": {}, \"rx_packets\": {}, \"tx_bytes\": {}, \"tx_packets\": {}}}",
                      i.name, i.rx_bytes, i.rx_packets, i.tx_bytes, i.tx_packets);
    }
    out += "}";
  }
  return out + "\n}\n";
}

}  // namespace relay::lab
