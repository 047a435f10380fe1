// "nccl-relay status" for people. Pure.
#pragma once
#include <string>

#include "view/json.h"

namespace relay::view {

// `status` and `flows` are the agent's answers; `flows` may be empty.
std::string StatusText(const Json& status, const Json& flows);

}  // namespace relay::view
