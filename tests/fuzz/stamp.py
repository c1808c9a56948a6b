"""A frame is stamped, corrupted or foreign just as plain Python reads it; what is written is read again."""

from __future__ import annotations

import struct

from fuzzing.feed import Feed
from oracle import internet
from oracle.dissected import dissected
from oracle.exact import Exact
from oracle.shapes import SHAPES
from vecwire.traffic import Traffic
from vecwire.wire.stamp import read

Verdict = dict[str, int | str]

KINDS = {b"vD": "data", b"vB": "begin", b"vE": "end"}
PATTERNS = [
    Traffic(frames=kind, vlan=vlan).pattern() for kind in ("udp4", "udp6", "ethernet") for vlan in (None, 7)
]
STAMP = struct.Struct("!2sHHIQ")
UNFINISHED, WRITTEN, MENDED = 1, 2, 4
FOREIGN: Verdict = {"verdict": "foreign"}
CORRUPTED: Verdict = {"verdict": "corrupted"}


def stamped(octets: bytes) -> Verdict:
    """What octets say that begin with a stamp, if they do."""
    if len(octets) < STAMP.size:
        return FOREIGN
    kind, run, flow, sequence, moment = STAMP.unpack_from(octets)
    if kind not in KINDS or flow >= 1 << 15:
        return FOREIGN
    told = {"kind": KINDS[kind], "run": run, "flow": flow, "sequence": sequence, "moment": moment}
    return {"verdict": "stamped", **told}


def pseudo_header(packet: bytes, size: int) -> bytes:
    """What UDP's checksum covers of an IP packet (RFC 768; RFC 8200, 8.1)."""
    if packet[0] >> 4 == 4:
        return packet[12:20] + struct.pack("!HH", 17, size)
    return packet[8:40] + struct.pack("!II", size, 17)


def without_ip(frame: bytes) -> Verdict:
    """The verdict on a frame of the EtherType for experiments."""
    at = 12
    while frame[at : at + 2] in {b"\x81\x00", b"\x88\xa8"}:
        at += 4
    if frame[at : at + 2] != b"\x88\xb5" or len(frame) - at < 4 + STAMP.size:
        return FOREIGN
    return stamped(frame[at + 4 :]) if internet.total(frame[at + 2 :]) == 0xFFFF else CORRUPTED


def judged(frame: bytes, *, unfinished: bool) -> Verdict:
    """What ``vecwire.wire.stamp.read`` is to say."""
    found = dissected(frame)
    if found is None:
        return without_ip(frame)
    if found.protocol != 17:
        return FOREIGN
    packet = frame[found.network : found.end]
    if found.version == 4 and internet.total(frame[found.network : found.transport]) != 0xFFFF:
        return CORRUPTED
    size, checksum = struct.unpack_from("!HH", frame, found.transport + 4)
    datagram = frame[found.transport : found.transport + size]
    if not 8 <= size <= found.end - found.transport:
        return FOREIGN
    judge = not unfinished and (found.version == 6 or checksum)
    if judge and internet.total(pseudo_header(packet, size) + datagram) != 0xFFFF:
        return CORRUPTED
    return stamped(datagram[8:])


def written(feed: Feed) -> bytes:
    """A frame that a blast would send, read as it was written; then some octets of it are others."""
    pattern = PATTERNS[feed.among(len(PATTERNS))]
    kind = list(KINDS.values())[feed.among(len(KINDS))]
    numbers = {"run": feed.number(2), "flow": feed.number(2) >> 1, "sequence": feed.number(4)}
    moment = feed.number(8)
    frame = pattern.frame(pattern.least + feed.number(1), kind=kind, moment=moment, **numbers)
    assert read(frame) == {"verdict": "stamped", "kind": kind, "moment": moment, **numbers}
    damaged = bytearray(frame)
    while feed:
        damaged[feed.number(2) % len(damaged)] ^= feed.number(1)
    return bytes(damaged)


def mended(frame: bytes) -> bytes:
    """The frame with the checksum of its IPv4 header as it must be, so that more is looked at."""
    found = dissected(frame)
    if found is None or found.version != 4:
        return frame
    at = found.network + 10
    blank = frame[:at] + bytes(2) + frame[at + 2 :]
    check = ~internet.total(blank[found.network : found.transport]) & 0xFFFF
    return frame[:at] + check.to_bytes(2) + frame[at + 2 :]


def target(octets: bytes) -> None:
    """Takes an octet as the form: whether the checksum is to be finished, and what the frame is made of."""
    feed = Feed(octets)
    form = feed.number(1)
    frame = written(feed) if form & WRITTEN else feed.rest()
    if form & MENDED:
        frame = mended(frame)
    unfinished = bool(form & UNFINISHED)
    assert read(Exact(frame).view, unfinished=unfinished) == judged(frame, unfinished=unfinished)


def seeds() -> list[bytes]:
    """Each kind of frame as a blast sends it, with and without damage, and every shape."""
    sent = [bytes([WRITTEN, number, number % 3]) + bytes(range(17)) for number in range(len(PATTERNS))]
    whole = [pattern.frame(pattern.least, run=1, flow=2, sequence=3, moment=4) for pattern in PATTERNS]
    return [
        *sent,
        *(each + b"\0\x11\1" for each in sent),
        *(bytes([form]) + frame for frame in whole for form in (0, UNFINISHED, MENDED)),
        *(b"\5" + internet.build(shape) for shape in SHAPES.values()),
        b"",
    ]
