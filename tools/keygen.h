// "nccl-relay keygen": draws the key that makes a fabric closed to strangers.
#pragma once
#include <string>

namespace relay::tools {

// Writes a new key to a new file that only its owner may read, and says what to do with it. Never touches a file that
// is there. Returns the exit status.
int MakeKey(const std::string& path);

}  // namespace relay::tools
