// JSON text as a tree in which every value knows its line, so that a complaint can name it. Built by nlohmann's SAX
// parser; keeps nothing of the text alive. Hostile input costs at most a bounded multiple of its size.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "relay/result.h"

namespace relay::fabric {

enum class JsonKind : uint8_t { kNull, kBoolean, kInteger, kReal, kString, kArray, kObject };

struct JsonValue {
  JsonKind kind = JsonKind::kNull;
  int line = 0;                     // where the value ends; for arrays and objects where it begins
  int key_line = 0;                 // in an object: where its key ends
  bool boolean = false;             // kBoolean
  uint64_t integer = 0;             // kInteger; negative numbers are kReal
  std::string text;                 // kString
  std::string key;                  // in an object
  std::vector<JsonValue> children;  // kArray, kObject in file order
};

// "an object", "a string": for sentences.
const char* KindText(JsonKind kind);

inline constexpr size_t kMaxJsonBytes = size_t{32} << 20;
inline constexpr size_t kMaxJsonDepth = 16;
inline constexpr size_t kMaxJsonValues = size_t{1} << 21;

// Where and why: "file:line: reason".
tl::unexpected<Error> FailAt(std::string_view file_name, int line, const std::string& reason);

Result<JsonValue> ParseJson(std::string_view text, std::string_view file_name);

}  // namespace relay::fabric
