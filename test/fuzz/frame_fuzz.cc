// Frame headers: what is accepted encodes to the same bytes again.
#include <cstring>

#include "fuzz/check.h"
#include "relay/frame.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace relay;
  if (size < kFrameHeaderBytes) return 0;
  auto bytes = fuzz::Bytes(data, size).first<kFrameHeaderBytes>();
  auto header = DecodeFrame(bytes);
  if (!header) return 0;
  FrameBytes again = EncodeFrame(*header);
  fuzz::Check(std::memcmp(again.data(), bytes.data(), again.size()) == 0);
  if (header->type == FrameType::kData) fuzz::Check(header->offset + header->length <= header->total);
  return 0;
}
