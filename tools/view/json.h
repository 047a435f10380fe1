// Reading answers of an agent: what is missing or of another kind is empty, 0 or false, because an agent may be a
// version older or newer than whoever asks.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "relay/result.h"

namespace relay::view {

using Json = nlohmann::ordered_json;

// Refuses what is no JSON or nested beyond reason.
Result<Json> ParseAnswer(std::string_view text, const std::string& question);

std::string TextAt(const Json& object, const char* key);
uint64_t NumberAt(const Json& object, const char* key);
bool FlagAt(const Json& object, const char* key);
// An array that is empty where there is none.
const Json& ListAt(const Json& object, const char* key);
// An object that is empty where there is none.
const Json& ObjectAt(const Json& object, const char* key);

// Without exceptions: text that is no UTF-8 is mended.
std::string Dump(const Json& json, int indent = -1);

}  // namespace relay::view
