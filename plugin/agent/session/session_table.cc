#include "agent/session/session_table.h"

#include <algorithm>

#include "agent/session/lines.h"

namespace relay::agent {

static_assert(fabric::kMaxLinkStateBytes <= kMaxTableBody);

SessionTable::SessionTable(EventLoop& loop, Self self, Hooks hooks, Counters& counters)
    : inner_(std::make_unique<Inner>(loop, std::move(self), std::move(hooks), counters)) {}

SessionTable::~SessionTable() = default;

void SessionTable::Found(const Adjacent& adjacent) { inner_->Found(adjacent); }

void SessionTable::Lost(const Adjacent& adjacent, const Loss& loss) { inner_->Lost(adjacent, loss); }

void SessionTable::Accepted(Call call) { inner_->Accepted(std::move(call)); }

void SessionTable::Send(SessionId session, const fabric::LinkStateMessage& message) {
  if (inner_->FindLine(session) == nullptr) return;
  Add(inner_->counters.link_state_sent);
  inner_->Send(session, SetupType::kTable, fabric::EncodeLinkState(message));
}

void SessionTable::Drop(SessionId session, const std::string& why) {
  if (Line* line = inner_->FindLine(session)) line->session->End({Loss::Cause::kOther, why});
}

void SessionTable::Survey(const std::string& question, Duration patience,
                          std::function<void(std::vector<Finding>)> done) {
  inner_->surveys.Ask(question, patience, std::move(done), inner_->loop.clock().Now());
  inner_->TickSurveys();
}

void SessionTable::SetKey(std::shared_ptr<const Key> key) { inner_->self.key = std::move(key); }

std::vector<SessionFacts> SessionTable::sessions() const {
  std::vector<SessionFacts> out;
  for (const auto& [id, key] : inner_->line_of_session) out.push_back(inner_->lines.at(key).facts);
  return out;
}

}  // namespace relay::agent
