#include "perf/perf.h"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#include "perf/benchmark.h"
#include "perf/library.h"

namespace relay::perf {
namespace {

constexpr int kRight = 0, kWrong = 1, kUsageStatus = 2;

std::string FolderOfThisProgram() {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string file(path, size > 0 ? static_cast<size_t>(size) : 0);
  return file.substr(0, file.rfind('/') == std::string::npos ? 0 : file.rfind('/'));
}

// The newest table first, as NCCL looks for them.
Result<std::unique_ptr<Net>> FindTable(const Library& library, int abi) {
  for (int version = abi ? abi : kNewestAbi; version >= (abi ? abi : kOldestAbi); --version) {
    const void* table = library.Symbol(fmt::format("ncclNetPlugin_v{}", version));
    if (table == nullptr) continue;
    auto net = MakeNet(version, table);
    RELAY_TRY(net->CheckTable());
    return net;
  }
  return Fail(ErrorCode::kUsage,
              fmt::format("{} has no ncclNetPlugin_v{}", library.file(), abi ? std::to_string(abi) : "6 to v12"));
}

// All ranks are there and do the same.
Status Agree(Rendezvous& rendezvous, const Options& options) {
  const std::string own = Fingerprint(options);
  const auto all = rendezvous.Exchange(std::as_bytes(std::span(own)));
  if (!all) return tl::unexpected(all.error());
  for (size_t rank = 0; rank < all->size(); ++rank) {
    const std::string other(reinterpret_cast<const char*>((*all)[rank].data()), (*all)[rank].size());
    if (other != own) return Fail(ErrorCode::kUsage, fmt::format("rank {} was told otherwise: {}", rank, other));
  }
  return {};
}

Result<bool> RunWith(const Options& options, const World& world, Rendezvous& rendezvous) {
  RELAY_TRY(Agree(rendezvous, options));
  auto library = Library::Open(PluginFiles(std::getenv("NCCL_NET_PLUGIN"), FolderOfThisProgram()));
  RELAY_TRY(library);
  auto net = FindTable(*library, options.abi);
  RELAY_TRY(net);
  const CommunicatorFacts facts{options, world, rendezvous, **net};
  auto right = options.pattern == "teardown" ? RunTeardown(facts)
               : options.seconds > 0         ? RunForSeconds(facts, library->file())
                                             : RunBenchmark(facts, library->file());
  if (!right) return right;
  RELAY_TRY(rendezvous.Barrier());
  return right;
}

// Threads stand for NCCL's own, and for kernels of a GPU.
Result<bool> RunOrSayWhyNot(const Options& options, const World& world, Rendezvous& rendezvous) {
  try {
    return RunWith(options, world, rendezvous);
  } catch (const std::system_error& error) {
    return FailErrno(ErrorCode::kSystem,
                     "cannot start a thread: raise `ulimit -u`, or the container's limit of processes",
                     error.code().value());
  }
}

int Complain(const Error& error, const std::string& who) {
  std::fprintf(stderr, "nccl-relay perf: %s%s\n", who.c_str(), error.what.c_str());
  return error.code == ErrorCode::kUsage ? kUsageStatus : kWrong;
}

}  // namespace

int Main(int argc, char** argv) {
  const auto start = std::chrono::steady_clock::now();
  // Who looks for agents by the name of their process finds no rank.
  ::prctl(PR_SET_NAME, "nccl-relay perf");
  const auto options = ParseOptions(argc, argv);
  if (!options) return Complain(options.error(), "");
  if (options->help) return std::fputs(kUsage, stdout) < 0;
  const auto world = ReadWorld([](const char* name) -> const char* { return std::getenv(name); });
  if (!world) return Complain(world.error(), "");
  const std::string who = fmt::format("rank {}: ", world->rank);
  auto rendezvous = Rendezvous::Join(*world, std::chrono::seconds(options->timeout));
  if (!rendezvous) return Complain(rendezvous.error(), who);
  auto right = RunOrSayWhyNot(*options, *world, **rendezvous);
  if (right) return *right ? kRight : kWrong;
  (*rendezvous)->GiveUp(who + right.error().what);
  const std::chrono::duration<double> lasted = std::chrono::steady_clock::now() - start;
  if (right.error().code != ErrorCode::kUsage)
    right.error().what += fmt::format("; {:.3f} s after its start", lasted.count());
  return Complain(right.error(), who);
}

}  // namespace relay::perf
