// "nccl-relay agent": the program, without the `main` that finds it. tools/ and the plugin's own entry point call it.
#pragma once

namespace relay::agent {

// argv[0] is ignored. Returns the exit status: 0 orderly end or another agent serves this node, 1 refused to start,
// 2 wrong arguments. "agent --help" tells the arguments.
int Main(int argc, char** argv);

}  // namespace relay::agent
