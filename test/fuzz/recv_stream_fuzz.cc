// The receiving end of a connection against a hostile peer.
#include "stream/recv_stream.h"

#include "fuzz/stream_script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  relay::fuzz::Script<relay::stream::RecvStream>(data, size).Run();
  return 0;
}
