// Drives a net plugin through its v11 table from plain C, as NCCL does: no C++ runtime is in this process.
//   net_guest LIBRARY name           the table's name
//   net_guest LIBRARY self           messages to oneself, on one thread
//   net_guest LIBRARY hold           a connection that was used, and nothing more until it is ended
//   net_guest LIBRARY abort          deregMr and close under requests in flight
//   net_guest LIBRARY rounds N       init and finalize, N times
//   net_guest LIBRARY comms N        N communicators one after another, a message to oneself on each
//   net_guest LIBRARY shared N       N connections one after another through v8, which has no contexts
//   net_guest LIBRARY reload N       loaded and unloaded, N times
//   net_guest LIBRARY child          what a forked child can do
//   net_guest LIBRARY failing N      init that fails, N times
//   net_guest LIBRARY receive FILE COMMAND   offers its handle in FILE; runs COMMAND when a message may come; receives it
//   net_guest LIBRARY send FILE      sends the message, once FILE.cut is there
//   net_guest LIBRARY outlive FILE   as `send`; then leaves a forked child behind and is killed
//   net_guest LIBRARY await FILE     offers its handle in FILE; receives one message, and waits for another
// Status 0: as it should be, and nothing is left behind: no thread, no descriptor, no child.
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kHost = 1, kHandle = 128, kPatience = 60 };
typedef void (*Logger)(int level, unsigned long flags, const char* file, int line, const char* format, ...);
typedef struct {
  const char* name;
  int (*init)(void** context, uint64_t id, void* config, Logger logger, void* profiler);
  int (*devices)(int* count);
  int (*get_properties)(int device, void* properties);
  int (*listen)(void* context, int device, void* handle, void** listener);
  int (*connect)(void* context, int device, void* handle, void** comm, void** device_comm);
  int (*accept)(void* listener, void** comm, void** device_comm);
  int (*reg_mr)(void* comm, void* data, size_t size, int type, void** region);
  void* reg_mr_dma_buf;
  int (*dereg_mr)(void* comm, void* region);
  int (*isend)(void* comm, void* data, size_t size, int tag, void* region, void* profile, void** request);
  int (*irecv)(void* comm, int n, void** data, size_t* sizes, int* tags, void** regions, void** profiles,
               void** request);
  void* iflush;
  int (*test)(void* request, int* done, int* size);
  int (*close_send)(void* comm);
  int (*close_recv)(void* comm);
  int (*close_listen)(void* listener);
  void* unused[3];
  int (*finalize)(void* context);
  void* set_attributes;
} Net;

// What differs in v8.
typedef struct {
  const char* name;
  int (*init)(Logger logger);
  int (*devices)(int* count);
  int (*get_properties)(int device, void* properties);
  int (*listen)(int device, void* handle, void** listener);
  int (*connect)(int device, void* handle, void** comm, void** device_comm);
} NetV8;

static const Net* net;

