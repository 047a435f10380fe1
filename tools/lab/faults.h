// Breaks things in a running lab.
#pragma once
#include "lab/network.h"
#include "lab/schedule.h"

namespace relay::lab {

Status ApplyFault(const Fault& fault, const Plan& plan, const Network& network);

}  // namespace relay::lab
