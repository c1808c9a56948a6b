"""What each call may fail with, as its manual page says: the errnos that the faults of tests are made of.

A row holds what the page itself lists; where the kind of descriptor adds to that, its own page is cited too.
The calls are those of ``tests/faults/inject.c``, by libc's names.
"""

from __future__ import annotations

import errno
import socket
from typing import NamedTuple


class Row(NamedTuple):
    """The numbers that a call may fail with, and the pages that say so."""

    errnos: tuple[int, ...]
    source: str


def _row(source: str, names: str) -> Row:
    return Row(tuple(getattr(errno, name) for name in names.split()), source)


_PATH = "EACCES ELOOP ENAMETOOLONG ENOENT ENOMEM ENOTDIR"
_SEND = (
    "EACCES EAGAIN EALREADY EBADF ECONNRESET EDESTADDRREQ EFAULT EINTR EINVAL EISCONN EMSGSIZE "
    "ENOBUFS ENOMEM ENOTCONN ENOTSOCK EOPNOTSUPP EPIPE EADDRNOTAVAIL ECONNREFUSED EHOSTDOWN EHOSTUNREACH "
    "ENETDOWN ENETUNREACH ENODEV ENOPROTOOPT ENXIO EPERM EPROTO EIO"
)
_SENT_BY = "send(2), ip(7), udp(7), packet(7), unix(7)"
_RECEIVE = (
    "EAGAIN EBADF ECONNREFUSED EFAULT EINTR EINVAL ENOMEM ENOTCONN ENOTSOCK ECONNRESET "
    "EHOSTUNREACH EMSGSIZE ENETDOWN ENETUNREACH ENOBUFS ENOPROTOOPT ENXIO EPROTO"
)
_RECEIVED_BY = "recv(2), ip(7), udp(7), packet(7), netlink(7)"

