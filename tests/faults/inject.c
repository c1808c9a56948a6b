/* Has calls of libc fail, one of them at a time, as a page of memory shared with a test says.
 *
 * LD_PRELOAD puts this library in front of libc: what Python, its modules and the compiled path call is
 * counted here, and fails where the test wants that. tests/peers/faults.py builds it, and has the other end of
 * the page; the calls have their numbers by their order in CALLS. A test tool: no part of the product.
 *
 * What libc calls within itself is not seen here; close(2) always closes, as Linux does whatever it answers.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/capability.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define CALLS(X)                                                                                               \
    X(accept4) X(bind) X(capset) X(chmod) X(close) X(connect) X(epoll_create1) X(epoll_ctl) X(epoll_wait)      \
    X(eventfd) X(eventfd_read) X(eventfd_write) X(fchownat) X(fcntl64) X(flock) X(fstat64) X(ftruncate64)      \
    X(getaddrinfo) X(getpeername) X(getsockname) X(getsockopt) X(if_nametoindex) X(inotify_add_watch)          \
    X(inotify_init1) X(inotify_rm_watch) X(ioctl) X(listen) X(lstat64) X(malloc) X(mkdir) X(mmap64)            \
    X(open64) X(poll) X(prctl) X(pthread_create) X(read) X(readv) X(recv) X(recvfrom) X(recvmmsg) X(recvmsg)   \
    X(sched_getaffinity) X(sched_setaffinity) X(send) X(sendmmsg) X(sendmsg) X(sendto) X(setns) X(setsockopt)  \
    X(shutdown) X(socket) X(socketpair) X(stat64) X(timerfd_create) X(timerfd_settime) X(unlink) X(write)      \
    X(writev)

enum call {
#define NUMBER(name) CALL_##name,
    CALLS(NUMBER) CALL_COUNT
};

enum memory { LEAVE_MEMORY, OURS, EVERYBODYS };

struct page {
    int32_t on;       /* whether anything is counted */
    int32_t call;     /* which call fails, or -1 */
    int32_t error;    /* with what */
    int32_t thread;   /* whose calls: 0 all threads', -N all but N's */
    int32_t memory;   /* whose allocations: enum memory */
    int32_t unused;
    int64_t skip;     /* so many calls succeed */
    int64_t times;    /* then so many fail */
    int64_t fired;    /* so many did */
    int64_t realtime; /* nanoseconds by which CLOCK_REALTIME is off */
    int64_t counts[CALL_COUNT];
};

static struct page *page;
static void *found[CALL_COUNT];

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("VECWIRE_FAULTS");
    if (path == NULL)
        return;
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        abort();
    void *memory = (void *)syscall(SYS_mmap, NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (memory == MAP_FAILED)
        abort();
    page = memory;
}

static int fails(enum call call)
{
    if (page == NULL || !page->on)
        return 0;
    if (page->thread != 0) {
        int self = syscall(SYS_gettid);
        if (page->thread > 0 ? self != page->thread : self == -page->thread)
            return 0;
    }
    int64_t number = __atomic_fetch_add(&page->counts[call], 1, __ATOMIC_RELAXED);
    if ((int)call != page->call || number < page->skip || number >= page->skip + page->times)
        return 0;
    __atomic_fetch_add(&page->fired, 1, __ATOMIC_RELAXED);
    errno = page->error;
    return 1;
}

static void *real(enum call call, const char *name)
{
    if (found[call] == NULL)
        found[call] = dlsym(RTLD_NEXT, name);
    return found[call];
}

