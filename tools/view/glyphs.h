// Which characters drawings may be made of.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace relay::view {

enum class Glyphs : uint8_t { kUnicode, kAscii };

// ASCII where the terminal's character set is not said to be Unicode.
inline Glyphs GlyphsHere() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == 0) continue;
    const bool unicode = std::strstr(value, "UTF-8") != nullptr || std::strstr(value, "utf8") != nullptr;
    return unicode ? Glyphs::kUnicode : Glyphs::kAscii;
  }
  return Glyphs::kAscii;
}

}  // namespace relay::view
