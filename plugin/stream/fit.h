// What both ends of a connection hold each other to, in the same words whichever way messages travel.
#pragma once
#include "relay/frame.h"
#include "relay/result.h"

namespace relay::stream {

// The receive that was posted for a message must take it whole.
inline Status CheckFits(uint64_t message_bytes, uint64_t receive_bytes) {
  if (message_bytes <= receive_bytes) return {};
  return Fail(ErrorCode::kUsage, "a message of " + std::to_string(message_bytes) + " bytes meets a receive of " +
                                     std::to_string(receive_bytes) +
                                     ": the ranks disagree about the size of a collective");
}

// A frame of a type that does not come this way.
inline Status Misplaced(const FrameHeader& header) {
  return Fail(ErrorCode::kRemote, "a frame of type " + std::to_string(static_cast<int>(header.type)) +
                                      " where none is due: the peer breaks the protocol");
}

}  // namespace relay::stream
