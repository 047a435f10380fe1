#include "lab/supervisor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/process.h"

namespace relay::lab {
namespace {

constexpr int kDeadlineStatus = 124;  // as timeout(1)

sigset_t LabSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  return set;
}

void Say(const std::string& sentence) { WriteOut(STDERR_FILENO, "lab: " + sentence + "\n"); }

[[noreturn]] void BecomeRank(const RankStart& start, int out, int err) {
  ::setpgid(0, 0);
  ResetSignals();
  const Fd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ::dup2(nothing.get(), STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  if (const Status entered = Enter(*start.space, start.working_directory); !entered) {
    fmt::print(stderr, "lab: {}\n", entered.error().what);
    ::_exit(126);
  }
  Execute(start.command, start.environment);
}

}  // namespace

void WriteOut(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {
      pollfd writable{fd, POLLOUT, 0};
      ::poll(&writable, 1, 1000);
    } else if (errno != EINTR) {
      return;
    }
  }
}

void BlockSignals() {
  const sigset_t set = LabSignals();
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}

void EmptyBox(Duration patience) {
  const SystemClock clock;
  const TimePoint deadline = clock.Now() + patience;
  ::kill(-1, SIGTERM);
  ::kill(-1, SIGCONT);  // a stopped process would sleep through it
  bool killed = false;
  while (true) {
    const pid_t pid = ::waitpid(-1, nullptr, killed ? 0 : WNOHANG);
    if (pid < 0 && errno == ECHILD) return;
    if (pid != 0) continue;
    if (clock.Now() < deadline) {
      ::usleep(1000);
    } else {
      ::kill(-1, SIGKILL);
      killed = true;
    }
  }
}

Supervisor::Supervisor(Limits limits, int tie) : limits_(limits), loop_(clock_), tie_(tie) {
  const sigset_t set = LabSignals();
  signals_ = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  (void)loop_.Watch(signals_.get(), EPOLLIN, [this](uint32_t) { OnSignal(); });
  // Nobody is left to tell; the kernel ends the rest of the box.
  (void)loop_.Watch(tie_, EPOLLIN, [](uint32_t) { ::_exit(1); });
}

Supervisor::~Supervisor() {
  loop_.Forget(signals_.get());
  loop_.Forget(tie_);
}

void Supervisor::Expect(pid_t pid, std::string name) { expected_.emplace_back(pid, std::move(name)); }

Status Supervisor::Start(const RankStart& start) {
  int out[2], err[2];
  if (::pipe2(out, O_CLOEXEC) != 0) return FailErrno(ErrorCode::kSystem, "pipe");
  Fd out_read(out[0]), out_write(out[1]);
  if (::pipe2(err, O_CLOEXEC) != 0) return FailErrno(ErrorCode::kSystem, "pipe");
  Fd err_read(err[0]), err_write(err[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return FailErrno(ErrorCode::kSystem, "fork");
  if (pid == 0) BecomeRank(start, out_write.get(), err_write.get());
  ::setpgid(pid, pid);  // here too: whoever comes first, the group exists before anyone signals it
  auto rank = std::make_unique<Rank>(Rank{start.rank,
                                          start.node,
                                          pid,
                                          std::nullopt,
                                          {std::move(out_read), STDOUT_FILENO, LinePrefixer(start.label)},
                                          {std::move(err_read), STDERR_FILENO, LinePrefixer(start.label)}});
  for (Stream* stream : {&rank->out, &rank->err}) {
    ::fcntl(stream->fd.get(), F_SETFL, O_NONBLOCK);
    RELAY_TRY(loop_.Watch(stream->fd.get(), EPOLLIN, [this, stream](uint32_t) { OnOutput(*stream); }));
  }
  ranks_.push_back(std::move(rank));
  return {};
}

int Supervisor::Run() {
  const EventLoop::TimerId deadline = loop_.After(limits_.timeout, [this] { OnDeadline(); });
  loop_.Run();
  loop_.Cancel(deadline);
  // What ranks wrote before they ended is in the pipes; what others write there later is nobody's.
  for (auto& rank : ranks_) {
    for (Stream* stream : {&rank->out, &rank->err}) {
      if (stream->fd) OnOutput(*stream);
      if (stream->fd) loop_.Forget(stream->fd.get());
      WriteOut(stream->to, stream->lines.Finish());
    }
  }
  return outcome_.value_or(0);
}

void Supervisor::OnOutput(Stream& stream) {
  char buffer[64 * 1024];
  // Bounded, so that a chatty rank does not keep the others and the deadline waiting.
  for (int i = 0; i < 16; ++i) {
    const ssize_t n = ::read(stream.fd.get(), buffer, sizeof buffer);
    if (n > 0) {
      WriteOut(stream.to, stream.lines.Feed({buffer, static_cast<size_t>(n)}));
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
      loop_.Forget(stream.fd.get());
      stream.fd.reset();
      return;
    } else {
      return;
    }
  }
}

void Supervisor::OnSignal() {
  signalfd_siginfo info;
  bool child = false;
  while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGCHLD) {
      child = true;
    } else {
      Interrupt(static_cast<int>(info.ssi_signo));
    }
  }
  if (child) Reap();
}

void Supervisor::Reap() {
  int status = 0;
  for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    for (auto& rank : ranks_) {
      if (rank->pid == pid) OnEnded(*rank, ExitStatus(status));
    }
    for (const auto& [expected, name] : expected_) {
      if (expected == pid) Say(fmt::format("{} ended with status {}", name, ExitStatus(status)));
    }
  }
  if (AllEnded()) loop_.Stop();
}

void Supervisor::OnEnded(Rank& rank, int status) {
  rank.status = status;
  if (status == 0 || outcome_ || ending_) return;
  outcome_ = status;
  const std::string what = fmt::format("rank {} ({}) ended with status {}", rank.number, rank.node, status);
  if (AllEnded()) {
    Say(what);
    return;
  }
  Say(fmt::format("{}; the others have {} s", what, Seconds(limits_.grace)));
  loop_.After(limits_.grace, [this] { EndRanks(); });
}

void Supervisor::OnDeadline() {
  std::string running;
  for (const auto& rank : ranks_) {
    if (!rank->status) running += fmt::format("{}rank {} ({})", running.empty() ? "" : ", ", rank->number, rank->node);
  }
  Say(fmt::format("the deadline of {} s passed; still running: {}", Seconds(limits_.timeout), running));
  if (!outcome_) outcome_ = kDeadlineStatus;
  EndRanks();
}

void Supervisor::Interrupt(int signal) {
  if (!outcome_) outcome_ = 128 + signal;
  EndRanks();
}

void Supervisor::EndRanks() {
  if (std::exchange(ending_, true)) return;
  SignalRanks(SIGTERM);
  loop_.After(std::chrono::seconds(1), [this] { SignalRanks(SIGKILL); });
}

void Supervisor::SignalRanks(int signal) {
  for (auto& rank : ranks_) {
    if (!rank->status) ::kill(-rank->pid, signal);
  }
}

bool Supervisor::AllEnded() const {
  for (const auto& rank : ranks_) {
    if (!rank->status) return false;
  }
  return true;
}

}  // namespace relay::lab
