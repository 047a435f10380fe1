#include "agent/session/message.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>

namespace relay::agent::session_message {
namespace {

TEST(SessionMessage, GivesBackEveryFieldAndTakesNothingShorterOrLonger) {
  const auto session = EncodeBody(SessionMessage{7, "spark", 9, "0.1.0", "ab", "ba", 21517});
  const auto survey = EncodeBody(SurveyMessage{7, 8, 1000, "status"});
  const auto finding = EncodeBody(FindingsMessage{7, 8, false, {9, "spark", "{}"}});
  const auto last = EncodeBody(FindingsMessage{7, 8, true, {}});
  const SessionMessage s = DecodeSession(session).value();
  EXPECT_EQ(std::tuple(s.node, s.name, s.incarnation, s.build), std::tuple(7u, "spark", 9u, "0.1.0"));
  EXPECT_EQ(std::tuple(s.near_port, s.far_port, s.agent_port), std::tuple("ab", "ba", 21517));
  const SurveyMessage asked = DecodeSurvey(survey).value();
  EXPECT_EQ(std::tuple(asked.origin, asked.id, asked.patience_ms, asked.question), std::tuple(7u, 8u, 1000u, "status"));
  const FindingsMessage found = DecodeFindings(finding).value();
  EXPECT_EQ(std::tuple(found.origin, found.id, found.last), std::tuple(7u, 8u, false));
  EXPECT_EQ(std::tuple(found.finding.node, found.finding.name, found.finding.text), std::tuple(9u, "spark", "{}"));
  EXPECT_TRUE(DecodeFindings(last).value().last);
  for (size_t n = 0; n < session.size(); ++n) EXPECT_FALSE(DecodeSession(std::span(session).first(n))) << n;
  for (size_t n = 0; n < survey.size(); ++n) EXPECT_FALSE(DecodeSurvey(std::span(survey).first(n))) << n;
  for (size_t n = 0; n < finding.size(); ++n) EXPECT_FALSE(DecodeFindings(std::span(finding).first(n))) << n;
  for (auto bytes : {session, survey, finding, last}) {
    bytes.push_back(std::byte{0});
    EXPECT_FALSE(DecodeSession(bytes));
    EXPECT_FALSE(DecodeSurvey(bytes));
    EXPECT_FALSE(DecodeFindings(bytes));
  }
}

TEST(SessionMessage, NamesPortsAndTextsAreBounded) {
  const SessionMessage good{7, "spark", 9, "0.1.0", "ab", "ba", 21517};
  auto decoded = [&](auto change) {
    SessionMessage m = good;
    change(m);
    return DecodeSession(EncodeBody(m)).has_value();
  };
  EXPECT_TRUE(decoded([](SessionMessage& m) { m.name = std::string(kMaxNameBytes + 9, 'x'); })) << "cut";
  EXPECT_FALSE(decoded([](SessionMessage& m) { m.near_port = std::string(kMaxNameBytes + 1, 'x'); }));
  EXPECT_FALSE(decoded([](SessionMessage& m) { m.far_port = std::string(kMaxNameBytes + 1, 'x'); }));
  EXPECT_FALSE(decoded([](SessionMessage& m) { m.name = "two\nlines"; }));
  EXPECT_FALSE(decoded([](SessionMessage& m) { m.agent_port = 0; }));
  EXPECT_FALSE(DecodeSurvey(EncodeBody(SurveyMessage{1, 2, 60'001, "status"})));
  EXPECT_FALSE(DecodeSurvey(EncodeBody(SurveyMessage{1, 2, 3, std::string(kMaxQuestionBytes + 1, 'q')})));
  const auto longest = EncodeBody(FindingsMessage{1, 2, false, {3, "n", std::string(kMaxFindingBytes + 5, 't')}});
  EXPECT_LE(longest.size(), MaxBody(SetupType::kFindings));
  EXPECT_EQ(DecodeFindings(longest).value().finding.text.size(), kMaxFindingBytes);
  EXPECT_LE(EncodeBody(SessionMessage{1, std::string(64, 'n'), 2, std::string(64, 'b'), std::string(64, 'p'),
                                      std::string(64, 'q'), 1})
                .size(),
            MaxBody(SetupType::kSession));
}

}  // namespace
}  // namespace relay::agent::session_message
