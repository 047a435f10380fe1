#include "agent/trust/key.h"

#include <fcntl.h>
#include <sodium/crypto_generichash.h>
#include <sodium/utils.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/codec.h"
#include "base/fd.h"
#include "base/random.h"

namespace relay::agent {
namespace {

constexpr size_t kMostKeyBytes = 4096;

static_assert(sizeof(Mac) >= crypto_generichash_BYTES_MIN && sizeof(Mac) <= crypto_generichash_BYTES_MAX);

const unsigned char* Raw(const std::byte* bytes) { return reinterpret_cast<const unsigned char*>(bytes); }
unsigned char* Raw(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

tl::unexpected<Error> Unusable(const std::string& path, const std::string& why) {
  return Fail(ErrorCode::kUsage, "the key file " + path + " (NCCL_RELAY_KEY_FILE) " + why);
}

bool IsText(std::byte b) {
  const auto c = std::to_integer<unsigned char>(b);
  return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\r' || c == '\t';
}
bool IsSpace(std::byte b) { return IsText(b) && std::to_integer<unsigned char>(b) <= 0x20; }

// Copying a text by hand or through a template adds or loses the end of its last line.
std::span<const std::byte> WithoutLineEnd(std::span<const std::byte> bytes) {
  if (!std::all_of(bytes.begin(), bytes.end(), IsText)) return bytes;
  while (!bytes.empty() && IsSpace(bytes.back())) bytes = bytes.first(bytes.size() - 1);
  return bytes;
}

// Never holds more than one byte above kMostKeyBytes.
Result<std::vector<std::byte>> ReadSecret(const std::string& path) {
  // A pipe in its place must not make the agent wait.
  const Fd fd = Fd::Born([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
  if (!fd) {
    const int err = errno;
    auto error = FailErrno(ErrorCode::kUsage, "cannot read the key file " + path + " (NCCL_RELAY_KEY_FILE)", err);
    if (err == ENOENT) {
      error.value().what += ": make one with `nccl-relay keygen " + path + "` and give every node of the fabric a copy";
    }
    return error;
  }
  struct stat facts {};
  if (fstat(fd.get(), &facts) != 0) return Unusable(path, "cannot be looked at");
  if (!S_ISREG(facts.st_mode)) return Unusable(path, "is no file");
  if ((facts.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
    return Unusable(path, "is open to others than its owner: chmod 600 " + path);
  }
  std::vector<std::byte> out(kMostKeyBytes + 1);
  size_t got = 0;
  while (got < out.size()) {
    const ssize_t n = read(fd.get(), out.data() + got, out.size() - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FailErrno(ErrorCode::kUsage, "cannot read the key file " + path + " (NCCL_RELAY_KEY_FILE)");
    if (n == 0) break;
    got += static_cast<size_t>(n);
  }
  out.resize(got);
  return out;
}

}  // namespace

Result<std::shared_ptr<const Key>> Key::Load(const std::string& path) {
  auto secret = ReadSecret(path);
  RELAY_TRY(secret);
  const auto bytes = WithoutLineEnd(*secret);
  std::shared_ptr<const Key> key;
  if (bytes.size() >= kLeastKeyBytes && bytes.size() <= kMostKeyBytes) key = FromBytes(bytes);
  const size_t size = bytes.size();
  sodium_memzero(secret->data(), secret->size());
  if (key) return key;
  if (size > kMostKeyBytes) return Unusable(path, "is longer than " + std::to_string(kMostKeyBytes) + " bytes");
  return Unusable(path, "holds " + std::to_string(size) + " bytes, fewer than " + std::to_string(kLeastKeyBytes) +
                            ": make one with `nccl-relay keygen`");
}

std::shared_ptr<const Key> Key::FromBytes(std::span<const std::byte> bytes) {
  return std::shared_ptr<const Key>(new Key(bytes));
}

Key::Key(std::span<const std::byte> bytes) {
  if (bytes.size() == secret_.size()) {
    std::copy(bytes.begin(), bytes.end(), secret_.begin());
  } else {
    crypto_generichash(Raw(secret_.data()), secret_.size(), Raw(bytes.data()), bytes.size(), nullptr, 0);
  }
}

Key::~Key() { sodium_memzero(secret_.data(), secret_.size()); }

Mac Key::Sign(std::string_view purpose, std::span<const std::byte> bytes) const {
  crypto_generichash_state state;
  Mac mac;
  std::byte length[8];
  PutLe<uint64_t>(length, purpose.size());
  crypto_generichash_init(&state, Raw(secret_.data()), secret_.size(), mac.size());
  crypto_generichash_update(&state, Raw(length), sizeof length);
  crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(purpose.data()), purpose.size());
  crypto_generichash_update(&state, Raw(bytes.data()), bytes.size());
  crypto_generichash_final(&state, Raw(mac.data()), mac.size());
  sodium_memzero(&state, sizeof state);
  return mac;
}

bool Key::Verify(std::string_view purpose, std::span<const std::byte> bytes, const Mac& mac) const {
  const Mac expected = Sign(purpose, bytes);
  return sodium_memcmp(expected.data(), mac.data(), mac.size()) == 0;
}

Nonce RandomNonce() { return RandomValue<Nonce>(); }

}  // namespace relay::agent
