#include "perf/trial.h"

#include <algorithm>
#include <cstring>

namespace relay::perf {
namespace {

constexpr uint64_t kLargestLl = 64 << 10;  // above it, NCCL's cost model prefers Simple over a network

}  // namespace

Result<Trial> Trial::Make(const Options& options, const World& world, int abi) {
  const Collective* collective = FindCollective(options.pattern);
  if (collective == nullptr) {
    return Fail(ErrorCode::kUsage, "there is no pattern " + options.pattern + "; --help lists them");
  }
  if (options.root >= world.ranks || options.peer >= world.ranks) {
    return Fail(ErrorCode::kUsage, "-r and --peer name a rank, and there are " + std::to_string(world.ranks));
  }
  if (options.protocol == ProtocolChoice::kLl128 && abi < 9) {
    return Fail(ErrorCode::kUsage, "--proto ll128: a plugin is told of lines that are polled only since v9");
  }
  Trial out(options, world, *collective);
  out.abi_ = abi;
  if (out.options_.peer < 0) out.options_.peer = world.ranks - 1;
  const uint64_t count = options.max_bytes / sizeof(float) / out.Blocks(collective->size_is_of_blocks);
  for (const auto& [memory, blocks] :
       {std::pair{&out.input_, collective->blocks_in}, std::pair{&out.output_, collective->blocks_out},
        std::pair{&out.scratch_, collective->blocks_in}}) {
    auto mapped = Memory::Map(count * sizeof(float) * out.Blocks(blocks));
    RELAY_TRY(mapped);
    *memory = std::move(*mapped);
  }
  return out;
}

Work Trial::WorkOf(int channel, uint64_t count, Protocol protocol) const {
  const Layout& layout = algorithm_->layouts.Of(protocol);
  Work work;
  work.rank = world_.rank;
  work.ranks = world_.ranks;
  work.root = options_.root;
  work.peer = options_.peer;
  work.channel = channel;
  work.count = count;
  work.slice = Capacity(protocol, layout.slot_bytes) / 4 * 4;
  work.slices_per_chunk = layout.slices_per_chunk;
  TakeShare(work, options_.channels);
  return work;
}

std::vector<Steps> Trial::AllSteps() const {
  std::vector<Steps> out;
  const uint64_t enough = 64 * static_cast<uint64_t>(options_.channels) * static_cast<uint64_t>(world_.ranks);
  for (int channel = 0; channel < options_.channels; ++channel) {
    out.push_back(algorithm_->steps(WorkOf(channel, enough, Protocol::kSimple)));
  }
  return out;
}

Protocol Trial::Choose(uint64_t bytes) const {
  switch (options_.protocol) {
    case ProtocolChoice::kSimple:
      return Protocol::kSimple;
    case ProtocolChoice::kLl:
      return Protocol::kLl;
    case ProtocolChoice::kLl128:
      return Protocol::kLl128;
    case ProtocolChoice::kAuto:
      break;
  }
  // Send and receive, and PAT, are Simple in NCCL.
  const bool may = !collective_->pairs && options_.algorithm != AlgorithmChoice::kPat;
  return may && bytes <= kLargestLl ? Protocol::kLl : Protocol::kSimple;
}

uint64_t Trial::bytes() const { return count_ * sizeof(float) * Blocks(collective_->size_is_of_blocks); }

Status Trial::SetSize(uint64_t bytes) {
  if (bytes > options_.max_bytes) return Fail(ErrorCode::kInternal, "a size above the largest");
  count_ = bytes / sizeof(float) / Blocks(collective_->size_is_of_blocks);
  protocol_ = Choose(bytes);
  return {};
}

void Trial::Fill(uint32_t seed) {
  const auto input = input_.floats().first(count_ * Blocks(collective_->blocks_in));
  for (size_t i = 0; i < input.size(); ++i) input[i] = Contribution(world_.rank, i, seed);
  std::memset(output_.data(), 0xff, count_ * sizeof(float) * Blocks(collective_->blocks_out));
  std::memset(scratch_.data(), 0xff, count_ * sizeof(float) * Blocks(collective_->blocks_in));
}

std::vector<Launch> Trial::Launches(int repetitions) const {
  std::vector<Launch> out;
  for (int channel = 0; channel < options_.channels; ++channel) {
    Launch launch;
    launch.steps = algorithm_->steps(WorkOf(channel, count_, protocol_));
    launch.input = input_.floats();
    launch.output = output_.floats();
    launch.scratch = scratch_.floats();
    launch.protocol = protocol_;
    launch.repetitions = repetitions;
    out.push_back(std::move(launch));
  }
  return out;
}

uint64_t Trial::Wrong(uint32_t seed) const {
  const Work place = WorkOf(0, count_, protocol_);
  if (!collective_->has_result(place)) return 0;
  const auto output = output_.floats().first(count_ * Blocks(collective_->blocks_out));
  uint64_t wrong = 0;
  for (size_t i = 0; i < output.size(); ++i) {
    const float expected = collective_->expected(i, seed, place);
    wrong += std::memcmp(&expected, &output[i], sizeof expected) != 0;
  }
  return wrong;
}

}  // namespace relay::perf
