#include "view/json.h"

namespace relay::view {
namespace {

constexpr int kMaxDepth = 32;

const Json& EmptyList() {
  static const Json empty = Json::array();
  return empty;
}

const Json& EmptyObject() {
  static const Json empty = Json::object();
  return empty;
}

const Json* Find(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

}  // namespace

Result<Json> ParseAnswer(std::string_view text, const std::string& question) {
  const Json::parser_callback_t shallow = [](int depth, Json::parse_event_t, Json&) { return depth <= kMaxDepth; };
  Json out = Json::parse(text, shallow, false);
  if (out.is_discarded()) {
    return Fail(ErrorCode::kRemote, "the agent's answer to " + question + " is no JSON: is it of the same version?");
  }
  return out;
}

std::string TextAt(const Json& object, const char* key) {
  const Json* value = Find(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

uint64_t NumberAt(const Json& object, const char* key) {
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_number_integer()) return 0;
  return value->is_number_unsigned() || value->get<int64_t>() >= 0 ? value->get<uint64_t>() : 0;
}

bool FlagAt(const Json& object, const char* key) {
  const Json* value = Find(object, key);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

const Json& ListAt(const Json& object, const char* key) {
  const Json* value = Find(object, key);
  return value != nullptr && value->is_array() ? *value : EmptyList();
}

const Json& ObjectAt(const Json& object, const char* key) {
  const Json* value = Find(object, key);
  return value != nullptr && value->is_object() ? *value : EmptyObject();
}

std::string Dump(const Json& json, int indent) { return json.dump(indent, ' ', false, Json::error_handler_t::replace); }

}  // namespace relay::view
