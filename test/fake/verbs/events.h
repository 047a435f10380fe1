// The descriptors by which a fake device tells of events.
#pragma once
#include <sys/eventfd.h>
#include <unistd.h>

#include "fake/verbs/objects.h"

namespace relay::fake {

template <class Event>
bool EventQueue<Event>::Open() {
  fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
  return fd >= 0;
}

template <class Event>
void EventQueue<Event>::Close() {
  if (fd >= 0) close(fd);
  fd = -1;
}

template <class Event>
void EventQueue<Event>::Push(Event event) {
  entries.push_back(event);
  eventfd_write(fd, 1);
}

template <class Event>
std::optional<Event> EventQueue<Event>::Pop() {
  if (entries.empty()) return std::nullopt;
  eventfd_t one = 0;
  eventfd_read(fd, &one);  // never waits: there is one count per entry
  Event event = entries.front();
  entries.pop_front();
  return event;
}

template <class Event>
template <class Match>
void EventQueue<Event>::Drop(Match&& match) {
  for (size_t dropped = std::erase_if(entries, match); dropped > 0; --dropped) {
    eventfd_t one = 0;
    eventfd_read(fd, &one);
  }
}

}  // namespace relay::fake
