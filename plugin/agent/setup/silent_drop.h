// What a kernel drops without a word although the cable is good and the neighbour's agent runs: IPv4 packets whose
// source it takes for a lie.
#pragma once
#include <string>

#include "agent/node/local_node.h"

namespace relay::agent {

// An address of a link's end that the node at the other end has too, on another port: there, packets from it are
// dropped, and here, what is sent to it never leaves. One sentence with the remedy; empty when there is none.
std::string SourceAlsoThere(const fabric::Fabric& fabric, const LinkEnds& ends);

// Strict reverse-path filtering of a port whose subnet another interface of this node has too: the kernel expects the
// neighbour there. As above.
std::string FilteredHere(const LocalNode& node, const LinkEnds& ends);

}  // namespace relay::agent
