// Connect handles, as another rank hands them over.
#include <algorithm>

#include "comm/handle.h"
#include "fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace relay;
  if (size < comm::kHandleBytes) return 0;
  auto handle = comm::DecodeHandle(fuzz::Bytes(data, size).first<comm::kHandleBytes>());
  if (!handle) return 0;
  fuzz::Check(handle->node_name.size() <= kMaxNameBytes);
  std::byte again[comm::kHandleBytes];
  comm::EncodeHandle(*handle, again);
  auto same = comm::DecodeHandle(again);
  fuzz::Check(same && same->token == handle->token && same->node == handle->node && same->port == handle->port &&
              same->agreement == handle->agreement && same->node_name == handle->node_name);
  return 0;
}
