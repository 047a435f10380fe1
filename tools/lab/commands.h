// The subcommands of "nccl-relay lab". Each returns the exit status; complaints go to standard error.
#pragma once
#include <string>
#include <vector>

#include "lab/options.h"

namespace relay::lab {

inline constexpr int kLabFailed = 125;  // the lab itself failed, not a command in it

int Run(const RunOptions& options);
int Up(const LabOptions& options, const std::string& name);
int Down(const std::string& name);
int ListLabs();
int PrintFabricOf(const FabricOptions& options);

struct ExecOptions {
  std::string name;  // of the lab; empty: the only one
  std::string node;
  std::vector<std::string> command;
};
int Exec(const ExecOptions& options);

}  // namespace relay::lab