#define CHECK(condition)                                                    \
  do {                                                                      \
    if (!(condition)) {                                                     \
      fprintf(stderr, "net_guest: line %d: %s\n", __LINE__, #condition);    \
      exit(1);                                                              \
    }                                                                       \
  } while (0)

static double Now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// Warnings and worse, as NCCL shows them.
static void Log(int level, unsigned long flags, const char* file, int line, const char* format, ...) {
  (void)flags, (void)file, (void)line;
  if (level > 2) return;
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
}

static int CountEntries(const char* folder) {
  DIR* d = opendir(folder);
  CHECK(d != NULL);
  int count = 0;
  for (struct dirent* e; (e = readdir(d)) != NULL;) count += e->d_name[0] != '.';
  closedir(d);
  return count;
}

static int ThreadCount(void) { return CountEntries("/proc/self/task"); }
static int FdCount(void) { return CountEntries("/proc/self/fd"); }

// A process that ended and was left to whoever reaps: a container's first process may be a program that does not.
static void CheckNoZombie(void) {
  int status;
  pid_t pid = waitpid(-1, &status, WNOHANG);
  if (pid > 0) fprintf(stderr, "net_guest: process %d was left behind, ended\n", (int)pid);
  CHECK(pid <= 0);
}

static void* Init(void) {
  void* context = NULL;
  CHECK(net->init(&context, 1, NULL, Log, NULL) == 0 && context != NULL);
  return context;
}

// Not yet, again: as NCCL's proxy thread does. An error ends the program.
static int Finish(void* request, double* seconds) {
  double start = Now();
  int done = 0, size = -1, result = 0;
  while (result == 0 && !done && Now() < start + kPatience) result = net->test(request, &done, &size);
  if (seconds != NULL) *seconds = Now() - start;
  if (result != 0) return -result;
  CHECK(done);
  return size;
}

// Resident memory in pages.
static long MemoryPages(void) {
  long pages = 0;
  FILE* f = fopen("/proc/self/statm", "r");
  CHECK(f != NULL && fscanf(f, "%*d %ld", &pages) == 1 && fclose(f) == 0);
  return pages;
}

static void* Listen(void* context, void* handle, void** listener) {
  memset(handle, 0, kHandle);
  CHECK(net->listen(context, 0, handle, listener) == 0 && *listener != NULL);
  return *listener;
}

static void* IRecv(void* comm, void* data, size_t size, void* region) {
  void* request = NULL;
  int tag = 0;
  while (request == NULL) CHECK(net->irecv(comm, 1, &data, &size, &tag, &region, NULL, &request) == 0);
  return request;
}

static void* ISend(void* comm, void* data, size_t size, void* region) {
  void* request = NULL;
  while (request == NULL) CHECK(net->isend(comm, data, size, 0, region, NULL, &request) == 0);
  return request;
}

static void ExchangeWithMyself(void* sender, void* receiver, size_t size) {
  char *out = malloc(size + 1), *in = malloc(size + 1);
  void *out_region, *in_region;
  for (size_t i = 0; i < size; ++i) out[i] = (char)(i * 31 + size);
  CHECK(net->reg_mr(sender, out, size, kHost, &out_region) == 0);
  CHECK(net->reg_mr(receiver, in, size, kHost, &in_region) == 0);
  void* sending = ISend(sender, out, size, out_region);
  void* receiving = IRecv(receiver, in, size, in_region);
  int sent = 0, received = 0, got = -1;
  for (double end = Now() + kPatience; !(sent && received) && Now() < end;) {
    if (!received) CHECK(net->test(receiving, &received, &got) == 0);
    if (!sent) CHECK(net->test(sending, &sent, NULL) == 0);
  }
  CHECK(sent && received && got == (int)size && memcmp(in, out, size) == 0);
  CHECK(net->dereg_mr(sender, out_region) == 0 && net->dereg_mr(receiver, in_region) == 0);
  free(out);
  free(in);
}

static void ConnectToMyself(void* context, void** sender, void** receiver) {
  char handle[kHandle];
  void* listener;
  Listen(context, handle, &listener);
  *sender = *receiver = NULL;
  for (double end = Now() + kPatience; (*sender == NULL || *receiver == NULL) && Now() < end;) {
    if (*sender == NULL) CHECK(net->connect(context, 0, handle, sender, NULL) == 0);
    if (*receiver == NULL) CHECK(net->accept(listener, receiver, NULL) == 0);
  }
  CHECK(*sender != NULL && *receiver != NULL);
  CHECK(net->close_listen(listener) == 0);
}

// What NCCL does when it aborts: the registration goes first, then the memory, the comm last.
static void Abort(void) {
  enum { kSize = 64 << 20 };
  void *context = Init(), *sender, *receiver, *out_region, *in_region;
  ConnectToMyself(context, &sender, &receiver);
  char *out = calloc(1, kSize), *in = malloc(kSize);
  memset(in, 0x11, kSize);
  CHECK(net->reg_mr(sender, out, kSize, kHost, &out_region) == 0);
  CHECK(net->reg_mr(receiver, in, kSize, kHost, &in_region) == 0);
  void* receiving = IRecv(receiver, in, kSize, in_region);
  void* sending = ISend(sender, out, kSize, out_region);
  int done = 0, size = 0;
  for (double end = Now() + kPatience; in[0] != 0 && Now() < end;) {
    CHECK(net->test(sending, &done, NULL) == 0 && net->test(receiving, &done, &size) == 0);
  }
  CHECK(in[0] == 0 && !done);
  CHECK(net->dereg_mr(receiver, in_region) == 0);
  memset(in, 0x22, kSize);
  int result = 0;  // the sender learns it, and what it had sent by then goes nowhere
  for (double end = Now() + kPatience; result == 0 && Now() < end;) result = net->test(sending, &done, NULL);
  CHECK(result != 0);
  for (int i = 0; i < kSize; ++i) CHECK(in[i] == 0x22);
  CHECK(net->test(receiving, &done, &size) != 0);
  CHECK(net->dereg_mr(sender, out_region) == 0);
  free(out);
  free(in);
  CHECK(net->close_send(sender) == 0 && net->close_recv(receiver) == 0 && net->finalize(context) == 0);
}

static void Self(void) {
  void *context = Init(), *sender, *receiver;
  ConnectToMyself(context, &sender, &receiver);
  const size_t sizes[] = {0, 1, 16384, 16385, 5000000};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) ExchangeWithMyself(sender, receiver, sizes[i]);
  CHECK(net->close_send(sender) == 0 && net->close_recv(receiver) == 0);
  CHECK(net->finalize(context) == 0);
}

