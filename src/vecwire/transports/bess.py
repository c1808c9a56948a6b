"""bess: frames as records of a SOCK_SEQPACKET Unix socket, as BESS's UnixSocketPort has them.

``dst`` connects to a server: BESS itself, slirp4netns, gvproxy. ``listen`` serves one client at a time, such
as UML, and the next one after it has gone. A path that begins with ``@`` is an abstract name.
"""

import contextlib
import errno
import os
import socket
import stat
from functools import partial

from vecwire import bpf
from vecwire.spec import BessSpec
from vecwire.transports._descriptor import Descriptor, Entry, Opening
from vecwire.transports._opened import Opened
from vecwire.transports._passed import LOST, Wrong, connected, hung_up, take_socket, view
from vecwire.transports._refusal import refusal
from vecwire.transports._sockets import enlarge_buffers

WHAT = "a Unix socket"
NOBODY = "nobody listens there: start the server first, or serve with listen="
REMEDIES = {
    errno.ENOENT: NOBODY,
    errno.ECONNREFUSED: NOBODY,
    errno.EAGAIN: "the server has clients waiting already: end one of them, or try again",
}


def address_of(path: str) -> str | bytes:
    """The socket address of a path, or of an abstract name, without a trailing NUL (unix(7))."""
    return b"\0" + path[1:].encode() if path.startswith("@") else path


def open_bess(spec: BessSpec) -> Opened:
    """Connects to the server at ``dst``, or serves at ``listen``, or takes a socket that does either.

    Raises:
        SpecError: if a descriptor that was passed in is not such a socket.
        PortError: if the path is taken, or nobody listens there.
    """
    with Opening() as made:
        opened = Opened(seqpacket=True)
        if spec.fd is not None:
            _take(made, spec.fd, opened)
            made.complete()
            return opened
        made_socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with made_socket:
            enlarge_buffers(made_socket, opened)
            if spec.listen is not None:
                _serve(made, made_socket, spec.listen, opened)
                opened.listener = made.descriptor(partial(os.dup, made_socket.fileno()), "listening socket")
            elif spec.dst is not None:
                _connect(made, made_socket, spec.dst, spec.src, opened)
                opened.rx = opened.tx = made.descriptor(
                    partial(os.dup, made_socket.fileno()), "connected socket"
                )
        made.complete()
    return opened


def accept(listener: Descriptor, opened: Opened) -> bool:
    """Takes the next client, if one is waiting.

    Raises:
        PortError: if there are no descriptors left.
    """
    try:
        with bpf.as_socket(listener.fileno()) as server:
            client, _ = server.accept()
    except (BlockingIOError, ConnectionError):
        return False
    except OSError as error:
        raise refusal(error, "take the next client", WHAT) from error
    with client, Opening() as made:
        client.setblocking(False)
        enlarge_buffers(client, opened)
        opened.rx = opened.tx = made.descriptor(partial(os.dup, client.fileno()), "client's socket")
        made.complete()
    return True


def _take(made: Opening, given: int | str, opened: Opened) -> None:
    """Takes a socket that listens, or one that is connected."""
    wrong = Wrong("fd", given)
    descriptor = take_socket(made, wrong, "a SEQPACKET socket of Unix", socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with view(descriptor) as taken:
        listens = taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        enlarge_buffers(taken, opened)
    if listens:
        opened.listener = descriptor
    elif not connected(descriptor):
        raise wrong.error("neither listens nor is connected")
    elif hung_up(descriptor):
        raise wrong.error(f"was connected, and its peer is gone: {LOST}")
    else:
        opened.rx = opened.tx = descriptor


def _serve(made: Opening, server: socket.socket, path: str, opened: Opened) -> None:
    """Binds and listens; what a server that ended without cleaning up has left is taken over."""
    _bind(made, server, path, "listen", opened)
    server.setblocking(False)
    server.listen(1)


def _connect(made: Opening, client: socket.socket, dst: str, src: str | None, opened: Opened) -> None:
    """Connects, bound to ``src`` where that is given."""
    if src is not None:
        _bind(made, client, src, "src", opened)
    client.setblocking(False)
    try:
        client.connect(address_of(dst))
    except OSError as error:
        raise refusal(
            error, f"connect to dst={dst}", WHAT, remedy=REMEDIES.get(error.errno or 0, "")
        ) from error


def _bind(made: Opening, unbound: socket.socket, path: str, option: str, opened: Opened) -> None:
    """Binds to a path, which is unlinked at close, or to an abstract name."""
    entry = None
    try:
        if not path.startswith("@"):
            _remove_stale(path)
            entry = Entry(path)
            made.callback(entry.remove)
            opened.entries.append(entry)
        unbound.bind(address_of(path))
        if entry is not None:
            entry.made = True
            entry.recognize()
    except OSError as error:
        raise refusal(error, f"bind to {option}={path}", WHAT) from error


def _remove_stale(path: str) -> None:
    """Removes a socket that nobody has any more; anything else is left where it is.

    Whoever has it is not disturbed: a datagram socket is no client of a SEQPACKET one. The kernel looks for
    who is bound to the path first, in whatever network namespace, and then at the kind (unix(7): EPROTOTYPE).
    """
    with contextlib.suppress(FileNotFoundError):
        # Of a Path's, os.stat tells want of memory as a wrong type.
        if not stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)  # noqa: PTH108
            except OSError:
                # Somebody has it, or may have: binding will say so.
                return
