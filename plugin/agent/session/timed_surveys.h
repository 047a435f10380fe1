// Surveys that end by themselves when they are overdue.
#pragma once
#include "agent/session/survey.h"
#include "base/event_loop.h"

namespace relay::agent {

class TimedSurveys {
 public:
  TimedSurveys(EventLoop& loop, NodeId self, Surveys::Hooks hooks) : loop_(loop), surveys_(self, std::move(hooks)) {}
  ~TimedSurveys() { loop_.Cancel(timer_); }
  TimedSurveys(const TimedSurveys&) = delete;
  TimedSurveys& operator=(const TimedSurveys&) = delete;

  void Ask(const std::string& question, Duration patience, Surveys::Done done) {
    surveys_.Ask(question, patience, std::move(done), loop_.clock().Now());
    Tick();
  }
  // A SurveyMessage or a FindingsMessage.
  template <class M>
  void Receive(SessionId from, M message) {
    surveys_.Receive(from, std::move(message), loop_.clock().Now());
    Tick();
  }
  void SessionDown(SessionId session) { surveys_.SessionDown(session, loop_.clock().Now()); }

 private:
  void Tick();

  EventLoop& loop_;
  Surveys surveys_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace relay::agent
