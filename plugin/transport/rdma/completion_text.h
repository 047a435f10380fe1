// What a bad completion means to an operator. Sources of this folder only.
#pragma once
#include <string>

#include "base/clock.h"
#include "relay/result.h"

struct ibv_wc;

namespace relay::transport::rdma {

struct FarSide {
  std::string text;  // "queue pair 0x123 of 10.0.0.2 (RoCE v2)"
  Duration hop_timeout{};
};

// kRemote for what the other side or the way to it did, kSystem for what this side's device did. `status_text`:
// libibverbs' words.
Error CompletionError(const ibv_wc& completion, const std::string& device, const FarSide& far, const char* status_text);

}  // namespace relay::transport::rdma
