#include "perf/options.h"

#include <fmt/format.h>
#include <getopt.h>

#include <charconv>
#include <climits>
#include <vector>

namespace relay::perf {

const char* const kUsage =
    "usage: nccl-relay perf PATTERN [options]\n"
    "Drives libnccl-net-relay.so as NCCL's proxy does, without NCCL and without a GPU, and checks every byte.\n"
    "One process per rank; RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT come from the environment.\n"
    "\n"
    "PATTERN: all_reduce all_gather reduce_scatter broadcast reduce alltoall sendrecv\n"
    "         pingpong    one-way time between rank 0 and another: median, minimum, 99th percentile\n"
    "         teardown    ends of communicators with requests in flight, and that the next one works\n"
    "  -b MIN, -e MAX     sizes in bytes, K, M, G: 8 to 32M\n"
    "  -f FACTOR          from one size to the next, 2\n"
    "  -n ITERS           timed repetitions per size, 20; rounds of teardown\n"
    "  -w WARMUP          untimed repetitions per size, 1\n"
    "  -c CHECKS          verified repetitions per size, each with fresh data, 1; 0: nothing is verified\n"
    "  -r ROOT            of broadcast and reduce, 0\n"
    "  --algo ALGO        auto; all_reduce: ring, tree; all_gather, reduce_scatter: ring, pat\n"
    "  --proto PROTO      auto (LL for small messages), simple, ll, ll128 (newer ABIs only)\n"
    "  --channels N       connections between two ranks, 2\n"
    "  --one-thread       kernel and progress take turns on one thread per rank: what is left is the plugin's time\n"
    "  --peer RANK        of pingpong, the last rank\n"
    "  --abi vN           v6 to v12: use this table of the plugin, not the newest it has\n"
    "  --flush            iflush after every Simple receive, as NCCL with GPU memory\n"
    "  --timeout SECONDS  no single wait without progress is longer, 60\n"
    "  --seconds N        goes on for so long; every repetition has fresh data and is verified; -n, -w and -c say "
    "nothing\n"
    "  --fresh            with --seconds: a communicator for every repetition\n"
    "  --gap              the longest time without a completion while requests were outstanding\n"
    "  --hold SECONDS     this rank rests when everything is connected\n"
    "  --hold-close SECONDS  and before it closes\n"
    "  --late SECONDS     this rank's first receives are posted late\n"
    "  --patience SECONDS another rank's end counts after so long, in which the plugin may say what is wrong, 0\n"
    "  --phases           says on standard error what this rank begins, and when\n"
    "  --json             one JSON document from rank 0 in place of the table\n"
    "  --corrupt N        self-test: flips one bit of this rank's Nth verified message, which must be noticed\n"
    "NCCL_NET_PLUGIN names the plugin as it does for NCCL; unset: libnccl-net-relay.so beside this program.\n";

namespace {

constexpr int kDay = 86400;

tl::unexpected<Error> Refuse(const std::string& sentence) { return Fail(ErrorCode::kUsage, sentence); }

Result<int64_t> Integer(const std::string& option, const std::string& text, int64_t lowest, int64_t highest) {
  int64_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || rest != text.data() + text.size() || value < lowest || value > highest) {
    return Refuse(fmt::format("{} {}: want a whole number from {} to {}", option, text, lowest, highest));
  }
  return value;
}

// Up to a day.
Result<double> Seconds(const std::string& option, const std::string& text) {
  double value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || rest != text.data() + text.size() || !(value >= 0 && value <= kDay)) {
    return Refuse(fmt::format("{} {}: want seconds, 0 to {}", option, text, kDay));
  }
  return value;
}

template <class Choice>
struct Named {
  const char* name;
  Choice value;
};
constexpr Named<AlgorithmChoice> kAlgorithms[] = {{"auto", AlgorithmChoice::kAuto},
                                                  {"ring", AlgorithmChoice::kRing},
                                                  {"tree", AlgorithmChoice::kTree},
                                                  {"pat", AlgorithmChoice::kPat}};
constexpr Named<ProtocolChoice> kProtocols[] = {{"auto", ProtocolChoice::kAuto},
                                                {"simple", ProtocolChoice::kSimple},
                                                {"ll", ProtocolChoice::kLl},
                                                {"ll128", ProtocolChoice::kLl128}};

