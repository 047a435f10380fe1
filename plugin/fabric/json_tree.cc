#include "fabric/json_tree.h"

// This file becomes part of the plugin, which must not bring iostreams into its host.
#define JSON_NO_IO 1
#include <nlohmann/json.hpp>

#include <iterator>
#include <optional>

namespace relay::fabric {
namespace {

using Json = nlohmann::json;

// The line of the last character read that is not white space. The parser reads one character past a number, and only
// white space can be on another line than the number itself.
struct Position {
  int newlines = 0;
  int token_line = 1;
};

class LineCountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  LineCountingIterator(const char* at, Position* position) : at_(at), position_(position) {}
  reference operator*() const { return *at_; }
  LineCountingIterator& operator++() {
    if (*at_ == '\n') {
      ++position_->newlines;
    } else if (*at_ != ' ' && *at_ != '\t' && *at_ != '\r') {
      position_->token_line = position_->newlines + 1;
    }
    ++at_;
    return *this;
  }
  LineCountingIterator operator++(int) {
    LineCountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const LineCountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const LineCountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  Position* position_;
};

// nlohmann's SAX interface; each call returns whether to go on.
class TreeBuilder {
 public:
  explicit TreeBuilder(const Position& position) : position_(position) {}

  bool null() { return Leaf(JsonKind::kNull) != nullptr; }
  bool boolean(bool truth) {
    JsonValue* value = Leaf(JsonKind::kBoolean);
    if (value) value->boolean = truth;
    return value != nullptr;
  }
  bool number_integer(Json::number_integer_t) { return Leaf(JsonKind::kReal) != nullptr; }
  bool number_unsigned(Json::number_unsigned_t number) {
    JsonValue* value = Leaf(JsonKind::kInteger);
    if (value) value->integer = number;
    return value != nullptr;
  }
  bool number_float(Json::number_float_t, const std::string&) { return Leaf(JsonKind::kReal) != nullptr; }
  bool string(std::string& text) {
    JsonValue* value = Leaf(JsonKind::kString);
    if (value) value->text = std::move(text);
    return value != nullptr;
  }
  bool binary(Json::binary_t&) { return false; }
  bool start_object(std::size_t) { return Begin(JsonKind::kObject); }
  bool start_array(std::size_t) { return Begin(JsonKind::kArray); }
  bool end_object() { return End(); }
  bool end_array() { return End(); }
  bool key(std::string& text) {
    for (const JsonValue& sibling : open_.back().children) {
      if (sibling.key == text) {
        return Stop("\"" + text + "\" is given twice, first on line " + std::to_string(sibling.key_line));
      }
    }
    if (open_.back().children.size() >= kMaxKeys) return Stop("an object with too many keys");
    key_ = std::move(text);
    key_line_ = position_.token_line;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error ...": the line is said already.
    std::string_view what = error.what();
    const size_t reason = what.find(": ");
    return Stop(std::string(reason == what.npos ? what : what.substr(reason + 2)));
  }

  const std::optional<std::string>& complaint() const { return complaint_; }
  JsonValue take() { return std::move(root_); }

 private:
  // Objects of a declaration have a handful of keys; a flood would make the search for duplicates slow.
  static constexpr size_t kMaxKeys = 64;

  bool Stop(std::string complaint) {
    if (!complaint_) complaint_ = std::move(complaint);
    return false;
  }
  JsonValue Make(JsonKind kind) {
    JsonValue value;
    value.kind = kind;
    value.line = position_.token_line;
    value.key_line = std::exchange(key_line_, 0);
    value.key = std::exchange(key_, {});
    return value;
  }
  JsonValue* Place(JsonValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    open_.back().children.push_back(std::move(value));
    return &open_.back().children.back();
  }
  bool Count() { return ++values_ <= kMaxJsonValues || Stop("too many values"); }
  JsonValue* Leaf(JsonKind kind) { return Count() ? Place(Make(kind)) : nullptr; }
  bool Begin(JsonKind kind) {
    if (open_.size() == kMaxJsonDepth) return Stop("nested too deeply");
    if (!Count()) return false;
    open_.push_back(Make(kind));
    return true;
  }
  bool End() {
    JsonValue done = std::move(open_.back());
    open_.pop_back();
    Place(std::move(done));
    return true;
  }

  const Position& position_;
  std::vector<JsonValue> open_;
  JsonValue root_;
  std::string key_;
  int key_line_ = 0;
  size_t values_ = 0;
  std::optional<std::string> complaint_;
};

}  // namespace

const char* KindText(JsonKind kind) {
  switch (kind) {
    case JsonKind::kNull:
      return "null";
    case JsonKind::kBoolean:
      return "true or false";
    case JsonKind::kInteger:
      return "a number";
    case JsonKind::kReal:
      return "a number that is negative, not whole or too large";
    case JsonKind::kString:
      return "a string";
    case JsonKind::kArray:
      return "an array";
    case JsonKind::kObject:
      return "an object";
  }
  return "?";
}

tl::unexpected<Error> FailAt(std::string_view file_name, int line, const std::string& reason) {
  return Fail(ErrorCode::kUsage, std::string(file_name) + ":" + std::to_string(line) + ": " + reason);
}

Result<JsonValue> ParseJson(std::string_view text, std::string_view file_name) {
  if (text.size() > kMaxJsonBytes) return FailAt(file_name, 1, "larger than 32 MiB");
  Position position;
  TreeBuilder builder(position);
  const LineCountingIterator begin(text.data(), &position);
  const LineCountingIterator end(text.data() + text.size(), &position);
  const bool whole = Json::sax_parse(begin, end, &builder);
  if (!whole) return FailAt(file_name, position.token_line, builder.complaint().value_or("not JSON"));
  return builder.take();
}

}  // namespace relay::fabric
