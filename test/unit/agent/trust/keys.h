// Keys for tests.
#pragma once
#include <memory>
#include <string>

#include "agent/trust/key.h"

namespace relay::agent {

inline std::shared_ptr<const Key> KeyOf(char letter) {
  const std::string text(32, letter);
  return Key::FromBytes(std::as_bytes(std::span(text)));
}

}  // namespace relay::agent
