#include "view/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

namespace relay::view {
namespace {

// Another screen, no cursor; and back.
constexpr char kTake[] = "\x1b[?1049h\x1b[?25l";
constexpr char kGive[] = "\x1b[?25h\x1b[?1049l";
constexpr char kHome[] = "\x1b[H", kRestOfLine[] = "\x1b[K", kRestOfScreen[] = "\x1b[J";
constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};

int MillisOf(Duration duration) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
  return static_cast<int>(std::clamp<int64_t>(ms, 0, 1 << 30));
}

}  // namespace

Result<Terminal> Terminal::Enter() {
  if (isatty(STDOUT_FILENO) != 1) return Fail(ErrorCode::kUsage, "standard output is no terminal");
  Terminal out;
  out.owned_ = std::make_unique<Owned>();
  sigset_t watched;
  sigemptyset(&watched);
  for (int signal : kSignals) sigaddset(&watched, signal);
  if (sigprocmask(SIG_BLOCK, &watched, &out.owned_->mask) != 0) {
    return FailErrno(ErrorCode::kSystem, "cannot hold signals back");
  }
  out.owned_->signals = Fd(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!out.owned_->signals) return FailErrno(ErrorCode::kSystem, "cannot watch for signals");
  out.TakeScreen();
  return out;
}

Terminal::~Terminal() {
  if (!owned_) return;
  GiveBack();
  sigprocmask(SIG_SETMASK, &owned_->mask, nullptr);
}

void Terminal::TakeScreen() {
  termios now;
  if (tcgetattr(STDIN_FILENO, &now) == 0) {
    owned_->before = now;
    now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    now.c_cc[VMIN] = 0;
    now.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &now);
  }
  Write(kTake);
}

void Terminal::GiveBack() {
  Write(kGive);
  if (owned_->before) tcsetattr(STDIN_FILENO, TCSANOW, &*owned_->before);
  owned_->before.reset();
}

void Terminal::Write(const std::string& text) {
  for (size_t sent = 0; sent < text.size();) {
    const ssize_t n = write(STDOUT_FILENO, text.data() + sent, text.size() - sent);
    if (n <= 0) return;  // the terminal is gone; SIGHUP follows
    sent += static_cast<size_t>(n);
  }
}

ScreenSize Terminal::size() const {
  winsize window{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 || window.ws_row == 0) return {};
  return {window.ws_col, window.ws_row};
}

void Terminal::Show(const std::vector<std::string>& lines) {
  std::string text = kHome;
  for (size_t i = 0; i < lines.size(); ++i) text += (i == 0 ? "" : "\r\n") + lines[i] + kRestOfLine;
  Write(text + kRestOfScreen);
}

std::optional<Terminal::Event> Terminal::OnSignal() {
  signalfd_siginfo info;
  if (read(owned_->signals.get(), &info, sizeof info) != sizeof info) return std::nullopt;
  if (info.ssi_signo == SIGWINCH) return Event::kResized;
  if (info.ssi_signo != SIGTSTP) return Event::kQuit;
  GiveBack();
  raise(SIGSTOP);
  TakeScreen();
  return Event::kResized;
}

Terminal::Event Terminal::Wait(Duration longest) {
  const TimePoint until = SystemClock().Now() + longest;
  while (true) {
    const Duration left = until - SystemClock().Now();
    if (left <= Duration::zero()) return Event::kTime;
    pollfd watched[] = {{owned_->signals.get(), POLLIN, 0}, {owned_->before ? STDIN_FILENO : -1, POLLIN, 0}};
    if (poll(watched, 2, MillisOf(left) + 1) <= 0) continue;
    if (watched[0].revents != 0) {
      if (auto event = OnSignal()) return *event;
    }
    if (watched[1].revents == 0) continue;
    char key = 0;
    const ssize_t n = read(STDIN_FILENO, &key, 1);
    if (n <= 0 || key == 'q' || key == 'Q') return Event::kQuit;
  }
}

void Pause(Duration duration) { std::this_thread::sleep_for(duration); }

}  // namespace relay::view
