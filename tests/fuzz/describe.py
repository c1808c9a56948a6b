"""Any octets are told in one printable line, with the addresses, VLANs and ports that plain Python finds."""

from __future__ import annotations

import json
import re
import socket
import struct

from fuzzing.feed import Feed
from oracle import internet
from oracle.dissected import dissected
from oracle.exact import Exact
from oracle.shapes import SHAPES
from vecwire.capture import describe

CLOCK = re.compile(r"\d\d:\d\d:\d\d\.(\d{9})")
LATEST = 2**63 - 1
#: Characters of a line: what has a length on the wire has a bound in it.
LONGEST = 400
ARP = struct.Struct("!HHBBH6s4s6s4s")


def tags(frame: bytes) -> tuple[list[int], int, int]:
    """The VLANs of a frame whose tags are whole, the type behind them, and where what it carries begins."""
    found, at = [], 12
    while frame[at : at + 2] in {b"\x81\x00", b"\x88\xa8"} and len(frame) - at >= 6:
        found.append(struct.unpack_from("!H", frame, at + 2)[0] % 4096)
        at += 4
    return found, int.from_bytes(frame[at : at + 2]), at + 2


def facts(frame: bytes) -> list[str]:
    """What must be told of a frame: who speaks to whom in TCP and UDP, and who asks for whom in ARP."""
    _, kind, at = tags(frame)
    if kind == 0x0806 and len(frame) - at >= ARP.size:
        *fixed, operation, _, source, _, target = ARP.unpack_from(frame, at)
        if fixed == [1, 0x0800, 6, 4] and operation == 1:
            return [f"who has {socket.inet_ntoa(target)}, tell {socket.inet_ntoa(source)}"]
    found = dissected(frame)
    if found is None:
        return []
    family, size, first = (
        (socket.AF_INET, 4, found.network + 12)
        if found.version == 4
        else (socket.AF_INET6, 16, found.network + 8)
    )
    ends = [socket.inet_ntop(family, frame[start : start + size]) for start in (first, first + size)]
    places = [
        f"[{end}]:{port}" if found.version == 6 else f"{end}:{port}"
        for end, port in zip(ends, struct.unpack_from("!HH", frame, found.transport), strict=True)
    ]
    return [f"IPv{found.version} {places[0]} > {places[1]} {'TCP' if found.protocol == 6 else 'UDP'} "]


def target(octets: bytes) -> None:
    """Takes a time, perhaps a length of which the frame is the beginning, and the frame."""
    feed = Feed(octets)
    moment = feed.number(8) & LATEST
    form = feed.number(1)
    more = feed.number(2) if form & 1 else 0
    frame = feed.rest()
    length = len(frame) + more if form & 1 else None
    view = Exact(frame).view

    text = describe.line(view, moment, length)
    assert text.isprintable()
    assert len(text) < LONGEST
    clock = CLOCK.match(text)
    assert clock is not None
    assert int(clock[1]) == moment % 10**9
    told = describe.as_object(view, moment, length)
    assert json.loads(json.dumps(told)) == told
    vlans, kind, _ = tags(frame)
    first, more_tags = vlans[: describe.TOLD_TAGS], len(vlans[describe.TOLD_TAGS :])
    assert (told["vlans"], told.get("more_vlans", 0), told["ethertype"]) == (first, more_tags, kind)
    assert (told["src"], told["dst"]) == (frame[6:12].hex(":"), frame[:6].hex(":"))
    named = "".join(f"vlan {vlan}  " for vlan in first) + (f"and {more_tags} more  " if more_tags else "")
    assert text[clock.end() :] == (
        f"  {told['src']} > {told['dst']}  {named}{told['summary']}  {len(frame) + more} octets"
    )
    for fact in facts(frame):
        assert fact in told["summary"]


def seeds() -> list[bytes]:
    """Every shape, ARP, fragments, errors of ICMP, and nothing."""
    plain = bytes(range(12))
    arp = ARP.pack(1, 0x0800, 6, 4, 1, bytes(6), bytes([10, 0, 0, 1]), bytes(6), bytes([10, 0, 0, 2]))
    head = bytes.fromhex("45000054000020004001") + bytes(2) + bytes([10, 0, 0, 1, 10, 0, 0, 2])
    six = bytes.fromhex("6000000000080040") + bytes(32)
    frames = [
        *(internet.build(shape) for shape in SHAPES.values()),
        *(plain + b"\x08\x06" + arp[:7] + bytes([operation]) + arp[8:] for operation in (1, 2, 3)),
        *(plain + b"\x08\x00" + head + bytes([kind, 1]) + bytes(30) for kind in (0, 3, 8, 11)),
        plain + b"\x08\x00" + head[:6] + b"\0\5" + head[8:],
        *(
            plain + b"\x86\xdd" + six[:6] + b"\x3a" + six[7:] + bytes([kind]) + bytes(40)
            for kind in (1, 128, 135)
        ),
        plain + b"\x86\xdd" + six[:6] + b"\x2c" + six[7:] + bytes(16),
        plain + b"\x81\x00\x00\x0a\x88\xa8\x00\x14\x88\xcc",
        plain + b"\x81\x00\x00\x0a" * 40 + b"\x88\xcc",
        b"",
    ]
    return [bytes(9) + frame for frame in frames] + [b"\xff" * 11 + frames[0]]
