#include "transport/rdma/completion_text.h"

#include <infiniband/verbs.h>

namespace relay::transport::rdma {
namespace {

struct CompletionMeaning {
  ibv_wc_status status;
  ErrorCode code;
  const char* check;
};

constexpr CompletionMeaning kMeanings[] = {
    {IBV_WC_LOC_LEN_ERR, ErrorCode::kSystem,
     "a message was larger than its buffer or than the device takes: report it"},
    {IBV_WC_LOC_QP_OP_ERR, ErrorCode::kSystem,
     "the device could not do what was asked: look whether its port is up and at the kernel's log"},
    {IBV_WC_LOC_PROT_ERR, ErrorCode::kSystem,
     "memory of this process was not registered, or not any more: it was freed too early, or report it"},
    {IBV_WC_LOC_ACCESS_ERR, ErrorCode::kSystem, "memory of this process may not be written: report it"},
    {IBV_WC_WR_FLUSH_ERR, ErrorCode::kRemote,
     "the queue pair had failed before: look at the cable, the port, and the other side's log"},
    {IBV_WC_REM_INV_REQ_ERR, ErrorCode::kRemote, "the other side does not take such a request: are both of one build?"},
    {IBV_WC_REM_ACCESS_ERR, ErrorCode::kRemote,
     "the other side does not allow this at that address: see its log for why it closed the connection; or both are "
     "not of "
     "one build"},
    {IBV_WC_REM_OP_ERR, ErrorCode::kRemote, "the other side's device failed: look at the kernel's log there"},
    {IBV_WC_RETRY_EXC_ERR, ErrorCode::kRemote, nullptr},
    {IBV_WC_RNR_RETRY_EXC_ERR, ErrorCode::kRemote, "the other side had no receive posted: report it"},
    {IBV_WC_REM_INV_RD_REQ_ERR, ErrorCode::kRemote, "the other side does not take such a read: are both of one build?"},
    {IBV_WC_REM_ABORT_ERR, ErrorCode::kRemote, "the other side's device gave up: look at the kernel's log there"},
    {IBV_WC_BAD_RESP_ERR, ErrorCode::kRemote, "the other side answered nonsense: look at the cable's error counters"},
    {IBV_WC_RESP_TIMEOUT_ERR, ErrorCode::kRemote,
     "the other side's device did not answer in time: look at the cable and the kernel's log there"},
};

}  // namespace

Error CompletionError(const ibv_wc& completion, const std::string& device, const FarSide& far,
                      const char* status_text) {
  ErrorCode code = ErrorCode::kSystem;
  std::string check = "look at the kernel's log";
  for (const CompletionMeaning& meaning : kMeanings) {
    if (meaning.status != completion.status) continue;
    code = meaning.code;
    check = meaning.check
                ? meaning.check
                : "no answer for about " + SecondsText(far.hop_timeout) +
                      ": look at the cable, whether the other process lives, and that nothing filters UDP port 4791";
  }
  char vendor[24];
  snprintf(vendor, sizeof vendor, "0x%x", completion.vendor_err);
  return {code, 0,
          "RDMA from " + device + " to " + far.text + " failed: " + (status_text ? status_text : "unknown status") +
              " (status " + std::to_string(completion.status) + ", vendor " + vendor + "); " + check};
}

}  // namespace relay::transport::rdma
