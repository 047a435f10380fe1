// The plugin run as a program, through the program interpreter: "ld.so libnccl-net-relay.so agent ...". Thus one
// mounted file is enough to have an agent.
#include <cstdio>
#include <cstring>

#include "agent/daemon/main_entry.h"

int main(int argc, char** argv) {
  if (argc >= 2 && std::strcmp(argv[1], "agent") == 0) return relay::agent::Main(argc - 1, argv + 1);
  std::fputs("This is the NCCL net plugin nccl-relay. As a program it is only: agent [OPTIONS]\n", stderr);
  return 2;
}
