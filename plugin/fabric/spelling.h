// Help for those who mistype.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace relay::fabric {

// ", did you mean \"speed\"?" for the nearest of `known` when it is near enough, else "".
std::string DidYouMean(std::string_view unknown, std::span<const std::string_view> known);

}  // namespace relay::fabric
