"""What a port makes of a frame and its virtio-net header before a filter judges it; what may change after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scapy.layers.sctp import crc32c

from oracle import internet
from oracle.dissected import behind_tags, dissected, packet_in
from oracle.internet import CWR, FIN, PSH
from vecwire.wire.vnet import Vnet

if TYPE_CHECKING:
    from collections.abc import Callable

    from vecwire.wire.ethernet import Headers

#: Segments that one super-frame may ask for.
MOST_CUT = 1024
_SCTP = 132
_CRC32C: Callable[[bytes], int] = crc32c


def believed(frame: bytes, header: Vnet) -> bool:
    """Whether a header is to be believed, by the letter of the virtio specification (5.1.6) and of ours."""
    if header.flags & ~0b11:
        return False
    if header.flags & 1:
        first = behind_tags(frame)
        if first is None or not first <= header.csum_start <= len(frame) - 2 - header.csum_offset:
            return False
    if header.gso_type == 0:
        return True
    return header.gso_type & 0x7F in {1, 4, 5} and header.gso_size > 0


def too_much(frame: bytes, header: Vnet) -> bool:
    """Whether a super-frame asks for more segments than a port cuts."""
    return header.gso_type != 0 and len(frame) // header.gso_size >= MOST_CUT


def completed(frame: bytes, header: Vnet) -> bytes:
    """The frame with the checksum that its header asks for (RFC 1071; RFC 768 on zero; RFC 9260 on SCTP)."""
    start, offset = header.csum_start, header.csum_offset
    packet = packet_in(frame)
    asked = (_SCTP, start, 8)
    if packet and (packet.protocol, packet.transport, offset) == asked and packet.end >= start + 12:
        covered = frame[start : start + 8] + bytes(4) + frame[start + 12 : packet.end]
        return frame[: start + 8] + _CRC32C(covered).to_bytes(4) + frame[start + 12 :]
    check = ~internet.total(frame[start:]) & 0xFFFF
    if check == 0 and offset == 6:
        check = 0xFFFF
    at = start + offset
    return frame[:at] + check.to_bytes(2) + frame[at + 2 :]


def place_of_checksum(place: Headers) -> tuple[int, int]:
    """Where the checksum of a TCP or UDP frame begins to cover, and how far from there it is stored."""
    return place.transport, 16 if place.protocol == internet.TCP_PROTOCOL else 6


def settled(frame: bytes, header: Vnet) -> tuple[bytes, Vnet]:
    """What a filter judges, and the header that is left, where the header is believed."""
    place = dissected(frame)
    own = place is not None and place_of_checksum(place) == (header.csum_start, header.csum_offset)
    if not header.flags & 1 or own:
        return frame, header
    left = Vnet(gso_type=header.gso_type, hdr_len=header.hdr_len, gso_size=header.gso_size)
    return completed(frame, header), left


def blank(frame: bytes, place: Headers) -> bytes:
    """The headers of a segment without what differs from segment to segment."""
    head = bytearray(frame[: place.payload])
    ip, transport = place.network, place.transport
    changing = [(ip + 2, 4), (ip + 10, 2)] if place.version == 4 else [(ip + 4, 2)]
    if place.protocol == internet.TCP_PROTOCOL:
        changing += [(transport + 4, 4), (transport + 16, 2)]
        head[transport + 13] &= ~(FIN | PSH | CWR)
    else:
        changing += [(transport + 4, 4)]
    for at, count in changing:
        head[at : at + count] = bytes(count)
    return bytes(head)


def without_checksum(frame: bytes) -> bytes:
    """A frame without the checksum of its own TCP or UDP."""
    place = dissected(frame)
    if place is None:
        return frame
    at = sum(place_of_checksum(place))
    return frame[:at] + bytes(2) + frame[at + 2 :]


def hold_as_judged(frame: bytes, header: Vnet, left: list[bytes]) -> None:
    """Asserts that what has left is what was judged, but for the checksum of its own TCP or UDP.

    Of a super-frame, that all segments have its headers, and together its payload.
    """
    if header.gso_type == 0:
        assert [without_checksum(each) for each in left] == [without_checksum(frame)]
    elif left:
        place = dissected(frame)
        assert place is not None
        assert {blank(each, place) for each in left} == {blank(frame, place)}
        assert b"".join(each[place.payload :] for each in left) == frame[place.payload : place.end]
