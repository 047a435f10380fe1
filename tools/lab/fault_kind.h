// What can be broken in a running lab, and by which option.
#pragma once
#include <array>
#include <cstdint>

namespace relay::lab {

// Those of links first.
enum class FaultKind : uint8_t {
  kCut,
  kHeal,
  kDrop,
  kSlow,
  kLoss,
  kMtu,
  kNarrow,
  kKill,
  kKillRanks,
  kKillAgent,
  kStop,
  kCont,
  kStopAgent,
  kContAgent,
  kDrainAgent,
  kStartAgent,
};

struct FaultOption {
  FaultKind kind;
  const char* name;  // without "--"
  const char* help;
};
inline constexpr std::array<FaultOption, 16> kFaultOptions{{
    {FaultKind::kCut, "cut", "take a link down: A-B@3s after the ranks' start, or A/ab@3s for one cable"},
    {FaultKind::kHeal, "heal", "make a link again what it was before any fault: A-B@6s"},
    {FaultKind::kDrop, "drop", "swallow every packet of a link, which stays up: A-B@3s, one way: A>B@3s"},
    {FaultKind::kSlow, "slow", "change a link's rate: A-B=1%@3s, A>B=10mbit@3s"},
    {FaultKind::kLoss, "loss", "lose packets of a link at random: A-B=1%@3s"},
    {FaultKind::kMtu, "mtu-at", "change a link's MTU: A-B=1280@3s, at one end: A>B=1280@3s"},
    {FaultKind::kNarrow, "narrow", "swallow longer packets of a link, as a switch of that MTU does: A-B=1500@3s"},
    {FaultKind::kKill, "kill", "kill every process of a node: B@4s"},
    {FaultKind::kKillRanks, "kill-ranks", "kill what runs in a node beside its agents: B@4s"},
    {FaultKind::kKillAgent, "kill-agent", "kill the agents of a node: B@4s"},
    {FaultKind::kStop, "stop", "stop every process of a node, which stays reachable: B@2s"},
    {FaultKind::kCont, "cont", "let a stopped node go on: B@5s"},
    {FaultKind::kStopAgent, "stop-agent", "stop the agents of a node: B@2s"},
    {FaultKind::kContAgent, "cont-agent", "let them go on: B@5s"},
    {FaultKind::kDrainAgent, "drain-agent",
     "ask the agents of a node to end (SIGTERM), which they do when they relay no more: B@2s"},
    {FaultKind::kStartAgent, "start-agent", "start an agent in a node: B@5s"},
}};

}  // namespace relay::lab
