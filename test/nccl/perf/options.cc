#include "perf/options.h"

#include <getopt.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "perf/collective.h"

namespace perf {
namespace {

constexpr size_t kMinBytes = 8, kMaxBytes = size_t{32} << 20, kFaultBytes = size_t{4} << 20;
constexpr size_t kProgramBytes = size_t{1} << 20;

constexpr const char* kUsage =
    "usage: nccl_perf COLLECTIVE [options]     one process per rank; RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and\n"
    "                                          MASTER_PORT come from the environment\n"
    "COLLECTIVE: all_reduce all_gather reduce_scatter broadcast reduce alltoall sendrecv\n"
    "            gather scatter nccl_alltoall    NCCL's own calls, 2.28 and newer\n"
    "            types     all-reduce of every element type with every operator\n"
    "            exchange  ITERS groups of sends and receives between all pairs, several of up to MAX bytes per pair\n"
    "            split     a communicator and its part by --colors, ITERS times in turn and at once, with and without\n"
    "                      shared resources, destroyed in either order\n"
    "            many      --at-once communicators on as many streams, each with another order of the ranks\n"
    "            gpus      every GPU of each process is a rank\n"
    "            fault     all-reduces of MIN bytes until NCCL reports an error; status 0 only if it did in time\n"
    "            abort     rank ROOT aborts after --hold seconds of traffic, the others when they are told\n"
    "            shrink    rank ROOT stays away from a collective, the others go on without it by ncclCommShrink\n"
    "            absent    rank ROOT does not come, the others abort after --hold seconds\n"
    "            abort_in_init   rank ROOT aborts --hold seconds after it began to initialize\n"
    "                      After these four all make a new communicator, which must give right results.\n"
    "  -b MIN, -e MAX        sizes in bytes, K, M, G; 8 to 32M (fault: 4M; exchange to abort_in_init: up to 1M)\n"
    "  -f FACTOR             from one size to the next, 2\n"
    "  -n ITERS              timed repetitions per size, 20\n"
    "  -w WARMUPS            untimed repetitions of the largest and the smallest size before the first row, 1\n"
    "  -c CHECKS             verified repetitions per row, each with fresh data, every element compared; 1. Unless 0,\n"
    "                        the last timed repetition out of place is verified too\n"
    "  -r ROOT               of broadcast, reduce, gather and scatter; who aborts; 0\n"
    "  -R 0|1                register the buffers with the communicator (wants NCCL_LOCAL_REGISTER=1), 0\n"
    "  --json                one JSON document instead of the table\n"
    "  --hold SECONDS        stay silent that long before each repetition\n"
    "  --communicators N     do it all N times, each time with a new communicator, 1\n"
    "  --nonblocking         communicators whose calls return at once\n"
    "  --at-once N           communicators of many, 4\n"
    "  --colors A,B,...      of split by rank, over and over; -1: no part of it; 0,1\n"
    "  --exit-after-last     leave without destroying the communicator, right after the own last result\n"
    "  --timeout SECONDS     no single wait is longer, 120\n";

[[noreturn]] __attribute__((format(printf, 1, 2))) void Refuse(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("nccl_perf: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(2);
}

int Integer(const char* name, const char* text, int lowest, int highest = INT_MAX) {
  char* end = nullptr;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (!*text || *end || errno || value < lowest || value > highest)
    Refuse("%s %s: want a whole number from %d to %d", name, text, lowest, highest);
  return static_cast<int>(value);
}

size_t Size(const char* name, const char* text) {
  auto size = ParseSize(text);
  if (!size || *size == 0) Refuse("%s %s: want a size such as 8, 64K, 32M or 1G", name, text);
  return *size;
}

double Seconds(const char* name, const char* text) {
  char* end = nullptr;
  double value = strtod(text, &end);
  if (!*text || *end || !std::isfinite(value) || value < 0 || value > 86400)
    Refuse("%s %s: want seconds from 0 to 86400", name, text);
  return value;
}

std::vector<int> Integers(const char* name, const std::string& text) {
  std::vector<int> all;
  for (size_t start = 0, end; start <= text.size(); start = end + 1) {
    end = std::min(text.find(',', start), text.size());
    all.push_back(Integer(name, text.substr(start, end - start).c_str(), -1));
  }
  return all;
}

// Where the command line gave none.
void SetDefaultSizes(Options& options) {
  const bool fault = options.collective == "fault";
  if (options.min_bytes == 0) options.min_bytes = fault ? kFaultBytes : kMinBytes;
  if (options.max_bytes == 0)
    options.max_bytes = FindCollective(options.collective) || fault ? kMaxBytes : kProgramBytes;
}

enum Long { kJson = 256, kHold, kCommunicators, kExitAfterLast, kTimeout, kNonblocking, kAtOnce, kColors };

constexpr option kLong[] = {{"json", no_argument, nullptr, kJson},
                            {"hold", required_argument, nullptr, kHold},
                            {"communicators", required_argument, nullptr, kCommunicators},
                            {"exit-after-last", no_argument, nullptr, kExitAfterLast},
                            {"timeout", required_argument, nullptr, kTimeout},
                            {"nonblocking", no_argument, nullptr, kNonblocking},
                            {"at-once", required_argument, nullptr, kAtOnce},
                            {"colors", required_argument, nullptr, kColors},
                            {"help", no_argument, nullptr, 'h'},
                            {}};

// False when there is no such option; getopt has said so.
bool ApplyShort(Options& options, int c) {
  switch (c) {
    case 'b':
      options.min_bytes = Size("-b", optarg);
      return true;
    case 'e':
      options.max_bytes = Size("-e", optarg);
      return true;
    case 'f':
      options.factor = static_cast<size_t>(Integer("-f", optarg, 2, 1 << 20));
      return true;
    case 'n':
      options.iterations = Integer("-n", optarg, 1);
      return true;
    case 'w':
      options.warmups = Integer("-w", optarg, 0);
      return true;
    case 'c':
      options.checks = Integer("-c", optarg, 0);
      return true;
    case 'r':
      options.root = Integer("-r", optarg, 0);
      return true;
    case 'R':
      options.register_buffers = Integer("-R", optarg, 0, 1) == 1;
      return true;
    default:
      return false;
  }
}

bool ApplyLong(Options& options, int c) {
  switch (c) {
    case kJson:
      options.json = true;
      return true;
    case kHold:
      options.hold = Seconds("--hold", optarg);
      return true;
    case kCommunicators:
      options.communicators = Integer("--communicators", optarg, 1, 10000);
      return true;
    case kExitAfterLast:
      options.exit_after_last = true;
      return true;
    case kTimeout:
      options.timeout = Integer("--timeout", optarg, 1, 86400);
      return true;
    case kNonblocking:
      options.blocking = false;
      return true;
    case kAtOnce:
      options.at_once = Integer("--at-once", optarg, 1, 64);
      return true;
    case kColors:
      options.colors = Integers("--colors", optarg);
      return true;
    default:
      return false;
  }
}

}  // namespace

std::optional<size_t> ParseSize(const std::string& text) {
  size_t value = 0;
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  std::string unit(rest, text.data() + text.size());
  int shift = 0;
  if (unit == "K" || unit == "k") shift = 10;
  if (unit == "M" || unit == "m") shift = 20;
  if (unit == "G" || unit == "g") shift = 30;
  if ((!unit.empty() && shift == 0) || value > (size_t{1} << 40 >> shift)) return std::nullopt;
  return value << shift;
}

Options ParseOptions(int argc, char** argv) {
  Options options;
  for (int c; (c = getopt_long(argc, argv, "b:e:f:n:w:c:r:R:h", kLong, nullptr)) != -1;) {
    if (c == 'h') {
      fputs(kUsage, stdout);
      exit(0);
    }
    if (!(c < kJson ? ApplyShort(options, c) : ApplyLong(options, c))) exit(2);
  }
  if (optind != argc - 1) Refuse("want one collective, got %d; --help explains", argc - optind);
  options.collective = argv[optind];
  SetDefaultSizes(options);
  if (options.min_bytes > options.max_bytes)
    Refuse("-b %zu is larger than -e %zu", options.min_bytes, options.max_bytes);
  return options;
}

Environment ReadEnvironment() {
  auto text = [](const char* name, const char* fallback) {
    const char* value = getenv(name);
    return value && *value ? value : fallback;
  };
  Environment environment;
  environment.ranks = Integer("WORLD_SIZE", text("WORLD_SIZE", "1"), 1);
  environment.rank = Integer("RANK", text("RANK", "0"), 0, environment.ranks - 1);
  environment.local_rank = Integer("LOCAL_RANK", text("LOCAL_RANK", "0"), 0);
  environment.master_address = text("MASTER_ADDR", "127.0.0.1");
  environment.master_port = text("MASTER_PORT", "");
  if (environment.ranks > 1 && environment.master_port.empty())
    Refuse("WORLD_SIZE is %d, so MASTER_ADDR and MASTER_PORT must say where rank 0 listens", environment.ranks);
  return environment;
}

}  // namespace perf