MANUAL: dict[str, Row] = {
    "accept4": _row(
        "accept(2)",
        "EAGAIN EBADF ECONNABORTED EFAULT EINTR EINVAL EMFILE ENFILE ENOBUFS ENOMEM ENOTSOCK EOPNOTSUPP "
        "EPERM EPROTO",
    ),
    "bind": _row(
        "bind(2), packet(7)",
        f"EADDRINUSE EADDRNOTAVAIL EBADF EFAULT EINVAL ENETDOWN ENODEV ENOTSOCK ENXIO EROFS {_PATH}",
    ),
    "capset": _row("capset(2)", "EFAULT EINVAL EPERM ESRCH"),
    "chmod": _row("chmod(2)", f"EBADF EFAULT EIO EPERM EROFS {_PATH}"),
    "close": _row("close(2)", "EBADF EDQUOT EINTR EIO ENOSPC"),
    "connect": _row(
        "connect(2), unix(7)",
        "EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EALREADY EBADF ECONNREFUSED EFAULT EINPROGRESS "
        "EINTR EISCONN ENETUNREACH ENOENT ENOTSOCK EPERM EPROTOTYPE ETIMEDOUT",
    ),
    "epoll_create1": _row("epoll_create(2)", "EINVAL EMFILE ENFILE ENOMEM"),
    "epoll_ctl": _row("epoll_ctl(2)", "EBADF EEXIST EINVAL ELOOP ENOENT ENOMEM ENOSPC EPERM"),
    "epoll_wait": _row("epoll_wait(2)", "EBADF EFAULT EINTR EINVAL"),
    "eventfd": _row("eventfd(2)", "EINVAL EMFILE ENFILE ENODEV ENOMEM"),
    "eventfd_read": _row("eventfd(2)", "EAGAIN EINVAL"),
    "eventfd_write": _row("eventfd(2)", "EAGAIN EINVAL"),
    "fchownat": _row("chown(2)", f"EBADF EFAULT EINVAL EIO EPERM EROFS {_PATH}"),
    "fcntl64": _row(
        "fcntl(2), dup(2)",
        "EACCES EAGAIN EBADF EBUSY EDEADLK EFAULT EINTR EINVAL EMFILE ENOLCK ENOTDIR EPERM",
    ),
    "flock": _row("flock(2)", "EAGAIN EBADF EINTR EINVAL ENOLCK"),
    "fstat64": _row("stat(2)", f"EBADF EFAULT EINVAL EOVERFLOW {_PATH}"),
    "ftruncate64": _row("truncate(2)", "EBADF EFBIG EINTR EINVAL EIO EPERM EROFS ETXTBSY"),
    "getaddrinfo": Row(
        tuple(
            getattr(socket, f"EAI_{name}")
            for name in [
                "ADDRFAMILY",
                "AGAIN",
                "BADFLAGS",
                "FAIL",
                "FAMILY",
                "MEMORY",
                "NODATA",
                "NONAME",
                "SERVICE",
                "SOCKTYPE",
            ]
        ),
        "getaddrinfo(3)",
    ),
    "getpeername": _row("getpeername(2)", "EBADF EFAULT EINVAL ENOBUFS ENOTCONN ENOTSOCK"),
    "getsockname": _row("getsockname(2)", "EBADF EFAULT EINVAL ENOBUFS ENOTSOCK"),
    "getsockopt": _row("getsockopt(2)", "EBADF EFAULT EINVAL ENOPROTOOPT ENOTSOCK"),
    "if_nametoindex": _row("if_nametoindex(3), socket(2), netdevice(7)", "EMFILE ENFILE ENODEV ENOMEM ENXIO"),
    "inotify_add_watch": _row(
        "inotify_add_watch(2)",
        "EACCES EBADF EEXIST EFAULT EINVAL ENAMETOOLONG ENOENT ENOMEM ENOSPC ENOTDIR",
    ),
    "inotify_init1": _row("inotify_init(2)", "EINVAL EMFILE ENFILE ENOMEM"),
    "inotify_rm_watch": _row("inotify_rm_watch(2)", "EBADF EINVAL"),
    "ioctl": _row(
        "ioctl(2), netdevice(7), Documentation/networking/tuntap.rst",
        "EBADF EBADFD EBUSY EFAULT EINVAL ENODEV ENOMEM ENOTTY EOPNOTSUPP EPERM",
    ),
    "listen": _row("listen(2)", "EADDRINUSE EBADF ENOTSOCK EOPNOTSUPP"),
    "lstat64": _row("stat(2)", f"EBADF EFAULT EINVAL EOVERFLOW {_PATH}"),
    "malloc": _row("malloc(3)", "ENOMEM"),
    "mkdir": _row("mkdir(2)", f"EBADF EDQUOT EEXIST EFAULT EINVAL EMLINK ENOSPC EPERM EROFS {_PATH}"),
    "mmap64": _row(
        "mmap(2)", "EACCES EAGAIN EBADF EEXIST EINVAL ENFILE ENODEV ENOMEM EOVERFLOW EPERM ETXTBSY"
    ),
    "open64": _row(
        "open(2)",
        "EAGAIN EBADF EBUSY EDQUOT EEXIST EFAULT EFBIG EINTR EINVAL EISDIR EMFILE ENFILE ENODEV ENOSPC ENXIO "
        f"EOPNOTSUPP EOVERFLOW EPERM EROFS ETXTBSY {_PATH}",
    ),
    "poll": _row("poll(2)", "EFAULT EINTR EINVAL ENOMEM"),
    "prctl": _row("prctl(2)", "EACCES EBADF EBUSY EFAULT EINVAL ENODEV ENXIO EOPNOTSUPP EPERM"),
    "pthread_create": _row("pthread_create(3)", "EAGAIN EINVAL EPERM"),
    "read": _row(
        "read(2), timerfd_create(2), drivers/net/tun.c",
        "EAGAIN EBADF EBADFD ECANCELED EFAULT EINTR EINVAL EIO EISDIR",
    ),
    "readv": _row("readv(2), drivers/net/tun.c", "EAGAIN EBADF EBADFD EFAULT EINTR EINVAL EIO EISDIR"),
    "recv": _row(_RECEIVED_BY, _RECEIVE),
    "recvfrom": _row(_RECEIVED_BY, _RECEIVE),
    "recvmmsg": _row(f"recvmmsg(2), {_RECEIVED_BY}", _RECEIVE),
    "recvmsg": _row(_RECEIVED_BY, _RECEIVE),
    "sched_getaffinity": _row("sched_setaffinity(2)", "EFAULT EINVAL EPERM ESRCH"),
    "sched_setaffinity": _row("sched_setaffinity(2)", "EFAULT EINVAL EPERM ESRCH"),
    "send": _row(_SENT_BY, _SEND),
    "sendmmsg": _row(f"sendmmsg(2), {_SENT_BY}", _SEND),
    "sendmsg": _row(_SENT_BY, _SEND),
    "sendto": _row(_SENT_BY, _SEND),
    "setns": _row("setns(2)", "EBADF EINVAL ENOMEM EPERM ESRCH"),
    "setsockopt": _row(
        "setsockopt(2), socket(7), packet(7), udp(7)",
        "EBADF EBUSY EFAULT EINVAL ENODEV ENOMEM ENOPROTOOPT ENOTSOCK EPERM",
    ),
    "shutdown": _row("shutdown(2)", "EBADF EINVAL ENOTCONN ENOTSOCK"),
    "socket": _row(
        "socket(2), packet(7), raw(7)",
        "EACCES EAFNOSUPPORT EINVAL EMFILE ENFILE ENOBUFS ENOMEM EPERM EPROTONOSUPPORT",
    ),
    "socketpair": _row("socketpair(2)", "EAFNOSUPPORT EFAULT EMFILE ENFILE EOPNOTSUPP EPROTONOSUPPORT"),
    "stat64": _row("stat(2)", f"EBADF EFAULT EINVAL EOVERFLOW {_PATH}"),
    "timerfd_create": _row("timerfd_create(2)", "EINVAL EMFILE ENFILE ENODEV ENOMEM EPERM"),
    "timerfd_settime": _row("timerfd_create(2)", "EBADF ECANCELED EFAULT EINVAL"),
    "unlink": _row("unlink(2)", f"EBUSY EFAULT EIO EISDIR EPERM EROFS {_PATH}"),
    "write": _row(
        "write(2)", "EAGAIN EBADF EDESTADDRREQ EDQUOT EFAULT EFBIG EINTR EINVAL EIO ENOSPC EPERM EPIPE"
    ),
    "writev": _row(
        "writev(2), write(2), drivers/net/tun.c",
        "EAGAIN EBADF EBADFD EDESTADDRREQ EDQUOT EFAULT EFBIG EINTR EINVAL EIO ENOBUFS ENOMEM "
        "ENOSPC EPERM EPIPE",
    ),
}


def named(call: str, number: int) -> str:
    """An errno of a call by its name."""
    if call == "getaddrinfo":
        return next(name for name in dir(socket) if name[:4] == "EAI_" and getattr(socket, name) == number)
    return errno.errorcode[number]
