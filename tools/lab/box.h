// The box that holds a whole lab: a process namespace whose first process is the lab's supervisor, with its own network
// and mounts. When that process ends, however it ends, the kernel ends every process in the box and the networks go
// with them: nothing can be left behind.
#pragma once
#include <sys/types.h>

#include <functional>

#include "base/fd.h"
#include "relay/result.h"

namespace relay::lab {

struct Box {
  pid_t pid = 0;  // of the supervisor, as seen from outside
  Fd tie;         // the supervisor of a tied box ends when this closes
};

// What the supervisor knows of the outside.
struct Inside {
  pid_t outer_pid = 0;
  int tie = -1;  // reads end of file when the outside is gone
};

// Runs `supervise` as the first process of a new box; its value is the exit status. Tied: the box dies with the calling
// process. Uses a user namespace when this process may not make the others without one.
Result<Box> MakeBox(bool tied, const std::function<int(const Inside&)>& supervise);

}  // namespace relay::lab