template <class Choice, size_t n>
Result<Choice> OneOf(const char* option, const std::string& text, const Named<Choice> (&choices)[n]) {
  std::string names;
  for (const auto& choice : choices) {
    if (text == choice.name) return choice.value;
    names += std::string(names.empty() ? "" : ", ") + choice.name;
  }
  return Refuse(fmt::format("{} {}: want one of {}", option, text, names));
}

// Assigns a parsed value, or hands its error on.
template <class T, class R>
Status Set(T& field, const R& parsed) {
  if (!parsed) return tl::unexpected(parsed.error());
  field = static_cast<T>(*parsed);
  return {};
}

enum LongOption {
  kAlgo = 256,
  kProto,
  kChannels,
  kPeer,
  kAbi,
  kFlush,
  kOneThread,
  kTimeout,
  kJson,
  kCorrupt,
  kSeconds,
  kFresh,
  kGap,
  kPhases,
  kHold,
  kHoldClose,
  kLate,
  kPatience,
};

// Those that say how long, and what is watched meanwhile.
Status ApplyTimes(Options& options, int option, const std::string& value) {
  switch (option) {
    case kTimeout:
      return Set(options.timeout, Integer("--timeout", value, 1, kDay));
    case kSeconds:
      return Set(options.seconds, Integer("--seconds", value, 1, kDay));
    case kHold:
      return Set(options.hold, Seconds("--hold", value));
    case kHoldClose:
      return Set(options.hold_close, Seconds("--hold-close", value));
    case kLate:
      return Set(options.late, Seconds("--late", value));
    case kPatience:
      return Set(options.patience, Seconds("--patience", value));
    case kFresh:
      options.fresh = true;
      return {};
    case kGap:
      options.gap = true;
      return {};
    case kPhases:
      options.phases = true;
      return {};
    default:
      options.help = true;
      return {};
  }
}

Status Apply(Options& options, int option, const std::string& value) {
  switch (option) {
    case 'b':
      return Set(options.min_bytes, ParseSize(value));
    case 'e':
      return Set(options.max_bytes, ParseSize(value));
    case 'f':
      return Set(options.factor, Integer("-f", value, 2, 1 << 20));
    case 'n':
      return Set(options.iterations, Integer("-n", value, 1, 1 << 20));
    case 'w':
      return Set(options.warmups, Integer("-w", value, 0, 1 << 20));
    case 'c':
      return Set(options.checks, Integer("-c", value, 0, 1 << 20));
    case 'r':
      return Set(options.root, Integer("-r", value, 0, INT_MAX));
    case kAlgo:
      return Set(options.algorithm, OneOf("--algo", value, kAlgorithms));
    case kProto:
      return Set(options.protocol, OneOf("--proto", value, kProtocols));
    case kChannels:
      return Set(options.channels, Integer("--channels", value, 1, 64));
    case kPeer:
      return Set(options.peer, Integer("--peer", value, 1, INT_MAX));
    case kAbi:
      return Set(options.abi, Integer("--abi", value.starts_with('v') ? value.substr(1) : value, 6, 12));
    case kFlush:
      options.flush = true;
      return {};
    case kOneThread:
      options.one_thread = true;
      return {};
    case kJson:
      options.json = true;
      return {};
    case kCorrupt:
      return Set(options.corrupt, Integer("--corrupt", value, 1, INT64_MAX));
    default:
      return ApplyTimes(options, option, value);
  }
}

Status Validate(const Options& options) {
  if (options.min_bytes > options.max_bytes) {
    return Refuse(fmt::format("-b {} is larger than -e {}", options.min_bytes, options.max_bytes));
  }
  const bool gathers = options.pattern == "all_gather" || options.pattern == "reduce_scatter";
  if ((options.algorithm == AlgorithmChoice::kTree && options.pattern != "all_reduce") ||
      (options.algorithm == AlgorithmChoice::kPat && !gathers)) {
    return Refuse(options.pattern + " has no such --algo; --help lists them");
  }
  if (options.seconds > 0 && (options.pattern == "pingpong" || options.pattern == "teardown")) {
    return Refuse(options.pattern + " goes by -n, not by --seconds");
  }
  if (options.fresh && options.seconds == 0) return Refuse("--fresh wants --seconds");
  if (options.one_thread && options.channels != 1) return Refuse("--one-thread wants --channels 1");
  return {};
}

}  // namespace