static void Hold(void) {
  void *sender, *receiver;
  ConnectToMyself(Init(), &sender, &receiver);
  ExchangeWithMyself(sender, receiver, 100000);
  for (;;) pause();
}

static void Communicator(void) {
  void *context = Init(), *sender, *receiver;
  ConnectToMyself(context, &sender, &receiver);
  ExchangeWithMyself(sender, receiver, 100000);
  CHECK(net->close_send(sender) == 0 && net->close_recv(receiver) == 0);
  CHECK(net->finalize(context) == 0);
}

// Without contexts: what is closed leaves nothing, and another connection can follow.
static void Shared(const NetV8* v8) {
  char handle[kHandle];
  void *listener = NULL, *sender = NULL, *receiver = NULL;
  memset(handle, 0, kHandle);
  CHECK(v8->listen(0, handle, &listener) == 0 && listener != NULL);
  for (double end = Now() + kPatience; (sender == NULL || receiver == NULL) && Now() < end;) {
    if (sender == NULL) CHECK(v8->connect(0, handle, &sender, NULL) == 0);
    if (receiver == NULL) CHECK(net->accept(listener, &receiver, NULL) == 0);  // from here on v8 calls the same
  }
  CHECK(sender != NULL && receiver != NULL && net->close_listen(listener) == 0);
  ExchangeWithMyself(sender, receiver, 100000);
  CHECK(net->close_send(sender) == 0 && net->close_recv(receiver) == 0);
}

// Runs `round` N times. After a tenth of them nothing may grow any more.
static void Flat(int times, void (*round)(void)) {
  int threads = 0, fds = 0;
  long pages = 0;
  for (int i = 0; i < times; ++i) {
    round();
    if (i != times / 10) continue;
    threads = ThreadCount(), fds = FdCount(), pages = MemoryPages();
  }
  long grown = (MemoryPages() - pages) * (sysconf(_SC_PAGESIZE) / 1024);
  printf("%d rounds: %+d threads, %+d descriptors, %+ld KiB\n", times, ThreadCount() - threads, FdCount() - fds, grown);
  CHECK(ThreadCount() == threads && FdCount() == fds && grown < 1024);
}

static const NetV8* v8;
static void SharedRound(void) { Shared(v8); }

