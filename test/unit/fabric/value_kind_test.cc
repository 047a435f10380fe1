// What stands in a declaration where something else was due is called by its kind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "relay/fabric.h"

namespace relay::fabric {
namespace {

using testing::HasSubstr;

TEST(Declaration, AWrongKindOfValueIsNamed) {
  const std::pair<const char*, const char*> kinds[] = {
      {"null", "null"},      {"true", "true or false"}, {"-1", "a number that is"},
      {"\"1\"", "a string"}, {"[]", "an array"},        {"{}", "an object"},
  };
  for (const auto& [json, kind] : kinds) {
    const auto fabric = ParseFabric(std::string("{\"version\":") + json + ",\"nodes\":[{\"name\":\"A\"}]}", "f.json");
    ASSERT_FALSE(fabric) << json;
    EXPECT_THAT(fabric.error().what, HasSubstr(kind)) << json;
  }
}

}  // namespace
}  // namespace relay::fabric
