// The fuzz targets without a fuzzer, for compilers that have none: every seed, every prefix of it, and as many damaged
// copies as a given number of seconds allows. usage: replay_NAME SECONDS FOLDER; RELAY_TEST_SEED chooses the damage.
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;
constexpr size_t kLongest = 8192;
constexpr size_t kPrefixesOf = 512;  // of a longer seed, only so many prefixes

std::string g_last;  // "a copy of seed NAME", for whoever looks at a crash

std::vector<std::pair<std::string, Bytes>> ReadSeeds(const std::string& folder) {
  std::vector<std::pair<std::string, Bytes>> seeds;
  DIR* dir = opendir(folder.c_str());
  if (dir == nullptr) return seeds;
  while (const dirent* entry = readdir(dir)) {
    const std::string path = folder + "/" + entry->d_name;
    struct stat what {};
    if (stat(path.c_str(), &what) != 0 || !S_ISREG(what.st_mode)) continue;
    std::ifstream in(path, std::ios::binary);
    seeds.emplace_back(entry->d_name, Bytes(std::istreambuf_iterator<char>(in), {}));
  }
  closedir(dir);
  std::sort(seeds.begin(), seeds.end());
  return seeds;
}

// The target reads exactly these bytes: a sanitizer sees the first one behind them.
void Try(const Bytes& bytes) {
  const Bytes copy(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
}

Bytes Damaged(const Bytes& seed, const Bytes& other, std::mt19937_64& random) {
  Bytes out = seed;
  auto below = [&](size_t n) { return n == 0 ? 0 : static_cast<size_t>(random() % n); };
  for (size_t wounds = 1 + below(4); wounds > 0; --wounds) {
    static constexpr uint8_t kEdges[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    const size_t at = below(out.size());
    switch (below(6)) {
      case 0:
        if (!out.empty()) out[at] ^= static_cast<uint8_t>(1u << below(8));
        break;
      case 1:
        if (!out.empty()) out[at] = kEdges[below(std::size(kEdges))];
        break;
      case 2:
        out.resize(at);
        break;
      case 3:
        out.insert(out.begin() + static_cast<ptrdiff_t>(at), static_cast<uint8_t>(random()));
        break;
      case 4: {
        const size_t end = at + below(std::min<size_t>(64, out.size() - at));
        out.erase(out.begin() + static_cast<ptrdiff_t>(at), out.begin() + static_cast<ptrdiff_t>(end));
        break;
      }
      default:
        out.resize(at);
        out.insert(out.end(), other.begin() + static_cast<ptrdiff_t>(below(other.size())), other.end());
    }
  }
  out.resize(std::min(out.size(), kLongest));
  return out;
}

void SayWhere() {
  const std::string line = "while trying " + g_last + "\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

extern "C" void __sanitizer_set_death_callback(void (*callback)());  // the sanitizers' runtime has it

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: %s SECONDS FOLDER\n", argv[0]), 2;
  const auto seeds = ReadSeeds(argv[2]);
  if (seeds.empty()) return std::fprintf(stderr, "no seeds in %s\n", argv[2]), 1;
  __sanitizer_set_death_callback(SayWhere);

  size_t tried = 0;
  for (const auto& [name, bytes] : seeds) {
    g_last = "seed " + name + " and its prefixes";
    for (size_t n = 0; n < std::min(bytes.size(), kPrefixesOf); ++n, ++tried) Try({bytes.begin(), bytes.begin() + n});
    Try(bytes), ++tried;
  }
  const char* chosen = std::getenv("RELAY_TEST_SEED");
  std::mt19937_64 random(std::hash<std::string>{}(chosen != nullptr ? chosen : "0"));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[1]));
  while (std::chrono::steady_clock::now() < end) {
    const auto& [name, bytes] = seeds[random() % seeds.size()];
    g_last = "a damaged copy of seed " + name + ", try " + std::to_string(tried);
    Try(Damaged(bytes, seeds[random() % seeds.size()].second, random)), ++tried;
  }
  std::printf("%zu inputs from %zu seeds\n", tried, seeds.size());
  return 0;
}
