// Streams on their first circuit, as the tests of one end want them.
#pragma once
#include <memory>

#include "stream/recv_stream.h"
#include "stream/send_stream.h"

namespace relay::fake {

inline std::shared_ptr<stream::SendStream> MakeSender(std::unique_ptr<circuit::Circuit> circuit,
                                                      const stream::StreamOptions& options, Counters& counters,
                                                      uint64_t eager_bytes) {
  auto out = std::make_shared<stream::SendStream>(options, counters);
  out->Adopt({.circuit = std::move(circuit), .eager_bytes = eager_bytes, .near_link = "A ab--ba"});
  return out;
}

inline std::shared_ptr<stream::RecvStream> MakeReceiver(std::unique_ptr<circuit::Circuit> circuit,
                                                        const stream::StreamOptions& options, Counters& counters,
                                                        uint64_t eager_bytes) {
  auto out = std::make_shared<stream::RecvStream>(options, counters, eager_bytes);
  out->Adopt({.circuit = std::move(circuit), .near_link = "A ab--ba"});
  return out;
}

inline std::shared_ptr<stream::SendStream> MakeSender(std::unique_ptr<circuit::Circuit> circuit,
                                                      std::unique_ptr<transport::SendLane> lane,
                                                      const stream::StreamOptions& options, Counters& counters) {
  auto out = std::make_shared<stream::SendStream>(options, counters);
  out->Adopt({.circuit = std::move(circuit), .lane = std::move(lane), .near_link = "A ab--ba"});
  return out;
}

inline std::shared_ptr<stream::RecvStream> MakeReceiver(std::unique_ptr<circuit::Circuit> circuit,
                                                        std::unique_ptr<transport::RecvLane> lane,
                                                        const stream::StreamOptions& options, Counters& counters) {
  auto out = std::make_shared<stream::RecvStream>(options, counters, /*eager_bytes=*/0);
  out->Adopt({.circuit = std::move(circuit), .lane = std::move(lane), .near_link = "A ab--ba"});
  return out;
}

}  // namespace relay::fake
