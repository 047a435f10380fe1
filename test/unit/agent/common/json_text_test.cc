#include "agent/common/json_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace relay::agent::json_text {
namespace {

using nlohmann::json;

TEST(JsonText, AnyBytesAreValidJson) {
  for (const char* good : {"", "abc", "sp\xc3\xa4t", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    EXPECT_EQ(json::parse(Quoted(good)).get<std::string>(), good);
  }
  EXPECT_EQ(json::parse(Quoted("a\"b\\c\n\x7f")).get<std::string>(), "a\"b\\c\n\x7f");
  for (const char* bad : {"\xff", "\xc0\x80", "a\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80\x80"}) {
    EXPECT_NE(json::parse(Quoted(bad)).get<std::string>().find("\xef\xbf\xbd"), std::string::npos);
  }
}

}  // namespace
}  // namespace relay::agent::json_text
