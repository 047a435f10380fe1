// Output of a rank, cut into lines that carry its name. Pure.
#pragma once
#include <string>
#include <string_view>

namespace relay::lab {

class LinePrefixer {
 public:
  explicit LinePrefixer(std::string prefix) : prefix_(std::move(prefix)) {}

  // Whole lines, each with the prefix; the rest waits for its end. Overlong lines are cut.
  std::string Feed(std::string_view bytes);
  // What still waits, as a line.
  std::string Finish();

 private:
  std::string prefix_;
  std::string rest_;
};

}  // namespace relay::lab
