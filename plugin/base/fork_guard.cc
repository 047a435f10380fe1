#include "base/fork_guard.h"

#include <pthread.h>
#include <unistd.h>

#include <cstdint>

namespace relay::fork_guard {
namespace {

constexpr int kMaxFd = 1 << 20;  // fs.nr_open's default; what is above is closed but not on record

constinit std::atomic<uint64_t> g_recorded[kMaxFd / 64] = {};
constinit std::atomic<int> g_words{0};  // of the table, in use so far
constinit std::atomic<int> g_lives{0};
constinit std::atomic<bool> g_dead{false};
pthread_mutex_t g_births = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

std::atomic<uint64_t>& Word(int fd) { return g_recorded[fd / 64]; }
uint64_t Bit(int fd) { return uint64_t{1} << (fd % 64); }

void BeforeFork() { pthread_mutex_lock(&g_births); }
void InParent() { pthread_mutex_unlock(&g_births); }

// Only what may be called here: another thread may have held any lock.
void InChild() {
  // A recursive mutex knows its owner by thread id, and the child's thread has a new one.
  g_births = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
  if (g_lives.load() == 0) return;
  for (int word = 0; word < g_words.load(); ++word) {
    for (uint64_t left = g_recorded[word].exchange(0); left != 0; left &= left - 1) {
      close(word * 64 + __builtin_ctzll(left));
    }
  }
  g_dead.store(true);
}

}  // namespace

Section::Section() { pthread_mutex_lock(&g_births); }
Section::~Section() { pthread_mutex_unlock(&g_births); }

void Record(int fd) {
  if (fd < 0 || fd >= kMaxFd) return;
  Section section;
  Word(fd).fetch_or(Bit(fd));
  if (g_words.load() <= fd / 64) g_words.store(fd / 64 + 1);
}

void Close(int fd) {
  if (fd < 0) return;
  Section section;
  bool recorded = fd >= kMaxFd || (Word(fd).fetch_and(~Bit(fd)) & Bit(fd)) != 0;
  if (recorded) close(fd);
}

Life::Life() {
  if (g_lives.fetch_add(1) > 0) return;
  static const int armed = pthread_atfork(BeforeFork, InParent, InChild);
  static_cast<void>(armed);
}

Life::~Life() { g_lives.fetch_sub(1); }

bool Dead() { return g_dead.load(std::memory_order_relaxed); }

}  // namespace relay::fork_guard
