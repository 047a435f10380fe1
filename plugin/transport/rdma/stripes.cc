#include "transport/rdma/stripes.h"

#include <sys/epoll.h>

#include <cerrno>

namespace relay::transport::rdma {

Result<Stripes> Stripes::Join(std::vector<Stripe> stripes) {
  Stripes out;
  out.stripes_ = std::move(stripes);
  if (out.size() == 1) return out;
  out.joined_ = Fd::Born([] { return epoll_create1(EPOLL_CLOEXEC); });
  if (!out.joined_) return FailErrno(ErrorCode::kSystem, "no descriptor for the completions of parallel links", errno);
  for (const Stripe& stripe : out.stripes_) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (epoll_ctl(out.joined_.get(), EPOLL_CTL_ADD, stripe.queue_pair->event_fd(), &event) != 0) {
      return FailErrno(ErrorCode::kSystem, "the completions of " + stripe.device->name() + " cannot be waited for",
                       errno);
    }
  }
  return out;
}

Status Stripes::Ring() {
  for (size_t i = size(); i-- > 0;) RELAY_TRY(stripes_[i].queue_pair->Ring());
  return {};
}

Status Stripes::Arm() {
  for (const Stripe& stripe : stripes_) RELAY_TRY(stripe.queue_pair->Arm());
  return {};
}

void Stripes::TakeEvents() {
  for (const Stripe& stripe : stripes_) {
    stripe.queue_pair->TakeEvents();
    stripe.device->TakeEvents();
  }
}

void AddMissing(std::string& missing, const std::string& why) {
  missing += (missing.empty() ? "a parallel link is not used: " : "; another is not used: ") + why;
}

}  // namespace relay::transport::rdma
