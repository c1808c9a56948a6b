"""Every declaration of C that the path uses, from Linux's and glibc's headers."""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from * nogil:
    void fence "__sync_synchronize"()
    unsigned int leading_zeros "__builtin_clzll"(unsigned long long value)

# What AddressSanitizer is told about memory that malloc knows nothing of; nothing at all in any other build.
cdef extern from * nogil:
    """
    #if defined(__SANITIZE_ADDRESS__)
    #define VECWIRE_ASAN
    #elif defined(__has_feature)
    #if __has_feature(address_sanitizer)
    #define VECWIRE_ASAN
    #endif
    #endif
    #ifdef VECWIRE_ASAN
    #include <sanitizer/asan_interface.h>
    #define VECWIRE_POISON(at, size) __asan_poison_memory_region(at, size)
    #define VECWIRE_UNPOISON(at, size) __asan_unpoison_memory_region(at, size)
    #else
    #define VECWIRE_POISON(at, size) ((void)(at), (void)(size))
    #define VECWIRE_UNPOISON(at, size) ((void)(at), (void)(size))
    #endif
    """
    void poison "VECWIRE_POISON"(const void* at, size_t size)
    void unpoison "VECWIRE_UNPOISON"(const void* at, size_t size)

cdef extern from "<errno.h>" nogil:
    int errno

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    enum:
        CLOCK_MONOTONIC
        CLOCK_REALTIME
        TIMER_ABSTIME
    int clock_gettime(int clock, timespec* now)
    int clock_nanosleep(int clock, int flags, const timespec* moment, timespec* left)

cdef extern from "<sys/prctl.h>" nogil:
    enum:
        PR_GET_TIMERSLACK
        PR_SET_TIMERSLACK
    int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    enum:
        POLLIN
        POLLOUT
        POLLRDHUP
    int poll(pollfd* watched, unsigned long count, int timeout)

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <sched.h>
    """
    ctypedef struct cpu_set_t:
        pass
    void CPU_ZERO(cpu_set_t* processors)
    void CPU_SET(int processor, cpu_set_t* processors)
    int CPU_ISSET(int processor, const cpu_set_t* processors)
    int CPU_COUNT(const cpu_set_t* processors)
    int sched_getaffinity(int thread, size_t size, cpu_set_t* processors)
    int sched_setaffinity(int thread, size_t size, const cpu_set_t* processors)
    int sched_getcpu()

cdef extern from "<sys/timerfd.h>" nogil:
    struct itimerspec:
        timespec it_interval
        timespec it_value
    enum:
        TFD_CLOEXEC
        TFD_NONBLOCK
        TFD_TIMER_ABSTIME
    int timerfd_create(int clock, int flags)
    int timerfd_settime(int fd, int flags, const itimerspec* new, itimerspec* old)

cdef extern from "<sys/mman.h>" nogil:
    enum:
        MAP_NORESERVE

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void* iov_base
        size_t iov_len
    ssize_t readv(int fd, const iovec* vector, int count)
    ssize_t writev(int fd, const iovec* vector, int count)

cdef extern from "<unistd.h>" nogil:
    ssize_t read(int fd, void* data, size_t size)

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <sys/socket.h>
    """
    struct msghdr:
        void* msg_name
        unsigned int msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        void* msg_control
        size_t msg_controllen
        int msg_flags
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    enum:
        MSG_DONTWAIT
        MSG_NOSIGNAL
        MSG_TRUNC
        SOL_SOCKET
        SCM_TIMESTAMPNS
    ctypedef unsigned int socklen_t
    int getsockopt(int fd, int level, int name, void* value, socklen_t* length)
    int recvmmsg(int fd, mmsghdr* messages, unsigned int count, int flags, timespec* timeout)
    int sendmmsg(int fd, mmsghdr* messages, unsigned int count, int flags)
    ssize_t recvmsg(int fd, msghdr* message, int flags)
    ssize_t sendmsg(int fd, const msghdr* message, int flags)
    cmsghdr* CMSG_FIRSTHDR(msghdr* message)
    cmsghdr* CMSG_NXTHDR(msghdr* message, cmsghdr* header)
    uint8_t* CMSG_DATA(cmsghdr* header)
    size_t CMSG_SPACE(size_t size)
    size_t CMSG_LEN(size_t size)

cdef extern from "<linux/sock_diag.h>" nogil:
    enum:
        SK_MEMINFO_DROPS

cdef extern from "<asm/socket.h>" nogil:
    enum:
        SO_MEMINFO

cdef extern from "<linux/if_packet.h>" nogil:
    struct tpacket_auxdata:
        uint32_t tp_status
        uint32_t tp_len
        uint32_t tp_snaplen
        uint16_t tp_mac
        uint16_t tp_net
        uint16_t tp_vlan_tci
        uint16_t tp_vlan_tpid
    struct tpacket_hdr_variant1:
        uint32_t tp_rxhash
        uint32_t tp_vlan_tci
        uint16_t tp_vlan_tpid
    struct tpacket3_hdr:
        uint32_t tp_next_offset
        uint32_t tp_sec
        uint32_t tp_nsec
        uint32_t tp_snaplen
        uint32_t tp_len
        uint32_t tp_status
        uint16_t tp_mac
        uint16_t tp_net
        tpacket_hdr_variant1 hv1
    struct tpacket_hdr_v1:
        uint32_t block_status
        uint32_t num_pkts
        uint32_t offset_to_first_pkt
    union tpacket_bd_header_u:
        tpacket_hdr_v1 bh1
    struct tpacket_block_desc:
        tpacket_bd_header_u hdr
    enum:
        PACKET_AUXDATA
        TP_STATUS_KERNEL
        TP_STATUS_USER
        TP_STATUS_VLAN_VALID
        TP_STATUS_VLAN_TPID_VALID

cdef extern from * nogil:
    """
    #ifndef SOL_PACKET
    #define SOL_PACKET 263
    #endif
    """
    enum:
        SOL_PACKET

cdef extern from * nogil:
    """
    #ifndef SOL_UDP
    #define SOL_UDP 17
    #endif
    #ifndef UDP_SEGMENT
    #define UDP_SEGMENT 103
    #endif
    #ifndef UDP_GRO
    #define UDP_GRO 104
    #endif
    """
    enum:
        SOL_UDP
        UDP_SEGMENT
        UDP_GRO

cdef extern from "<sys/epoll.h>" nogil:
    union epoll_data_t:
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    enum:
        EPOLL_CLOEXEC
        EPOLL_CTL_ADD
        EPOLL_CTL_MOD
        EPOLL_CTL_DEL
        EPOLLIN
        EPOLLOUT
        EPOLLERR
        EPOLLHUP
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int fd, epoll_event* event)
    int epoll_wait(int epoll, epoll_event* events, int count, int timeout)
