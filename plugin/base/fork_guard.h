// What a fork of the host process must not duplicate: descriptors. A forked DataLoader that kept the sockets of its
// rank would keep them open after the rank's death, and no peer would learn of it.
//
// Every Fd is on record here. In a process that has armed the guard, a forked child closes all of them and is dead for
// the plugin, if anything alive was in it; the parent goes on as if nothing had happened. Any thread.
#pragma once
#include <atomic>

namespace relay::fork_guard {

// While one exists in any thread, no fork happens: put one around a call that makes a descriptor and the Fd that takes
// it. May be nested. Short, and never around what waits.
class Section {
 public:
  Section();
  ~Section();
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;
};

void Record(int fd);
// Closes a descriptor on record. In a dead child none is.
void Close(int fd);

// Something that a forked child cannot use lives as long as one of these. The first arms the guard.
class Life {
 public:
  Life();
  ~Life();
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;
};

// This process was forked while something lived. Its locks may be held by threads that do not exist here.
bool Dead();

}  // namespace relay::fork_guard
