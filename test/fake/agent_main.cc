// `agent ...` of nccl-relay and nothing else.
#include "agent/daemon/main_entry.h"

int main(int argc, char** argv) { return relay::agent::Main(argc - 1, argv + 1); }
