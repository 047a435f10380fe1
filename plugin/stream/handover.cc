#include "stream/handover.h"

#include "stream/service_thread.h"

namespace relay::stream {

void Handover::TakeBack() {
  armed.store(false);
  service_->Resume();
}

void Handover::Leave() {
  if (service_ != nullptr) service_->TakeOver(*this);
}

}  // namespace relay::stream
