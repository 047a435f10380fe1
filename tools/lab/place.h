// Where a rate or a fault applies: "A-B" (every cable between two nodes), "A>B" (what A sends to B), "A/ab" (one
// cable), "A/ab>" (what leaves A there). Pure.
#pragma once
#include <string_view>
#include <vector>

#include "relay/fabric.h"
#include "relay/result.h"

namespace relay::lab {

struct Place {
  std::vector<fabric::LinkEnd> senders;  // the ends whose sending is meant
  bool one_way = false;
};

// The error names what there is.
Result<Place> FindPlace(const fabric::Fabric& fabric, std::string_view text);

// The other end of the cable at a port; the fabric has one cable per port.
fabric::LinkEnd FarEnd(const fabric::Fabric& fabric, const fabric::LinkEnd& near);

}  // namespace relay::lab
