"""The far end of a tunnel as a plain socket, and known frames: what a peer puts on the wire, byte by byte."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

from peers import reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from peers.net import Namespace

# IEEE's ethertype for local experiments: no stack answers it.
ETHERTYPE = 0x88B5
COUNT = 32
# Loopback addresses of the peer and of the collecting socket.
LOCAL_V4, LOCAL_V6 = ("127.0.0.1", "127.0.0.2"), ("fd88::1", "fd88::2")


def frame(number: int) -> bytes:
    """A frame of 64 octets that tells its number; both addresses are locally administered."""
    head = bytes.fromhex("02000000000202000000000188b5") + number.to_bytes(4, "big")
    return head + bytes(range(64 - len(head)))


def prepare(namespace: Namespace) -> None:
    """Gives the loopback of a namespace the two IPv6 addresses; the IPv4 addresses are there."""
    namespace.ip(*(f"addr add {address}/128 dev lo nodad" for address in LOCAL_V6))


@contextlib.contextmanager
def listening(namespace: Namespace, spec: str) -> Iterator[socket.socket]:
    """The socket at the end of a tunnel that `spec` describes, opened inside the namespace."""
    options = reference.parse(spec)
    with namespace.enter():
        tunnel = {"gre": reference.gre, "l2tpv3": reference.l2tpv3}[options["transport"]](options)
    with tunnel.socket as listener:
        listener.setblocking(True)
        listener.settimeout(5)
        yield listener


def receive(listener: socket.socket, count: int) -> list[bytes]:
    """The payloads of the next packets that carry one of our frames, the IPv4 header of raw ones taken off.

    Raises:
        TimeoutError: Fewer came within 5 seconds.
    """
    found: list[bytes] = []
    raw_v4 = listener.family == socket.AF_INET and listener.type == socket.SOCK_RAW
    while len(found) < count:
        packet = listener.recv(2048)
        payload = packet[(packet[0] & 15) * 4 :] if raw_v4 else packet
        if payload[-64:] in _KNOWN:
            found.append(payload)
    return found


def inject(namespace: Namespace, link: str, frames: Sequence[bytes]) -> None:
    """Sends frames out of a link of a namespace."""
    with namespace.enter(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as packet_socket:
        packet_socket.bind((link, 0))
        for each in frames:
            packet_socket.send(each)


def split(payload: bytes) -> dict[str, str]:
    """A payload as a golden vector holds it: what stands before the frame, and the frame, in hexadecimal."""
    return {"header": payload[:-64].hex(), "frame": payload[-64:].hex()}


def write(path: Path, about: str, cases: Sequence[dict[str, Any]]) -> None:
    """Writes golden vectors, one packet a line."""
    lines = [f'{{"about": {json.dumps(about)},', '"cases": [']
    for index, case in enumerate(cases):
        fields = [
            f"{json.dumps(key)}: {json.dumps(value)}" for key, value in case.items() if key != "packets"
        ]
        packets = ",\n".join(f"  {json.dumps(packet)}" for packet in case["packets"])
        end = "" if index == len(cases) - 1 else ","
        lines.append("{" + ",\n ".join([*fields, f'"packets": [\n{packets}]']) + "}" + end)
    path.write_text("\n".join([*lines, "]}"]) + "\n", encoding="ascii")


_KNOWN = {frame(number) for number in range(COUNT)}
