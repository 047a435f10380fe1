// Why a circuit is not opened, in sentences that name nodes, links and what to do. Pure.
#pragma once
#include <string>

#include "agent/node/local_node.h"
#include "relay/setup.h"

namespace relay::agent {

enum class Again : bool { kMayHelp, kCannotHelp };

RefusedMessage Refuse(const LocalNode& node, RefusedCode code, Again again, std::string sentence);

// The two sides hold different declarations.
struct Disagreement {
  NodeId other = 0;
  std::string other_name;
  uint64_t theirs = 0;
};
RefusedMessage RefuseDisagreement(const LocalNode& node, const Disagreement& disagreement);

// Said aloud where a path uses the management LAN or routers.
std::string LastResortText(const LocalNode& node, const fabric::Path& path);

// The source of this OPEN and this node have held different discovered fabrics for long enough for it to be no change
// that is under way: a sentence for both, else "".
std::string DisagreementNote(const LocalNode& node, const OpenMessage& open, TimePoint now);

// The next node of a route does not answer: nobody listens there (kNoAgent), or the link is down here (kLinkDown).
struct Unanswered {
  const OpenMessage& open;  // its hop is the link that was dialled
  std::string where;        // "10.77.0.2:21517 on ab: Connection refused"
  int sys_errno = 0;
  std::string cause = {};  // with a remedy, where silence may have another one than a cable or a missing agent
};
RefusedMessage RefuseUnanswered(const LocalNode& node, const Unanswered& unanswered);

// The answer to an inquiry: the owner of this token lives.
RefusedMessage OwnerLives(const LocalNode& node, const Token& token);

// True when every path from one node to the other leads through a third.
struct Question {
  size_t from = 0, to = 0, through = 0;
};
bool OnlyThrough(const fabric::Fabric& fabric, const Question& question);

std::string HashText(uint64_t agreement);

}  // namespace relay::agent
