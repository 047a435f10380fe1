#include "agent/discovery/name_resolver.h"

#include <netdb.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <csignal>
#include <mutex>

#include "base/log.h"

namespace relay::agent {
namespace {

constexpr size_t kMostAddressesOfAName = 16;

std::vector<SocketAddress> AddressesOf(const std::string& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* list = nullptr;
  std::vector<SocketAddress> out;
  if (getaddrinfo(name.c_str(), nullptr, &hints, &list) != 0) return out;
  for (const addrinfo* i = list; i != nullptr && out.size() < kMostAddressesOfAName; i = i->ai_next) {
    SocketAddress address = SocketAddress::From(i->ai_addr);
    if (!address.empty()) out.push_back(address);
  }
  freeaddrinfo(list);
  return out;
}

}  // namespace

// Shared with the thread, which outlives the resolver when a server does not answer.
struct NameResolver::Lookup {
  std::vector<std::string> names;
  Fd ready;
  std::mutex mutex;
  std::vector<std::vector<SocketAddress>> found;  // guarded by mutex until ready is written
};

NameResolver::NameResolver(EventLoop& loop, Done done) : loop_(loop), done_(std::move(done)) {}
NameResolver::~NameResolver() { Close(); }

void NameResolver::Close() {
  if (lookup_ != nullptr) loop_.Forget(lookup_->ready.get());
  lookup_.reset();
}

void NameResolver::LookUp(std::vector<std::string> names) {
  if (names.empty()) return;
  if (lookup_ != nullptr) {
    waiting_ = std::move(names);
  } else {
    Start(std::move(names));
  }
}

void NameResolver::Start(std::vector<std::string> names) {
  auto lookup = std::make_shared<Lookup>();
  lookup->names = std::move(names);
  lookup->ready = Fd::Born([] { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); });
  if (!lookup->ready || !loop_.Watch(lookup->ready.get(), EPOLLIN, [this](uint32_t) { OnDone(); })) {
    RELAY_WARN("cannot look names up: no descriptor is left");
    return;
  }
  lookup_ = lookup;
  // Signals are for the threads that expect them.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  auto* given = new std::shared_ptr<Lookup>(lookup);
  const int error = pthread_create(&thread, nullptr, LookUpNames, given);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error == 0) {
    pthread_detach(thread);
    return;
  }
  RELAY_WARN("cannot look names up: no thread is left");
  delete given;
  Close();
}

void* NameResolver::LookUpNames(void* given) {
  const std::unique_ptr<std::shared_ptr<Lookup>> owned(static_cast<std::shared_ptr<Lookup>*>(given));
  Lookup& lookup = **owned;
  pthread_setname_np(pthread_self(), "relay-names");
  std::vector<std::vector<SocketAddress>> found;
  for (const std::string& name : lookup.names) found.push_back(AddressesOf(name));
  {
    const std::lock_guard lock(lookup.mutex);
    lookup.found = std::move(found);
  }
  const uint64_t one = 1;
  if (write(lookup.ready.get(), &one, sizeof one) < 0) RELAY_WARN("names were looked up, and nobody can be told");
  return nullptr;
}

void NameResolver::OnDone() {
  const std::shared_ptr<Lookup> lookup = lookup_;
  Close();
  std::vector<std::vector<SocketAddress>> found;
  {
    const std::lock_guard lock(lookup->mutex);
    found = std::move(lookup->found);
  }
  for (size_t i = 0; i < found.size(); ++i) done_(lookup->names[i], std::move(found[i]));
  if (!waiting_.empty()) Start(std::exchange(waiting_, {}));
}

}  // namespace relay::agent
