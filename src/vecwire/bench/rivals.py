"""How frames are forwarded in Python without vecwire. Run as a file: ``rivals.py plain|scapy IF IF``.

It imports nothing of vecwire, so that its memory and its start are those of what it shows.
"""

import importlib.util
import select
import socket
import sys
from typing import NoReturn

SOL_PACKET = 263
PACKET_QDISC_BYPASS = 20
PACKET_IGNORE_OUTGOING = 23
SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33
ETH_P_ALL = 3
BUFFER = 4 * 1024 * 1024


def importable(module: str) -> bool:
    """Whether a module is there; an empty name asks for nothing."""
    return not module or importlib.util.find_spec(module) is not None


def plain(first: str, second: str) -> NoReturn:
    """Two packet sockets, select, recv_into and send: a call for each frame, and no copy in Python."""
    made = []
    for name in (first, second):
        each = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        each.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        each.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        each.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        each.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER)
        each.setblocking(False)
        each.bind((name, ETH_P_ALL))
        made.append(each)
    ways = {made[0].fileno(): (made[0], made[1]), made[1].fileno(): (made[1], made[0])}
    watch = select.epoll()
    for descriptor in ways:
        watch.register(descriptor, select.EPOLLIN)
    memory = bytearray(2048)
    view = memoryview(memory)
    print("ready", flush=True)  # noqa: T201 # it is a program
    while True:
        for descriptor, _ in watch.poll():
            receive, send = ways[descriptor][0].recv_into, ways[descriptor][1].send
            try:
                for _ in range(64):
                    send(view[: receive(memory)])
            except OSError:  # none are waiting, or the kernel does not take one
                continue


def with_scapy(first: str, second: str) -> None:
    """The bridge that comes with scapy."""
    from scapy.all import bridge_and_sniff  # noqa: PLC0415 # this alone needs it

    print("ready", flush=True)  # noqa: T201
    bridge_and_sniff(first, second)


if __name__ == "__main__":
    {"plain": plain, "scapy": with_scapy}[sys.argv[1]](sys.argv[2], sys.argv[3])
