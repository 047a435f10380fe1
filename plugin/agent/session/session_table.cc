#include "agent/session/session_table.h"

#include "agent/session/line_dialer.h"
#include "agent/session/session_calls.h"

namespace relay::agent {

static_assert(fabric::kMaxLinkStateBytes <= kMaxTableBody);

SessionTable::SessionTable(EventLoop& loop, Self self, Hooks hooks, Counters& counters)
    : parts_(
          std::make_unique<SessionParts>(SessionParts{loop, std::move(self), counters, RateLimitedLog(loop.clock())})),
      lines_(std::make_unique<Lines>()),
      sessions_(
          std::make_unique<OpenSessions>(*parts_, *lines_, std::move(hooks),
                                         [this](const LineKey& key) { dialer_->DialLater(key, lines_->At(key)); })),
      dialer_(std::make_unique<LineDialer>(*parts_, *lines_, *sessions_)),
      calls_(std::make_unique<SessionCalls>(*parts_, *lines_, *sessions_)) {}

SessionTable::~SessionTable() { lines_->Clear(parts_->loop); }

void SessionTable::Found(const Adjacent& adjacent) {
  const LineKey key = KeyOf(adjacent);
  Line& line = lines_->Make(key);
  const bool anew = adjacent.far_incarnation > line.adjacent.far_incarnation;
  line.adjacent = adjacent;
  if (anew) line.failures = 0;
  if (line.session && line.facts.far_incarnation < adjacent.far_incarnation) {
    sessions_->Close(line, {Loss::Cause::kEnded, "its agent was started anew"});
  }
  if (!line.session && (anew || (!line.call && line.dial == 0))) {
    line.call.reset();
    dialer_->DialLater(key, line);
  }
  calls_->Unpark();
}

void SessionTable::Lost(const Adjacent& adjacent, Loss loss) {
  Line* line = lines_->Find(KeyOf(adjacent));
  if (line == nullptr) return;
  parts_->loop.Cancel(line->dial);
  std::optional<Line> gone = lines_->Remove(KeyOf(adjacent));
  const Session* session = gone->session.get();
  if (loss.cause == Loss::Cause::kHostSilent && session != nullptr && session->HostAnswers()) {
    loss.cause = Loss::Cause::kAgentSilent;
    loss.why += ", but its host answers";
  }
  sessions_->Close(*gone, loss);
}

void SessionTable::Accepted(Call call) { calls_->Accepted(std::move(call)); }

void SessionTable::Send(SessionId session, const fabric::LinkStateMessage& message) {
  if (lines_->Of(session) == nullptr) return;
  Add(parts_->counters.link_state_sent);
  sessions_->Send(session, SetupType::kTable, fabric::EncodeLinkState(message));
}

void SessionTable::Drop(SessionId session, const std::string& why) {
  if (Line* line = lines_->Of(session)) line->session->End({Loss::Cause::kOther, why});
}

void SessionTable::Survey(const std::string& question, Duration patience,
                          std::function<void(std::vector<Finding>)> done) {
  sessions_->surveys().Ask(question, patience, std::move(done));
}

void SessionTable::SetKey(std::shared_ptr<const Key> key) { parts_->self.key = std::move(key); }

std::vector<SessionFacts> SessionTable::sessions() const { return lines_->facts(); }

}  // namespace relay::agent
