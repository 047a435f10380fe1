// The terminal as a screen of its own: entered and left whole, whatever ends the program short of a crash. Signals that
// end or resize are read from a descriptor, so nothing happens behind anybody's back.
#pragma once
#include <signal.h>
#include <termios.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "relay/result.h"
#include "view/top_frame.h"

namespace relay::view {

class Terminal {
 public:
  // kUsage: standard output is no terminal.
  static Result<Terminal> Enter();
  Terminal(Terminal&&) = default;
  Terminal& operator=(Terminal&&) = delete;
  ~Terminal();

  ScreenSize size() const;
  // Replaces what is there, without flicker.
  void Show(const std::vector<std::string>& lines);

  enum class Event { kTime, kResized, kQuit };
  // kQuit: q, ctrl-C, SIGTERM, SIGHUP, or the end of standard input's terminal. Stopping (ctrl-Z) and going on is dealt
  // with here.
  Event Wait(Duration longest);

 private:
  Terminal() = default;
  void Write(const std::string& text);
  void TakeScreen();
  void GiveBack();
  std::optional<Event> OnSignal();

  struct Owned {
    std::optional<termios> before;
    sigset_t mask{};
    Fd signals;
  };
  std::unique_ptr<Owned> owned_;
};

// Where standard output is no terminal: waits, and is ended by signals as any program.
void Pause(Duration duration);

}  // namespace relay::view
