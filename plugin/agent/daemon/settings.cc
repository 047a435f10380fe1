#include "agent/daemon/settings.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "fabric/json_tree.h"
#include "fabric/spelling.h"

namespace relay::agent {
namespace {

constexpr size_t kMostBytes = 16 << 20;
// The knobs that are an agent's; the others are the plugin's.
constexpr std::string_view kKnobs[] = {"fabric", "socket",          "ifname",      "peers",  "key_file",
                                       "port",   "connect_timeout", "hop_timeout", "linger", "log",
                                       "rdma",   "staging",         "registered"};
constexpr std::string_view kOthers[] = {"metrics", "drain_timeout", "serve"};

std::string Variable(std::string_view key) {
  std::string out = "NCCL_RELAY_";
  for (char c : key) out += static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return out;
}

// A string, a whole number, or strings with commas between them.
Result<std::string> TextOf(const fabric::JsonValue& value, const std::string& file) {
  if (value.kind == fabric::JsonKind::kString) return value.text;
  if (value.kind == fabric::JsonKind::kInteger) return std::to_string(value.integer);
  const bool list = value.kind == fabric::JsonKind::kArray &&
                    std::all_of(value.children.begin(), value.children.end(),
                                [](const fabric::JsonValue& child) { return child.kind == fabric::JsonKind::kString; });
  if (!list) {
    return fabric::FailAt(file, value.line,
                          "\"" + value.key + "\" is " + fabric::KindText(value.kind) +
                              ", not a string, a whole number or an array of strings");
  }
  std::string out;
  for (const auto& child : value.children) out += (out.empty() ? "" : ",") + child.text;
  return out;
}

using Values = std::map<std::string, std::string, std::less<>>;

Result<Values> ReadConfig(const std::string& file) {
  auto text = ReadFile(file, "the agent's configuration (--config)");
  RELAY_TRY(text);
  auto tree = fabric::ParseJson(*text, file);
  RELAY_TRY(tree);
  if (tree->kind != fabric::JsonKind::kObject) return fabric::FailAt(file, tree->line, "not an object");
  std::vector<std::string_view> known(std::begin(kKnobs), std::end(kKnobs));
  known.insert(known.end(), std::begin(kOthers), std::end(kOthers));
  Values out;
  for (const fabric::JsonValue& value : tree->children) {
    if (std::find(known.begin(), known.end(), value.key) == known.end()) {
      return fabric::FailAt(file, value.key_line,
                            "unknown key \"" + value.key + "\"" + fabric::DidYouMean(value.key, known));
    }
    auto content = TextOf(value, file);
    RELAY_TRY(content);
    out[value.key] = std::move(*content);
  }
  return out;
}

}  // namespace

Result<std::string> ReadFile(const std::string& path, const std::string& what) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return FailErrno(ErrorCode::kUsage, "cannot read " + what + " " + path);
  std::string text;
  char piece[16384];
  ssize_t n;
  while ((n = read(fd.get(), piece, sizeof piece)) > 0) {
    text.append(piece, static_cast<size_t>(n));
    if (text.size() > kMostBytes) return Fail(ErrorCode::kUsage, path + " is too large for " + what);
  }
  if (n < 0) return FailErrno(ErrorCode::kUsage, "cannot read " + what + " " + path);
  return text;
}

Result<Settings> LoadSettings(const std::string& config) {
  Values values;
  if (!config.empty()) {
    auto read = ReadConfig(config);
    RELAY_TRY(read);
    values = std::move(*read);
  }
  std::map<std::string, const std::string*> by_variable;
  for (const auto& [key, value] : values) by_variable[Variable(key)] = &value;
  auto knobs = LoadKnobs(
      [&](const char* name) -> const char* {
        const char* set = getenv(name);
        const auto it = by_variable.find(name);
        return set != nullptr || it == by_variable.end() ? set : it->second->c_str();
      },
      environ);
  RELAY_TRY(knobs);
  Settings out;
  out.knobs = std::move(*knobs);
  if (const auto it = values.find("metrics"); it != values.end()) out.metrics = it->second;
  if (const auto it = values.find("drain_timeout"); it != values.end()) {
    auto seconds = ParseKnobSeconds(it->second);
    if (!seconds) return Fail(ErrorCode::kUsage, config + ": \"drain_timeout\" is no time: write \"30s\" or \"500ms\"");
    out.drain_timeout = *seconds;
  }
  if (const auto it = values.find("serve"); it != values.end()) {
    if (it->second != "own" && it->second != "everyone") {
      return Fail(ErrorCode::kUsage, config + ": \"serve\" is \"" + it->second +
                                         "\", neither \"own\" (this user and root) nor \"everyone\" on this node");
    }
    if (it->second == "everyone") out.users = control::Users::kAnyone;
  }
  return out;
}

}  // namespace relay::agent
