// Finds an agent that goes by what this job asks for. An agent that an earlier job started and that serves nobody any
// more gives way to one that this job starts; else the job has a word, or, where it asks for a key and the agent has
// none, does not begin.
#pragma once
#include <memory>

#include "base/agent_settings.h"
#include "control/client.h"

namespace relay::comm {

// Blocks up to the options' deadline.
Result<std::unique_ptr<control::Client>> ConnectToFittingAgent(const Knobs& knobs,
                                                               const control::ClientOptions& options,
                                                               const Clock& clock);

}  // namespace relay::comm
