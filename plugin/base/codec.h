// Little-endian bytes, field by field: no packed structs, no host byte order, nothing believed before it is bounded.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace relay {

template <class T>
inline void PutLe(std::byte* out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) out[i] = static_cast<std::byte>(static_cast<uint64_t>(value) >> (8 * i));
}

template <class T>
inline T GetLe(const std::byte* in) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value |= static_cast<uint64_t>(in[i]) << (8 * i);
  return static_cast<T>(value);
}

// Appends to a growing buffer. Not for hot paths.
class ByteWriter {
 public:
  template <class T>
  void Put(T value) {
    bytes_.resize(bytes_.size() + sizeof(T));
    PutLe<T>(bytes_.data() + bytes_.size() - sizeof(T), value);
  }
  void PutBytes(std::span<const std::byte> b) { bytes_.insert(bytes_.end(), b.begin(), b.end()); }
  // 16-bit length, then the bytes; longer text is cut at 65535.
  void PutString(std::string_view s) {
    s = s.substr(0, 0xffff);
    Put<uint16_t>(static_cast<uint16_t>(s.size()));
    PutBytes(std::as_bytes(std::span(s)));
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// Reads what the writer wrote. A read past the end makes ok() false for good and yields zeros.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> in) : in_(in) {}

  template <class T>
  T Get() {
    if (!Has(sizeof(T))) return T{};
    T value = GetLe<T>(in_.data());
    in_ = in_.subspan(sizeof(T));
    return value;
  }
  std::span<const std::byte> GetBytes(size_t n) {
    if (!Has(n)) return {};
    auto out = in_.first(n);
    in_ = in_.subspan(n);
    return out;
  }
  // Fails when the text is longer than max_length.
  std::string GetString(size_t max_length) {
    auto n = Get<uint16_t>();
    if (n > max_length) ok_ = false;
    auto b = GetBytes(ok_ ? n : 0);
    return std::string(reinterpret_cast<const char*>(b.data()), b.size());
  }
  bool ok() const { return ok_; }
  // True when everything was read and nothing was missing.
  bool AtEnd() const { return ok_ && in_.empty(); }
  size_t remaining() const { return in_.size(); }

 private:
  bool Has(size_t n) {
    if (!ok_ || in_.size() < n) ok_ = false;
    return ok_;
  }
  std::span<const std::byte> in_;
  bool ok_ = true;
};

}  // namespace relay
