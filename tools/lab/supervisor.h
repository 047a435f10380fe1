// Starts the ranks of a run, passes their output on line by line, and ends them all when one fails, when the deadline
// passes or when it is told to. One thread, the first process of the box.
#pragma once
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/fd.h"
#include "lab/lines.h"
#include "lab/node_space.h"
#include "relay/result.h"

namespace relay::lab {

struct RankStart {
  size_t rank = 0;
  std::string node;   // for sentences
  std::string label;  // before each line of output
  const NodeSpace* space = nullptr;
  std::string working_directory;
  std::vector<std::string> command, environment;
};

class Supervisor {
 public:
  struct Limits {
    Duration timeout{}, grace{};
  };
  // `tie` reads end of file when nobody waits for the run any more.
  Supervisor(Limits limits, int tie);
  ~Supervisor();

  // A process that the run does not wait for but wants to live.
  void Expect(pid_t pid, std::string name);
  Status Start(const RankStart& start);
  void After(Duration delay, std::function<void()> what) { loop_.After(delay, std::move(what)); }
  // Until every rank has ended. The run's exit status.
  int Run();

 private:
  struct Stream {
    Fd fd;
    int to;
    LinePrefixer lines;
  };
  struct Rank {
    size_t number;
    std::string node;
    pid_t pid;
    std::optional<int> status;
    Stream out, err;
  };

  void OnSignal();
  void OnOutput(Stream& stream);
  void Reap();
  void OnEnded(Rank& rank, int status);
  void OnDeadline();
  void Interrupt(int signal);
  void EndRanks();
  void SignalRanks(int signal);
  bool AllEnded() const;

  Limits limits_;
  SystemClock clock_;
  EventLoop loop_;
  Fd signals_;
  int tie_;
  std::vector<std::unique_ptr<Rank>> ranks_;
  std::vector<std::pair<pid_t, std::string>> expected_;
  std::optional<int> outcome_;  // the first failure, or 124
  bool ending_ = false;
};

// Writes the text whole to this process's standard output or error. Bytes that nobody reads any more are dropped.
void WriteOut(int fd, std::string_view text);

// Ends every other process of the box: first politely, then not. Returns when none is left.
void EmptyBox(Duration patience);

// Blocks the signals that the lab reads from descriptors. Before MakeBox; ranks get them back.
void BlockSignals();

}  // namespace relay::lab
