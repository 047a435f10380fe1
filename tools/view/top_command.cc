// "nccl-relay top".
#include <unistd.h>

#include <cstdio>
#include <optional>

#include "view/commands.h"
#include "view/glyphs.h"
#include "view/questions.h"
#include "view/terminal.h"
#include "view/top_frame.h"

namespace relay::tools {
namespace {

constexpr double kShortest = 0.05, kLongest = 3600;
constexpr view::ScreenSize kPage = {120, 60};  // where there is no terminal

// What this node's agent says, each time with the rates since the time before. An agent that is gone is looked for
// again: it may have been restarted.
class Watch {
 public:
  relay::Status Look() {
    if (!line_) {
      auto line = AgentLine::Open({}, std::chrono::seconds(2));
      RELAY_TRY(line);
      line_.emplace(std::move(*line));
    }
    auto asked = Ask();
    if (!asked) line_.reset();
    view_.complaint = asked ? "" : asked.error().what;
    return asked;
  }
  const view::TopView& view() const { return view_; }
  void Complain(const std::string& what) { view_.complaint = what; }

 private:
  relay::Status Ask() {
    auto fabric = view::AskFabric(*line_);
    RELAY_TRY(fabric);
    auto now = view::AskFlows(*line_);
    RELAY_TRY(now);
    view_.self = now->name;
    view_.fabric = std::move(*fabric);
    // Another agent's clock and counters tell nothing beside these.
    const bool same = before_ && before_->node == now->node && before_->monotonic_ns < now->monotonic_ns;
    view_.rates = view::RatesBetween(same ? &*before_ : nullptr, *now);
    before_ = std::move(*now);
    return {};
  }

  std::optional<AgentLine> line_;
  std::optional<view::NodeReading> before_;
  view::TopView view_;
};

Duration IntervalOf(const TopOptions& options) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options.interval));
}

relay::Status PrintLines(const TopOptions& options, Watch& watch) {
  for (uint64_t i = 0; options.count == 0 || i < options.count; ++i) {
    view::Pause(IntervalOf(options));
    RELAY_TRY(watch.Look());
    std::string text;
    if (options.json) {
      text = view::TopJson(watch.view()) + "\n";
    } else {
      for (const std::string& line : view::TopFrame(watch.view(), kPage, view::GlyphsHere())) text += line + "\n";
      text += "\n";
    }
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) return {};  // nobody reads any more
  }
  return {};
}

relay::Status ShowScreen(const TopOptions& options, Watch& watch) {
  auto terminal = view::Terminal::Enter();
  RELAY_TRY(terminal);
  uint64_t shown = 0;
  // The first rates soon, the others at their interval.
  TimePoint due = SystemClock().Now() + std::min<Duration>(IntervalOf(options), std::chrono::milliseconds(300));
  while (options.count == 0 || shown < options.count) {
    terminal->Show(view::TopFrame(watch.view(), terminal->size(), view::GlyphsHere()));
    const auto event = terminal->Wait(due - SystemClock().Now());
    if (event == view::Terminal::Event::kQuit) return {};
    if (event == view::Terminal::Event::kResized) continue;
    due = SystemClock().Now() + IntervalOf(options);
    if (auto looked = watch.Look(); !looked) watch.Complain(looked.error().what);
    ++shown;
  }
  return {};
}

relay::Status Run(const TopOptions& options) {
  if (!(options.interval >= kShortest && options.interval <= kLongest)) {
    return Fail(ErrorCode::kUsage, "--interval is from 0.05 to 3600 seconds");
  }
  Watch watch;
  RELAY_TRY(watch.Look());
  if (!options.json && isatty(STDOUT_FILENO) == 1) return ShowScreen(options, watch);
  return PrintLines(options, watch);
}

}  // namespace

int Top(const TopOptions& options) {
  auto ran = Run(options);
  if (ran) return 0;
  std::fprintf(stderr, "nccl-relay top: %s\n", ran.error().what.c_str());
  return ran.error().code == ErrorCode::kUsage ? 2 : 1;
}

}  // namespace relay::tools
