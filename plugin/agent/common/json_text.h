// JSON as this agent writes it: what it says of itself, in one pass and without a tree.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace relay::agent {

// With its quotes. Bytes that are no UTF-8 become U+FFFD: a file's name may hold any.
std::string Quoted(std::string_view text);

class JsonObject {
 public:
  JsonObject& Text(std::string_view key, std::string_view value) { return Raw(key, Quoted(value)); }
  JsonObject& Number(std::string_view key, uint64_t value) { return Raw(key, std::to_string(value)); }
  JsonObject& Flag(std::string_view key, bool value) { return Raw(key, value ? "true" : "false"); }
  // `json` is a value already.
  JsonObject& Raw(std::string_view key, std::string_view json);
  std::string Whole() const { return "{" + fields_ + "}"; }

 private:
  std::string fields_;
};

class JsonArray {
 public:
  void Add(std::string_view json) {
    if (!values_.empty()) values_ += ',';
    values_ += json;
  }
  size_t size() const { return values_.size(); }  // in bytes
  std::string Whole() const { return "[" + values_ + "]"; }

 private:
  std::string values_;
};

}  // namespace relay::agent
