// Which characters drawings may be made of, and how wide they are.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

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

// How many characters a terminal shows of UTF-8 text.
inline size_t Width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace relay::view
