// The plan of a shape, without rates.
#pragma once
#include "lab/plan.h"
#include "lab/topology.h"

namespace relay::lab {

inline Plan PlanOf(const char* shape) {
  return MakePlan(DeclareShape(ParseShape(shape).value(), 1000).value(), {}).value();
}

}  // namespace relay::lab
