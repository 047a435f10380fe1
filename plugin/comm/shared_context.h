// The one context of a process whose NCCL speaks an interface without contexts (v6 to v10): those have no finalize, and
// NCCL may go on after closing everything. So it lives as long as the process; closing its last comm waits for the
// peers as finalize would. Any thread.
#pragma once
#include "comm/context.h"

namespace relay::comm {

// Starts it, or finds it alive: NCCL calls init again after it has unloaded and loaded the plugin.
Status StartSharedContext(const Getenv& getenv_fn, const char* const* environment);
// nullptr before a start that succeeded.
Context* SharedContext();

}  // namespace relay::comm
