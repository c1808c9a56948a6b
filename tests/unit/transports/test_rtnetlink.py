"""The reader of the kernel's news: what it makes of messages, whole, cut and strange."""

from __future__ import annotations

import ipaddress
import socket
import struct

import pytest

from vecwire.transports._rtnetlink import Link, Reach, news

UP = 0x1 | 0x40 | 0x1_0000


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute, padded to 4 octets."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, body: bytes) -> bytes:
    """A message of the kernel."""
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def link(kind: int, name: bytes, *, family: int = socket.AF_UNSPEC, flags: int = UP) -> bytes:
    """A message about an interface: an attribute of no interest, then its name."""
    head = struct.pack("=BxHiII", family, 1, 7, flags, 0)
    return message(kind, head + attribute(13, bytes(4)) + attribute(3, name + b"\0"))


def route(kind: int, prefix: str) -> bytes:
    """A message about a route; the kernel leaves the destination of a default route out."""
    network = ipaddress.ip_network(prefix)
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    head = struct.pack("=BBBBBBBBI", family, network.prefixlen, 0, 0, 254, 3, 0, 1, 0)
    destination = attribute(1, network.network_address.packed) if network.prefixlen else b""
    return message(kind, head + attribute(15, bytes(4)) + destination)


def test_links_are_told_with_what_lets_frames_pass() -> None:
    """Name, index and flags of an interface; one that is gone has none; a bridge's ports are not told."""
    data = link(16, b"eth7", flags=UP | 0x100) + link(17, b"eth7") + link(17, b"eth7", family=7)
    assert list(news(data)) == [Link("eth7", 7, UP), Link("eth7", 0, 0)]


@pytest.mark.parametrize("kind", [24, 25])
@pytest.mark.parametrize(
    ("prefix", "inside", "outside"),
    [
        ("10.2.0.0/16", "10.2.255.9", "10.3.0.1"),
        ("10.2.0.9/32", "10.2.0.9", "10.2.0.8"),
        ("10.2.0.0/17", "10.2.127.1", "10.2.128.1"),
        ("0.0.0.0/0", "192.0.2.1", None),
        ("fd02::/63", "fd02:0:0:1::9", "fd02:0:0:2::9"),
        ("::/0", "fd02::9", None),
    ],
)
def test_a_route_covers_the_addresses_of_its_prefix(
    kind: int, prefix: str, inside: str, outside: str | None
) -> None:
    """A route is about the addresses that begin with its prefix, and a default route about all."""
    (told,) = news(route(kind, prefix))
    assert isinstance(told, Reach)
    assert told.covers(int(ipaddress.ip_address(inside)))
    assert outside is None or not told.covers(int(ipaddress.ip_address(outside)))


@pytest.mark.parametrize("kind", [20, 21, 32, 33])
def test_addresses_and_rules_are_about_every_address(kind: int) -> None:
    """What an address or a rule does to a route is not guessed: it is about their whole family."""
    (told,) = news(message(kind, struct.pack("=BBBBi", socket.AF_INET6, 64, 0, 0, 1)))
    assert isinstance(told, Reach)
    assert told.family == socket.AF_INET6
    assert told.covers(0)
    assert told.covers(2**128 - 1)


def test_what_is_cut_or_strange_is_left_out() -> None:
    """A message cut anywhere tells nothing and harms nothing; one of another type is passed over."""
    whole = message(99, bytes(5)) + bytes(3) + link(16, b"eth7")
    assert list(news(whole)) == [Link("eth7", 7, UP)]
    for length in range(len(whole)):
        assert list(news(whole[:length])) == []
    assert list(news(message(16, bytes(3)) + message(24, b"\x02") + bytes(64))) == []
    assert list(news(message(16, bytes(16) + struct.pack("=HH", 0, 3)))) == []