// A child of a process that uses the plugin: it is told so, may close what it likes, and holds no descriptor of it.
static void UseInChild(void* context, void* sender, void* receiver, int fds) {
  char handle[kHandle], data[8];
  void *listener = NULL, *request = NULL, *region = NULL, *other = NULL;
  CHECK(FdCount() == fds);
  CHECK(net->listen(context, 0, handle, &listener) != 0 && listener == NULL);
  CHECK(net->reg_mr(sender, data, sizeof data, kHost, &region) != 0);
  CHECK(net->isend(sender, data, sizeof data, 0, NULL, NULL, &request) != 0 && request == NULL);
  CHECK(net->init(&other, 1, NULL, Log, NULL) != 0);
  CHECK(net->close_send(sender) == 0 && net->close_recv(receiver) == 0 && net->finalize(context) == 0);
}

static void Child(void) {
  int fds = FdCount(), status = -1;
  void *context = Init(), *sender, *receiver;
  ConnectToMyself(context, &sender, &receiver);
  pid_t pid = fork();
  if (pid == 0) {
    alarm(10);
    UseInChild(context, sender, receiver, fds);
    exit(0);
  }
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  ExchangeWithMyself(sender, receiver, 5000000);
  CHECK(net->close_send(sender) == 0 && net->close_recv(receiver) == 0 && net->finalize(context) == 0);
  // Nothing of it is alive now: a child may begin anew.
  if ((pid = fork()) == 0) {
    alarm(30);
    Communicator();
    exit(0);
  }
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void Fail(void) {
  void* context = NULL;
  CHECK(net->init(&context, 1, NULL, Log, NULL) != 0 && context == NULL);
  CHECK(net->finalize(NULL) == 0);
}

// Tells the other process by a file beside the handle's.
static void Touch(const char* file, const char* what) {
  char name[4096];
  snprintf(name, sizeof name, "%s.%s", file, what);
  FILE* f = fopen(name, "w");
  CHECK(f != NULL && fclose(f) == 0);
}

// Offers a handle in the file, and takes whoever comes.
static void* AcceptOne(void* context, const char* file) {
  char handle[kHandle], name[4096];
  void *listener, *comm = NULL;
  Listen(context, handle, &listener);
  snprintf(name, sizeof name, "%s.new", file);
  FILE* f = fopen(name, "w");
  CHECK(f != NULL && fwrite(handle, kHandle, 1, f) == 1 && fclose(f) == 0 && rename(name, file) == 0);
  for (double end = Now() + kPatience; comm == NULL && Now() < end;) CHECK(net->accept(listener, &comm, NULL) == 0);
  CHECK(comm != NULL && net->close_listen(listener) == 0);
  return comm;
}

static void Receive(const char* file, const char* command) {
  char data[64];
  void *context = Init(), *comm = AcceptOne(context, file);
  void* request = IRecv(comm, data, sizeof data, NULL);
  CHECK(system(command) == 0);
  Touch(file, "cut");
  CHECK(Finish(request, NULL) == (int)sizeof data);
  printf("received\n");
  fflush(stdout);
  CHECK(net->close_recv(comm) == 0 && net->finalize(context) == 0);
}

static void Await(const char* file) {
  char data[64];
  void *context = Init(), *comm = AcceptOne(context, file);
  CHECK(Finish(IRecv(comm, data, sizeof data, NULL), NULL) == (int)sizeof data);
  printf("received\n");
  fflush(stdout);
  void* waiting = IRecv(comm, data, sizeof data, NULL);
  Touch(file, "waiting");
  double seconds;
  int size = Finish(waiting, &seconds);
  printf("%s after %.2f s\n", size >= 0 ? "received" : "error", seconds);
  fflush(stdout);
  CHECK(size < 0 && net->close_recv(comm) == 0 && net->finalize(context) == 0);
}

static void AwaitFile(const char* name) {
  for (double end = Now() + kPatience; access(name, R_OK) != 0; usleep(1000)) CHECK(Now() < end);
}

static void* ConnectTo(void* context, const char* file) {
  char handle[kHandle];
  void* comm = NULL;
  AwaitFile(file);
  FILE* f = fopen(file, "r");
  CHECK(f != NULL && fread(handle, kHandle, 1, f) == 1 && fclose(f) == 0);
  for (double end = Now() + kPatience; comm == NULL && Now() < end;)
    CHECK(net->connect(context, 0, handle, &comm, NULL) == 0);
  CHECK(comm != NULL);
  return comm;
}

static void Send(const char* file) {
  char name[4096], data[64] = {0};
  void *context = Init(), *comm = ConnectTo(context, file);
  snprintf(name, sizeof name, "%s.cut", file);
  AwaitFile(name);
  double seconds;
  int size = Finish(ISend(comm, data, sizeof data, NULL), &seconds);
  printf("%s after %.2f s\n", size >= 0 ? "sent" : "error", seconds);
  fflush(stdout);
  CHECK(net->close_send(comm) == 0 && net->finalize(context) == 0);
  if (size < 0) exit(3);
}

// A data loader's worker, forked from a rank, is alive when its rank has died.
static void Outlive(const char* file) {
  char data[64] = {0};
  void* comm = ConnectTo(Init(), file);
  CHECK(Finish(ISend(comm, data, sizeof data, NULL), NULL) == (int)sizeof data);
  if (fork() == 0) {
    sleep(30);
    _exit(0);
  }
  char waiting[4096];
  snprintf(waiting, sizeof waiting, "%s.waiting", file);
  AwaitFile(waiting);  // for the next message
  kill(getpid(), SIGKILL);
}

int main(int argc, char** argv) {
  CHECK(argc >= 3);
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) fprintf(stderr, "%s\n", dlerror());
  CHECK(library != NULL);
  net = dlsym(library, "ncclNetPlugin_v11");
  CHECK(net != NULL);
  const char* mode = argv[2];
  if (strcmp(mode, "name") == 0) return puts(net->name) < 0;
  v8 = dlsym(library, "ncclNetPlugin_v8");
  // Whatever the plugin leaves behind becomes this process's child.
  CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
  int times = argc > 3 ? atoi(argv[3]) : 1, threads = ThreadCount(), fds = FdCount();
  if (strcmp(mode, "self") == 0) Self();
  if (strcmp(mode, "hold") == 0) Hold();
  if (strcmp(mode, "abort") == 0) Abort();
  if (strcmp(mode, "send") == 0) Send(argv[3]);
  if (strcmp(mode, "receive") == 0) Receive(argv[3], argv[4]);
  if (strcmp(mode, "await") == 0) Await(argv[3]);
  if (strcmp(mode, "outlive") == 0) Outlive(argv[3]);
  if (strcmp(mode, "child") == 0) Child();
  if (strcmp(mode, "comms") == 0) Flat(times, Communicator);
  if (strcmp(mode, "shared") == 0) {
    CHECK(v8 != NULL && v8->init(Log) == 0);
    Flat(times, SharedRound);
    return 0;  // its thread and its line to the agent live as long as the process
  }
  for (int i = 0; i < times && strcmp(mode, "reload") == 0; ++i) {
    Communicator();
    CHECK(dlclose(library) == 0 && (library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL)) != NULL);
    CHECK((net = dlsym(library, "ncclNetPlugin_v11")) != NULL);
  }
  for (int i = 0; i < times && strcmp(mode, "rounds") == 0; ++i) CHECK(net->finalize(Init()) == 0);
  for (int i = 0; i < times && strcmp(mode, "failing") == 0; ++i) Fail();
  if (ThreadCount() != threads || FdCount() != fds)
    fprintf(stderr, "net_guest: %d threads, %d before; %d descriptors, %d before\n", ThreadCount(), threads, FdCount(),
            fds);
  CHECK(ThreadCount() == threads && FdCount() == fds);
  CheckNoZombie();
  return 0;
}