#define REAL(name) ((__typeof__(&name))real(CALL_##name, #name))
#define WRAP(type, name, failure, parameters, arguments)                                                       \
    type name parameters                                                                                       \
    {                                                                                                          \
        if (fails(CALL_##name))                                                                                \
            return failure;                                                                                    \
        return REAL(name) arguments;                                                                           \
    }

/* Sockets. */
WRAP(int, socket, -1, (int family, int kind, int protocol), (family, kind, protocol))
WRAP(int, socketpair, -1, (int family, int kind, int protocol, int pair[2]), (family, kind, protocol, pair))
WRAP(int, bind, -1, (int fd, __CONST_SOCKADDR_ARG address, socklen_t size), (fd, address, size))
WRAP(int, connect, -1, (int fd, __CONST_SOCKADDR_ARG address, socklen_t size), (fd, address, size))
WRAP(int, listen, -1, (int fd, int backlog), (fd, backlog))
WRAP(int, accept4, -1, (int fd, __SOCKADDR_ARG address, socklen_t *size, int flags), (fd, address, size, flags))
WRAP(int, getsockname, -1, (int fd, __SOCKADDR_ARG address, socklen_t *size), (fd, address, size))
WRAP(int, getpeername, -1, (int fd, __SOCKADDR_ARG address, socklen_t *size), (fd, address, size))
WRAP(int, getsockopt, -1, (int fd, int level, int name, void *value, socklen_t *size), (fd, level, name, value, size))
WRAP(int, setsockopt, -1, (int fd, int level, int name, const void *value, socklen_t size),
     (fd, level, name, value, size))
WRAP(int, shutdown, -1, (int fd, int how), (fd, how))
WRAP(ssize_t, send, -1, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags))
WRAP(ssize_t, sendto, -1,
     (int fd, const void *data, size_t size, int flags, __CONST_SOCKADDR_ARG address, socklen_t length),
     (fd, data, size, flags, address, length))
WRAP(ssize_t, sendmsg, -1, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
WRAP(int, sendmmsg, -1, (int fd, struct mmsghdr *messages, unsigned count, int flags), (fd, messages, count, flags))
WRAP(ssize_t, recv, -1, (int fd, void *data, size_t size, int flags), (fd, data, size, flags))
WRAP(ssize_t, recvfrom, -1,
     (int fd, void *data, size_t size, int flags, __SOCKADDR_ARG address, socklen_t *length),
     (fd, data, size, flags, address, length))
WRAP(ssize_t, recvmsg, -1, (int fd, struct msghdr *message, int flags), (fd, message, flags))
WRAP(int, recvmmsg, -1, (int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout),
     (fd, messages, count, flags, timeout))
WRAP(unsigned, if_nametoindex, 0, (const char *name), (name))
/* It returns what went wrong itself. */
WRAP(int, getaddrinfo, page->error,
     (const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **result),
     (host, service, hints, result))

/* Descriptors and files. */
WRAP(ssize_t, read, -1, (int fd, void *data, size_t size), (fd, data, size))
WRAP(ssize_t, readv, -1, (int fd, const struct iovec *vectors, int count), (fd, vectors, count))
WRAP(ssize_t, write, -1, (int fd, const void *data, size_t size), (fd, data, size))
WRAP(ssize_t, writev, -1, (int fd, const struct iovec *vectors, int count), (fd, vectors, count))
WRAP(int, ftruncate64, -1, (int fd, off64_t size), (fd, size))
WRAP(int, flock, -1, (int fd, int operation), (fd, operation))
WRAP(int, fstat64, -1, (int fd, struct stat64 *result), (fd, result))
WRAP(int, stat64, -1, (const char *path, struct stat64 *result), (path, result))
WRAP(int, lstat64, -1, (const char *path, struct stat64 *result), (path, result))
WRAP(int, unlink, -1, (const char *path), (path))
WRAP(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
WRAP(int, chmod, -1, (const char *path, mode_t mode), (path, mode))
WRAP(int, fchownat, -1, (int folder, const char *path, uid_t user, gid_t group, int flags),
     (folder, path, user, group, flags))
WRAP(int, poll, -1, (struct pollfd *fds, nfds_t count, int timeout), (fds, count, timeout))
WRAP(int, epoll_create1, -1, (int flags), (flags))
WRAP(int, epoll_ctl, -1, (int set, int operation, int fd, struct epoll_event *event), (set, operation, fd, event))
WRAP(int, epoll_wait, -1, (int set, struct epoll_event *events, int most, int timeout), (set, events, most, timeout))
WRAP(int, eventfd, -1, (unsigned count, int flags), (count, flags))
WRAP(int, eventfd_read, -1, (int fd, eventfd_t *value), (fd, value))
WRAP(int, eventfd_write, -1, (int fd, eventfd_t value), (fd, value))
WRAP(int, timerfd_create, -1, (int clock, int flags), (clock, flags))
WRAP(int, timerfd_settime, -1, (int fd, int flags, const struct itimerspec *value, struct itimerspec *before),
     (fd, flags, value, before))
WRAP(int, inotify_init1, -1, (int flags), (flags))
WRAP(int, inotify_add_watch, -1, (int fd, const char *path, uint32_t mask), (fd, path, mask))
WRAP(int, inotify_rm_watch, -1, (int fd, int watch), (fd, watch))

int close(int fd)
{
    int failing = fails(CALL_close), error = errno, result = REAL(close)(fd);
    if (!failing)
        return result;
    errno = error;
    return -1;
}

#define TAKE(type, value, last)                                                                                \
    va_list arguments;                                                                                         \
    va_start(arguments, last);                                                                                 \
    type value = va_arg(arguments, type);                                                                      \
    va_end(arguments)

int ioctl(int fd, unsigned long request, ...)
{
    TAKE(void *, argument, request);
    return fails(CALL_ioctl) ? -1 : REAL(ioctl)(fd, request, argument);
}

int fcntl64(int fd, int command, ...)
{
    TAKE(void *, argument, command);
    return fails(CALL_fcntl64) ? -1 : REAL(fcntl64)(fd, command, argument);
}

int open64(const char *path, int flags, ...)
{
    TAKE(int, mode, flags);
    return fails(CALL_open64) ? -1 : REAL(open64)(path, flags, mode);
}

/* Processes, threads and memory. */
WRAP(int, setns, -1, (int fd, int kind), (fd, kind))
WRAP(int, sched_getaffinity, -1, (pid_t pid, size_t size, cpu_set_t *set), (pid, size, set))
WRAP(int, sched_setaffinity, -1, (pid_t pid, size_t size, const cpu_set_t *set), (pid, size, set))
WRAP(int, capset, -1, (cap_user_header_t header, const cap_user_data_t data), (header, data))
WRAP(void *, mmap64, MAP_FAILED, (void *at, size_t size, int protection, int flags, int fd, off64_t offset),
     (at, size, protection, flags, fd, offset))
/* It returns what went wrong itself. */
WRAP(int, pthread_create, page->error,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument),
     (thread, attributes, run, argument))

int prctl(int option, ...)
{
    va_list arguments;
    va_start(arguments, option);
    unsigned long words[4];
    for (int i = 0; i < 4; i++)
        words[i] = va_arg(arguments, unsigned long);
    va_end(arguments);
    return fails(CALL_prctl) ? -1 : REAL(prctl)(option, words[0], words[1], words[2], words[3]);
}

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

/* Whether an allocation fails, for whom it is meant: by the object that the caller's code is in. A sanitizer's
   malloc is used instead of the ones below, and asks this (tools/asan.py). */
int vecwire_refuses_memory(void *caller)
{
    Dl_info about;
    if (page == NULL || !page->on || page->memory == LEAVE_MEMORY)
        return 0;
    if (page->memory == OURS && (!dladdr(caller, &about) || strstr(about.dli_fname, "/vecwire/") == NULL))
        return 0;
    return fails(CALL_malloc);
}

void *malloc(size_t size)
{
    return vecwire_refuses_memory(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return vecwire_refuses_memory(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return vecwire_refuses_memory(__builtin_return_address(0)) ? NULL : __libc_realloc(memory, size);
}

/* The clock that jumps. */
static int (*read_clock)(clockid_t, struct timespec *);

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (read_clock == NULL)
        read_clock = dlsym(RTLD_NEXT, "clock_gettime");
    int result = read_clock(clock, time);
    if (result == 0 && page != NULL && page->realtime && clock == CLOCK_REALTIME) {
        int64_t moment = time->tv_sec * 1000000000LL + time->tv_nsec + page->realtime;
        time->tv_sec = moment / 1000000000LL;
        time->tv_nsec = moment % 1000000000LL;
    }
    return result;
}

time_t time(time_t *result)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result != NULL)
        *result = now.tv_sec;
    return now.tv_sec;
}
