"""The ends of L2TPv3 tunnels of every kind, with the reading of RFC 3931 for each."""

from __future__ import annotations

import functools
import itertools
from typing import Any

from fuzzing import tunnel
from oracle import tunnels
from vecwire.wire import encap

#: A session that looks like the first word over UDP, and one that does not.
SESSIONS = (0x00030000, 0x1234)
COOKIES = (None, 0xDEADBEEF, 0x0123456789ABCDEF)


def _read(
    packet: bytes, *, session: int, cookie: bytes, counter: bool, udp: bool, ip_header: bool
) -> int | str:
    """How the RFC reads it."""
    start = tunnels.behind_ipv4(packet) if ip_header else 0
    if isinstance(start, str):
        return start
    found = tunnels.l2tpv3(packet[start:], session=session, cookie=cookie, sublayer=counter, udp=udp)
    return found if isinstance(found, str) else start + found


def ends(carriers: list[tuple[bool, bool]]) -> list[tunnel.End]:
    """The ends of tunnels of every kind.

    Args:
        carriers: whether over UDP, and whether behind an IPv4 header.
    """
    made = []
    for session, cookie, counter, (udp, ip_header) in itertools.product(
        SESSIONS, COOKIES, (False, True), carriers
    ):
        wide = cookie == COOKIES[2]
        common: dict[str, Any] = {"rx_cookie": cookie, "tx_cookie": cookie, "cookie64": wide}
        common |= {"counter": counter, "udp": udp}
        octets = b"" if cookie is None else cookie.to_bytes(8 if wide else 4)
        made.append(
            tunnel.end(
                encap.l2tpv3(rx_session=session, tx_session=7, **common, ip_header=ip_header),
                encap.l2tpv3(rx_session=7, tx_session=session, **common),
                functools.partial(
                    _read, session=session, cookie=octets, counter=counter, udp=udp, ip_header=ip_header
                ),
                tunnel.IPV4 if ip_header else b"",
            )
        )
    return made
