"""Captures what User Mode Linux puts before each frame into `uml.json`. Needs root.

python tests/vectors/capture_uml.py
"""

from __future__ import annotations

import contextlib
import shlex
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from peers import collect
from peers.net import Namespace
from peers.uml import Uml

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Path(__file__).with_name("uml.json")
COUNT = 8

_V4, _V6 = "src=127.0.0.{},dst=127.0.0.{}", "v6=1,src=fd88::{},dst=fd88::{}"
_UDP, _UDP_BACK = "udp=1,srcport=1701,dstport=1702", "udp=1,srcport=1702,dstport=1701"


def _gre(options: str, opposite: str, form: str = _V4) -> tuple[str, str]:
    return f"gre,{form.format(1, 2)}{options}", f"gre,{form.format(2, 1)}{opposite}"


def _l2tpv3(options: str, opposite: str, form: str = _V4) -> tuple[str, str]:
    return f"l2tpv3,{form.format(1, 2)},{options}", f"l2tpv3,{form.format(2, 1)},{opposite}"


_SESSIONS, _SESSIONS_BACK = "tx_session=0x1234,rx_session=0x5678", "tx_session=0x5678,rx_session=0x1234"
_COOKIES = "tx_cookie=0xdeadbeef,rx_cookie=0x1020304"
_COOKIES_BACK = "tx_cookie=0x1020304,rx_cookie=0xdeadbeef"
_LONG = "cookie64=1,tx_cookie=0x0123456789abcdef,rx_cookie=0xfedcba9876543210"
_LONG_BACK = "cookie64=1,tx_cookie=0xfedcba9876543210,rx_cookie=0x0123456789abcdef"
_PINNED = "counter=1,pin_counter=1"

# The name, UML's own string without `transport=`, and the spec opposite.
CASES: dict[str, tuple[str, str]] = {
    "gre": _gre("", ""),
    "gre-key": _gre(",tx_key=0x1234567,rx_key=10", ",tx_key=10,rx_key=0x1234567"),
    "gre-key-sequence": _gre(
        ",tx_key=0x1234567,rx_key=10,sequence=1", ",tx_key=10,rx_key=0x1234567,sequence=1"
    ),
    "gre-v6-pinned": _gre(",sequence=1,pin_sequence=1", ",sequence=1,pin_sequence=1", _V6),
    "l2tpv3-udp": _l2tpv3(f"{_UDP},{_SESSIONS}", f"{_UDP_BACK},{_SESSIONS_BACK}"),
    "l2tpv3-udp-cookie32-pinned": _l2tpv3(
        f"{_UDP},{_SESSIONS},{_COOKIES},{_PINNED}", f"{_UDP_BACK},{_SESSIONS_BACK},{_COOKIES_BACK},{_PINNED}"
    ),
    "l2tpv3-udp6-cookie64-counter": _l2tpv3(
        f"{_UDP},{_SESSIONS},{_LONG},counter=1", f"{_UDP_BACK},{_SESSIONS_BACK},{_LONG_BACK},counter=1", _V6
    ),
    "l2tpv3-ip-cookie32": _l2tpv3(f"{_SESSIONS},{_COOKIES}", f"{_SESSIONS_BACK},{_COOKIES_BACK}"),
    "l2tpv3-ip6-counter": _l2tpv3(f"{_SESSIONS},counter=1", f"{_SESSIONS_BACK},counter=1", _V6),
    "bess": ("bess,dst={folder}/bess", "bess,listen={folder}/bess"),
}


@contextlib.contextmanager
def _guest(name: str, count: int) -> Iterator[list[bytes]]:
    """Boots a guest that sends the known frames, and yields what came."""
    uml, opposite = CASES[name]
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vecwire-bess-"))
        namespace = stack.enter_context(Namespace("uml"))
        collect.prepare(namespace)
        if name == "bess":
            listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            listener.bind(f"{folder}/bess")
            listener.listen(1)
        else:
            listener = stack.enter_context(collect.listening(namespace, opposite))
        guest = stack.enter_context(Uml(namespace, f"transport={uml.format(folder=folder)}"))
        guest.configure()
        if name == "bess":
            listener = stack.enter_context(listener.accept()[0])
            listener.settimeout(5)
        frames = [collect.frame(number).hex() for number in range(count)]
        program = (
            "import socket, sys; s = socket.socket(17, socket.SOCK_RAW, 0); s.bind(('vec0', 0)); "
            "[s.send(bytes.fromhex(frame)) for frame in sys.argv[1:]]"
        )
        guest.run(shlex.join([sys.executable, "-I", "-S", "-c", program, *frames]))
        yield collect.receive(listener, count)


def capture(name: str, count: int = COUNT) -> dict[str, Any]:
    """The first packets that UML sends, with its string and the spec opposite."""
    uml, opposite = CASES[name]
    with _guest(name, count) as packets:
        return {
            "name": name,
            "uml": f"vec0:transport={uml}",
            "vecwire": opposite,
            "packets": [collect.split(packet) for packet in packets],
        }


def main() -> None:
    """Captures every case and writes the file."""
    collect.write(
        FILE,
        "Sent by User Mode Linux 6.1 (Debian 12); captured by capture_uml.py",
        [capture(name) for name in CASES],
    )


if __name__ == "__main__":
    main()
