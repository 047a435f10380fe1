// Programs that the lab runs: in a node or beside it, with a deadline. One thread.
#pragma once
#include <sys/types.h>

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "relay/result.h"

namespace relay::lab {

// Full path of a program: PATH first, then the places that ordinary users' PATHs leave out. The error says what to
// install.
Result<std::string> FindProgram(const std::string& name, const std::string& debian_package = "iproute2");

// In the child, after fork: default signal dispositions and nothing blocked.
void ResetSignals();

// In the child, after fork: replaces it, or ends it with 127 and a line on standard error.
[[noreturn]] void Execute(const std::vector<std::string>& arguments, const std::vector<std::string>& environment);

// 0..255 as a shell says it: 128 + signal for a killed one.
int ExitStatus(int wait_status);

// A program that reads a prepared text and whose complaints are kept.
class Helper {
 public:
  // `enter` runs in the child before the program starts.
  static Result<Helper> Start(std::vector<std::string> arguments, std::string_view input,
                              const std::function<Status()>& enter);
  // Ends it when it takes longer. A status other than 0 is an error with what it complained.
  Status Wait(Duration longest);

 private:
  Helper(std::string name, Fd complaints, pid_t pid, Fd pidfd)
      : name_(std::move(name)), complaints_(std::move(complaints)), pid_(pid), pidfd_(std::move(pidfd)) {}
  std::string name_;
  Fd complaints_;
  pid_t pid_;
  Fd pidfd_;
};

// Reads a small file whole. nullopt-like: empty when it cannot be read.
std::string ReadFile(const std::string& path);
Status WriteFile(const std::string& path, std::string_view text);

}  // namespace relay::lab
