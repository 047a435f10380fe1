// The error that something has ended with: the first, kept for good, and news only for whoever asks first.
#pragma once
#include <optional>
#include <utility>

#include "relay/result.h"

namespace relay {

class FinalError {
 public:
  explicit operator bool() const { return error_.has_value(); }
  void Set(Error error) {
    if (!error_) error_ = std::move(error);
  }
  // An error must have been set.
  tl::unexpected<Error> Give() {
    Error out = *error_;
    error_->told = true;
    return tl::unexpected<Error>(std::move(out));
  }

 private:
  std::optional<Error> error_;
};

}  // namespace relay
