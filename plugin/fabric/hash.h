// Stable 64-bit hashes: every node of a fabric, whatever its build, must get the same values.
#pragma once
#include <cstdint>
#include <string_view>

namespace relay::fabric {

// FNV-1a.
inline uint64_t HashBytes(std::string_view bytes, uint64_t seed = 0xcbf29ce484222325u) {
  uint64_t hash = seed;
  for (char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return hash;
}

// The finalizer of splitmix64: sums of mixed values stand for sets, whatever the order of their elements.
inline uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// The id of a declared node. Never 0.
inline uint64_t HashName(std::string_view name) {
  const uint64_t id = Mix(HashBytes(name));
  return id == 0 ? 1 : id;
}

}  // namespace relay::fabric
