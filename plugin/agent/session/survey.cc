#include "agent/session/survey.h"

#include <algorithm>

#include "base/random.h"

namespace relay::agent {
namespace {

// An honest fabric has a handful under way at a time.
constexpr size_t kMostSurveys = 64;
constexpr size_t kMostNodes = 1024;
constexpr Duration kSurveyRemembered = std::chrono::seconds(10);
// Each agent answers this much earlier than the one that asked it stops waiting.
constexpr uint32_t kWayBackMs = 50;

}  // namespace

void Surveys::Ask(const std::string& question, Duration patience, Done done, TimePoint now) {
  const Key key{self_, next_++ ^ RandomValue<uint64_t>()};
  const auto ms =
      std::clamp<int64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(patience).count(), 0, 60000);
  Survey survey;
  survey.deadline = survey.forget = now + std::chrono::milliseconds(ms);
  survey.done = std::move(done);
  Begin(key, std::move(survey), question, static_cast<uint32_t>(ms));
  if (surveys_.at(key).awaited.empty()) surveys_.at(key).deadline = now;
}

void Surveys::Receive(SessionId from, const SurveyMessage& m, TimePoint now) {
  const Key key{m.origin, m.id};
  if (surveys_.contains(key) || surveys_.size() >= kMostSurveys || m.origin == self_) {
    return hooks_.tell(from, {m.origin, m.id, true, {}});
  }
  Survey survey;
  survey.parent = from;
  survey.deadline = now + std::chrono::milliseconds(m.patience_ms);
  survey.forget = survey.deadline + kSurveyRemembered;
  Begin(key, std::move(survey), m.question, m.patience_ms);
  MaybeEnd(key);
}

void Surveys::Begin(const Key& key, Survey survey, const std::string& question, uint32_t patience_ms) {
  const SessionId parent = survey.parent;
  for (SessionId session : hooks_.sessions()) {
    if (session != parent) survey.awaited.insert(session);
  }
  const std::set<SessionId> asked = survey.awaited;
  Survey& kept = surveys_[key] = std::move(survey);
  Keep(key, kept, hooks_.answer(question));
  const SurveyMessage onward{key.first, key.second, patience_ms - std::min(patience_ms, kWayBackMs), question};
  for (SessionId session : asked) hooks_.ask(session, onward);
}

void Surveys::Keep(const Key& key, Survey& survey, Finding finding) {
  if (survey.heard.size() >= kMostNodes || !survey.heard.insert(finding.node).second) return;
  if (survey.done) {
    survey.findings.push_back(std::move(finding));
  } else if (survey.parent != 0) {
    hooks_.tell(survey.parent, {key.first, key.second, false, std::move(finding)});
  }
}

void Surveys::Receive(SessionId from, FindingsMessage m, TimePoint now) {
  const Key key{m.origin, m.id};
  auto it = surveys_.find(key);
  // From somebody who was not asked, or too late.
  if (it == surveys_.end() || it->second.over || !it->second.awaited.contains(from)) return;
  if (!m.last) return Keep(key, it->second, std::move(m.finding));
  it->second.awaited.erase(from);
  if (now < it->second.deadline) MaybeEnd(key);
}

void Surveys::SessionDown(SessionId session, TimePoint) {
  std::vector<Key> touched;
  for (auto& [key, survey] : surveys_) {
    if (survey.parent == session) survey.parent = 0;
    if (survey.awaited.erase(session) > 0) touched.push_back(key);
  }
  for (const Key& key : touched) MaybeEnd(key);
}

void Surveys::MaybeEnd(const Key& key) {
  auto it = surveys_.find(key);
  if (it == surveys_.end() || it->second.over || !it->second.awaited.empty()) return;
  Survey& survey = it->second;
  survey.over = true;
  if (survey.parent != 0) return hooks_.tell(survey.parent, {key.first, key.second, true, {}});
  if (!survey.done) return;
  auto ended = surveys_.extract(it);
  ended.mapped().done(std::move(ended.mapped().findings));
}

TimePoint Surveys::Tick(TimePoint now) {
  std::vector<Key> overdue;
  for (const auto& [key, survey] : surveys_) {
    if (!survey.over && now >= survey.deadline) overdue.push_back(key);
  }
  for (const Key& key : overdue) {
    auto it = surveys_.find(key);
    if (it == surveys_.end()) continue;
    it->second.awaited.clear();
    MaybeEnd(key);
  }
  std::erase_if(surveys_, [&](const auto& s) { return s.second.over && now >= s.second.forget; });
  TimePoint next = TimePoint::max();
  for (const auto& [key, survey] : surveys_) next = std::min(next, survey.over ? survey.forget : survey.deadline);
  return next;
}

}  // namespace relay::agent
