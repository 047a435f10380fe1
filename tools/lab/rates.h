// How fast each link is: "1gbit" for all, "A-B=100mbit" or "A>B=100mbit" for some (place.h). Pure.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "lab/place.h"
#include "lab/plan.h"

namespace relay::lab {

inline constexpr uint32_t kUnshapedMbit = 10000;  // what an unshaped cable is declared to do

// Mbit/s of "1gbit", "2.5gbit", "100mbit"; 0 of "".
Result<uint32_t> ParseRate(std::string_view text);

// The rates of a lab: of all links, and by place. What comes later wins.
class Rates {
 public:
  static Result<Rates> Parse(std::span<const std::string> texts);

  // What all links have; 0: unshaped.
  uint32_t common_mbit() const { return common_mbit_; }
  // A port is as fast as what it sends, a link as its slower direction.
  Status Declare(fabric::Fabric& fabric) const;
  Status Shape(Plan& plan) const;

 private:
  struct Exception {
    std::string place;
    uint32_t mbit = 0;
  };
  uint32_t common_mbit_ = 0;
  std::vector<Exception> exceptions_;
};

}  // namespace relay::lab
