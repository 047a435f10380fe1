// Pipes for splicing, leased only while bytes are in them: the kernel gives a user few large ones.
#pragma once
#include <cstddef>
#include <vector>

#include "base/fd.h"
#include "relay/result.h"

namespace relay::agent {

struct Pipe {
  Fd read, write;
  size_t capacity = 0;
};

class PipePool {
 public:
  Result<Pipe> Lease();
  // The pipe must be empty; one that is not is simply closed by its owner.
  void Return(Pipe pipe);

 private:
  std::vector<Pipe> free_;
};

}  // namespace relay::agent
