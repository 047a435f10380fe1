// The sending end of a connection against a hostile peer.
#include "stream/send_stream.h"

#include "fuzz/stream_script.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  relay::fuzz::Script<relay::stream::SendStream>(data, size).Run();
  return 0;
}
