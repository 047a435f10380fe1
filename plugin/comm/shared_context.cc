#include "comm/shared_context.h"

namespace relay::comm {
namespace {

std::mutex g_start;
std::atomic<Context*> g_context{nullptr};  // leaked: threads of NCCL may be inside it when the process exits

}  // namespace

Status StartSharedContext(const Getenv& getenv_fn, const char* const* environment) {
  std::lock_guard lock(g_start);
  if (g_context.load() != nullptr) return {};
  auto context = Context::Create(getenv_fn, environment, Context::Life::kProcess);
  RELAY_TRY(context);
  g_context.store(context->release());
  return {};
}

Context* SharedContext() { return g_context.load(); }

}  // namespace relay::comm