Result<uint64_t> ParseSize(const std::string& text) {
  uint64_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string unit(rest, text.data() + text.size());
  int shift = 0;
  if (unit == "K" || unit == "k") shift = 10;
  if (unit == "M" || unit == "m") shift = 20;
  if (unit == "G" || unit == "g") shift = 30;
  constexpr uint64_t kLargest = uint64_t{64} << 30;
  if (error != std::errc() || (!unit.empty() && shift == 0) || value == 0 || value > kLargest >> shift) {
    return Refuse(text + " is no size: want 8, 64K, 32M or 1G, at most 64G");
  }
  return value << shift;
}

Result<Options> ParseOptions(int argc, char** argv) {
  static const option kLong[] = {{"algo", required_argument, nullptr, kAlgo},
                                 {"proto", required_argument, nullptr, kProto},
                                 {"channels", required_argument, nullptr, kChannels},
                                 {"peer", required_argument, nullptr, kPeer},
                                 {"abi", required_argument, nullptr, kAbi},
                                 {"flush", no_argument, nullptr, kFlush},
                                 {"one-thread", no_argument, nullptr, kOneThread},
                                 {"timeout", required_argument, nullptr, kTimeout},
                                 {"json", no_argument, nullptr, kJson},
                                 {"corrupt", required_argument, nullptr, kCorrupt},
                                 {"seconds", required_argument, nullptr, kSeconds},
                                 {"fresh", no_argument, nullptr, kFresh},
                                 {"gap", no_argument, nullptr, kGap},
                                 {"phases", no_argument, nullptr, kPhases},
                                 {"hold", required_argument, nullptr, kHold},
                                 {"hold-close", required_argument, nullptr, kHoldClose},
                                 {"late", required_argument, nullptr, kLate},
                                 {"patience", required_argument, nullptr, kPatience},
                                 {"help", no_argument, nullptr, 'h'},
                                 {}};
  Options options;
  ::opterr = 0;
  ::optind = 0;
  for (int c; (c = ::getopt_long(argc, argv, ":b:e:f:n:w:c:r:h", kLong, nullptr)) != -1;) {
    const std::string last = argv[::optind - 1];
    if (c == '?') return Refuse("there is no option " + last + "; --help lists them");
    if (c == ':') return Refuse(last + " wants a value");
    RELAY_TRY(Apply(options, c, ::optarg ? ::optarg : ""));
  }
  if (options.help) return options;
  if (::optind != argc - 1) return Refuse("want one pattern, such as all_reduce; --help lists them");
  options.pattern = argv[::optind];
  RELAY_TRY(Validate(options));
  return options;
}

std::string Fingerprint(const Options& o) {
  return fmt::format(
      "{} -b {} -e {} -f {} -n {} -w {} -c {} -r {} --peer {} --channels {} --algo {} --proto {} --seconds {}{}",
      o.pattern, o.min_bytes, o.max_bytes, o.factor, o.iterations, o.warmups, o.checks, o.root, o.peer, o.channels,
      static_cast<int>(o.algorithm), static_cast<int>(o.protocol), o.seconds, o.fresh ? " --fresh" : "");
}

Result<World> ReadWorld(const std::function<const char*(const char*)>& getenv_fn) {
  auto text = [&](const char* name, const char* fallback) {
    const char* value = getenv_fn(name);
    return std::string(value && *value ? value : fallback);
  };
  World world;
  RELAY_TRY(Set(world.ranks, Integer("WORLD_SIZE", text("WORLD_SIZE", "1"), 1, 4096)));
  RELAY_TRY(Set(world.rank, Integer("RANK", text("RANK", "0"), 0, world.ranks - 1)));
  RELAY_TRY(Set(world.local_rank, Integer("LOCAL_RANK", text("LOCAL_RANK", "0"), 0, INT_MAX)));
  world.master_address = text("MASTER_ADDR", "");
  world.master_port = text("MASTER_PORT", "");
  if (world.ranks > 1 && (world.master_address.empty() || world.master_port.empty())) {
    return Refuse(
        fmt::format("WORLD_SIZE is {}, so MASTER_ADDR and MASTER_PORT must say where rank 0 listens", world.ranks));
  }
  return world;
}

}  // namespace relay::perf
