#include "agent/setup/neighbours.h"

#include <algorithm>

namespace relay::agent {
namespace {

constexpr Duration kAnswerTime = std::chrono::seconds(2);

std::string WithoutSubject(const std::string& what) {
  auto colon = what.rfind(": ");
  return colon == std::string::npos ? what : what.substr(colon + 2);
}

}  // namespace

NeighbourProbe::NeighbourProbe(EventLoop& loop, const LocalNode& node, Done done)
    : loop_(loop), node_(node), done_(std::move(done)) {
  for (size_t link = 0; link < node_.fabric.links.size(); ++link) {
    if (auto ends = EndsFrom(node_, link)) Dial(link, *ends);
  }
  bool all_known = std::all_of(calls_.begin(), calls_.end(), [](const Call& call) { return !call.socket; });
  timer_ = loop_.After(all_known ? Duration::zero() : kAnswerTime, [this] { Finish(); });
}

NeighbourProbe::~NeighbourProbe() {
  for (const Call& call : calls_) {
    if (call.socket) loop_.Forget(call.socket.get());
  }
  loop_.Cancel(timer_);
}

void NeighbourProbe::Dial(size_t, const LinkEnds& ends) {
  const std::string& neighbour = node_.fabric.nodes[ends.far.node].name;
  Call call{node_.name() + "-" + neighbour, neighbour, {}, {}, {}};
  auto targets = TargetsOf(node_, ends);
  if (targets.empty()) {
    call.where = call.link;
    call.failure = "its two ports have no addresses of one kind";
  } else {
    call.where = TargetText(targets.front());
    auto fd = transport::tcp::StartDial(targets.front(), node_.hop);
    const size_t index = calls_.size();
    auto watched = fd ? loop_.Watch(fd->get(), EPOLLOUT, [this, index](uint32_t) { Answered(index); }) : Status();
    if (!fd || !watched) {
      call.failure = WithoutSubject(fd ? watched.error().what : fd.error().what);
    } else {
      call.socket = std::move(*fd);
    }
  }
  calls_.push_back(std::move(call));
}

void NeighbourProbe::Answered(size_t index) {
  Call& call = calls_[index];
  if (auto end = transport::tcp::FinishDial(call.socket.get()); !end) call.failure = WithoutSubject(end.error().what);
  loop_.Forget(call.socket.get());
  call.socket.reset();
  MaybeFinish();
}

void NeighbourProbe::MaybeFinish() {
  if (std::all_of(calls_.begin(), calls_.end(), [](const Call& call) { return !call.socket; })) Finish();
}

void NeighbourProbe::Finish() {
  std::string missing;
  for (Call& call : calls_) {
    if (call.socket) call.failure = "no answer";
    if (call.failure.empty()) continue;
    missing += (missing.empty() ? "" : "; ") + call.neighbour + " does not answer on " + call.link + " (" + call.where +
               ": " + call.failure + ")";
  }
  std::string sentence = calls_.empty()    ? node_.name() + " has no neighbour in the declared fabric"
                         : missing.empty() ? "all neighbours answer"
                                           : missing + ": start `nccl-relay agent` there";
  Done done = std::move(done_);
  done(std::move(sentence));
}

void NeighbourProbes::Start(NeighbourProbe::Done done) {
  const uint64_t id = next_++;
  probes_[id] = std::make_unique<NeighbourProbe>(loop_, node_, [this, id, done](std::string sentence) {
    auto ended = probes_.extract(id);
    done(std::move(sentence));
  });
}

}  // namespace relay::agent
