#include "metrics/answer.h"

#include "ask/ask.h"
#include "metrics/families.h"
#include "view/json.h"

namespace relay::metrics {
namespace {

constexpr Duration kPatience = std::chrono::seconds(1);
constexpr Duration kFresh = std::chrono::milliseconds(100);

Result<view::Json> Asked(tools::AgentLine& line, const std::string& question) {
  auto text = line.Ask(question, kPatience);
  RELAY_TRY(text);
  return view::ParseAnswer(*text, question);
}

Result<std::string> MetricsText(const std::string& socket) {
  auto line = tools::AgentLine::Open(socket, kPatience);
  RELAY_TRY(line);
  auto status = Asked(*line, "status");
  RELAY_TRY(status);
  auto flows = Asked(*line, "flows");
  RELAY_TRY(flows);
  return Expose(FamiliesOf(*status, *flows));
}

Response Failing(const Error& error) {
  return {503, "application/json", view::Dump({{"status", "failing"}, {"reason", error.what}}) + "\n"};
}

}  // namespace

Response Answerer::Metrics() {
  auto text = MetricsText(socket_);
  if (!text) return {503, "text/plain; charset=utf-8", text.error().what + "\n"};
  return {200, kContentType, std::move(*text)};
}

Response Answerer::Health() {
  const TimePoint until = SystemClock().Now() + kPatience;
  auto line = tools::AgentLine::Open(socket_, kPatience);
  if (!line) return Failing(line.error());
  // An agent that only accepts is not well: it has to answer, too.
  const Duration left = std::max<Duration>(until - SystemClock().Now(), Duration::zero());
  if (auto answer = line->Ask("transit", left); !answer) return Failing(answer.error());
  return {200, "application/json",
          view::Dump({{"status", "ok"}, {"node", line->welcome().node_name}, {"build", line->welcome().build}}) + "\n"};
}

Response Answerer::Answer(const std::string& path) {
  if (path == "/healthz") return Health();
  if (path != "/metrics") return {404, "text/plain; charset=utf-8", "there are /metrics and /healthz\n"};
  if (asked_ == TimePoint{} || SystemClock().Now() - asked_ > kFresh) {
    last_ = Metrics();
    asked_ = SystemClock().Now();
  }
  return last_;
}

}  // namespace relay::metrics
