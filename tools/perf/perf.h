// "nccl-relay perf": nccl-tests' table without CUDA and without NCCL. Reads its own arguments.
#pragma once

namespace relay::perf {

// Exit status: 0 all right, 1 wrong data or a failure, 2 wrong arguments.
int Main(int argc, char** argv);

}  // namespace relay::perf
