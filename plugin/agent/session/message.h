// What a session carries, as bytes. Every decoder bounds before it believes; nothing may follow. Pure.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "agent/session/session_table.h"
#include "relay/result.h"
#include "relay/setup.h"

namespace relay::agent {

inline constexpr size_t kMaxQuestionBytes = 64;
inline constexpr size_t kMaxFindingBytes = size_t{32} * 1024;

// Opens a session and answers its opening: who speaks, and which two ports the line is to join.
struct SessionMessage {
  NodeId node = 0;
  std::string name;  // of the host
  uint64_t incarnation = 0;
  std::string build;                // of the agent
  std::string near_port, far_port;  // as the sender sees them
  uint16_t agent_port = 0;          // TCP
};

// A question on its way to every agent. (origin, id) names it.
struct SurveyMessage {
  NodeId origin = 0;
  uint64_t id = 0;
  uint32_t patience_ms = 0;  // of whoever asked the receiver
  std::string question;
};

// One answer on its way back to the origin, or the word that no more come from here.
struct FindingsMessage {
  NodeId origin = 0;
  uint64_t id = 0;
  bool last = false;  // nothing follows; no finding in it
  Finding finding;    // unless last
};

// Bodies.
std::vector<std::byte> EncodeBody(const SessionMessage& m);
std::vector<std::byte> EncodeBody(const SurveyMessage& m);
std::vector<std::byte> EncodeBody(const FindingsMessage& m);
Result<SessionMessage> DecodeSession(std::span<const std::byte> body);
Result<SurveyMessage> DecodeSurvey(std::span<const std::byte> body);
Result<FindingsMessage> DecodeFindings(std::span<const std::byte> body);

}  // namespace relay::agent
