// The fabric's key: proves that bytes come from somebody who holds it. Immutable; any thread.
#pragma once
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "fabric/link_state.h"
#include "relay/result.h"

namespace relay::agent {

inline constexpr size_t kLeastKeyBytes = 32;
using fabric::Mac;
using Nonce = std::array<std::byte, 32>;

class Key {
 public:
  // Reads a file of at least kLeastKeyBytes that nobody but its owner and group may read and only its owner write.
  // Every error says what to do: chmod, nccl-relay keygen.
  static Result<std::shared_ptr<const Key>> Load(const std::string& path);
  static std::shared_ptr<const Key> FromBytes(std::span<const std::byte> bytes);
  ~Key();  // wiped

  // `purpose` keeps a proof of one kind from passing for another.
  Mac Sign(std::string_view purpose, std::span<const std::byte> bytes) const;
  // In time that does not depend on where they differ.
  bool Verify(std::string_view purpose, std::span<const std::byte> bytes, const Mac& mac) const;

 private:
  explicit Key(std::span<const std::byte> bytes);
  std::array<std::byte, 32> secret_{};
};

Nonce RandomNonce();

}  // namespace relay::agent
