// One screen of "nccl-relay top", and one line of its JSON. Pure.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "relay/fabric.h"
#include "view/drawing.h"
#include "view/rates.h"

namespace relay::view {

struct ScreenSize {
  size_t columns = 80, rows = 24;
};

struct TopView {
  std::string self;
  fabric::Fabric fabric;
  NodeRates rates;
  std::string complaint;  // not empty: the agent did not answer, and the figures are old
};

// Lines of at most `columns` characters, at most `rows` of them. Ports first, each list by its rate; what does not fit
// is counted.
std::vector<std::string> TopFrame(const TopView& view, const ScreenSize& size, Glyphs glyphs);

std::string TopJson(const TopView& view);

}  // namespace relay::view
