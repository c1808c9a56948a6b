"""The encapsulations: GRE (RFC 2784, RFC 2890) and L2TPv3 over UDP or IP (RFC 3931).

An ``Encapsulation`` is a layout computed once. For sending it is a template of octets that is written
into the headroom in front of a frame, with at most one field that counts; for receiving it is what must
stand in front of a frame, and ``strip`` gives the offset of the frame or the counter of the reason why
the packet is not ours.

GRE is read by its flags: a checksum is verified and skipped, a key must be ours, a sequence number may be
there or not. L2TPv3 is read by position, since nothing in a data message says how long its cookie and
sublayer are (RFC 3931, section 4.1).

A number that counts packets decides nothing: nobody vouches for it, so whoever can send a packet can write
the number that is due, and with one far ahead would shut the peer out, who is late from then on. ``is_late``
tells.
"""

import struct

import cython
from cython.cimports.libc.stdint import uint8_t, uint32_t
from cython.cimports.libc.string import memcmp, memcpy
from cython.cimports.vecwire.wire.checksum import add, fold
from cython.cimports.vecwire.wire.counters import (
    RX_BAD_CHECKSUM,
    RX_BAD_COOKIE,
    RX_BAD_HEADER,
    RX_BAD_KEY,
    RX_BAD_SESSION,
    RX_CONTROL,
    RX_RUNT,
)
from cython.cimports.vecwire.wire.encap import GRE, L2TPV3, NONE, Encap
from cython.cimports.vecwire.wire.ethernet import HEADER, read16, read32, write32
from cython.cimports.vecwire.wire.octets import Octets

from vecwire.wire.counters import NAMES

GRE_CHECKSUM = cython.declare(uint32_t, 0x8000)
GRE_KEY = cython.declare(uint32_t, 0x2000)
GRE_SEQUENCE = cython.declare(uint32_t, 0x1000)
# Routing, strict source route and recursion of RFC 1701: a packet that sets one is discarded (RFC 2784, 2.3).
GRE_FOREIGN = cython.declare(uint32_t, 0x4C00)
GRE_VERSION = cython.declare(uint32_t, 0x0007)
ETHERNET_BRIDGING = cython.declare(uint32_t, 0x6558)
#: How far behind the highest number a packet is late; from further behind, its sender has begun anew.
LATE = cython.declare(uint32_t, 1024)
AHEAD = cython.declare(uint32_t, 0x7FFFFFFF)
L2TP_CONTROL = cython.declare(uint32_t, 0x80000000)
L2TP_VERSION = cython.declare(uint32_t, 0x000F0000)
L2TP_VERSION_3 = cython.declare(uint32_t, 0x00030000)


def write_header(encap: cython.pointer[Encap], at: cython.pointer[uint8_t]) -> cython.void:
    """Writes the encapsulation's header in front of a frame: ``tx_length`` octets from ``at`` on."""
    memcpy(at, cython.address(encap.tx_header[0]), encap.tx_length)
    if encap.tx_counter_at >= 0:
        write32(at + encap.tx_counter_at, encap.counter)
        encap.counter += 1


def strip(
    encap: cython.pointer[cython.const[Encap]],
    packet: cython.pointer[cython.const[uint8_t]],
    length: uint32_t,
) -> cython.int:
    """The offset of the frame in a received packet, or the counter of the reason why not, negated."""
    at: uint32_t = 0
    flags: uint32_t
    if encap.kind == NONE:
        return -RX_RUNT if length < HEADER else 0
    if encap.ip_header:
        # A raw IPv4 socket delivers the IP header too, options included (raw(7)).
        if length < 20:
            return -RX_RUNT
        at = (packet[0] & 15) * 4
        if packet[0] >> 4 != 4 or at < 20:
            return -RX_BAD_HEADER
    if encap.kind == GRE:
        if length < at + 4:
            return -RX_RUNT
        flags = read16(packet + at)
        if flags & (GRE_FOREIGN | GRE_VERSION) or read16(packet + at + 2) != ETHERNET_BRIDGING:
            return -RX_BAD_HEADER
        start: uint32_t = at
        at += 4
        if flags & GRE_CHECKSUM:
            at += 4
        key: uint32_t = at
        if flags & GRE_KEY:
            at += 4
        if flags & GRE_SEQUENCE:
            at += 4
        if length < at + HEADER:
            return -RX_RUNT
        if flags & GRE_CHECKSUM and fold(add(packet + start, length - start, 0)) != 0xFFFF:
            return -RX_BAD_CHECKSUM
        if encap.has_key:
            if not flags & GRE_KEY or read32(packet + key) != encap.rx_key:
                return -RX_BAD_KEY
        elif flags & GRE_KEY:
            return -RX_BAD_KEY
        return at
    if encap.udp:
        if length < at + 4:
            return -RX_RUNT
        flags = read32(packet + at)
        if flags & L2TP_CONTROL:
            return -RX_CONTROL
        if flags & L2TP_VERSION != L2TP_VERSION_3:
            return -RX_BAD_HEADER
        at += 4
    if length < at + 4:
        return -RX_RUNT
    flags = read32(packet + at)
    if flags != encap.rx_session:
        return -RX_CONTROL if flags == 0 else -RX_BAD_SESSION
    at += 4
    if length < at + encap.rx_cookie_length + encap.rx_sublayer + HEADER:
        return -RX_RUNT
    if memcmp(packet + at, cython.address(encap.rx_cookie[0]), encap.rx_cookie_length) != 0:
        return -RX_BAD_COOKIE
    return at + encap.rx_cookie_length + encap.rx_sublayer


def is_late(
    encap: cython.pointer[Encap], packet: cython.pointer[cython.const[uint8_t]], frame_at: uint32_t
) -> cython.bint:
    """Whether a packet that ``strip`` accepted carries a number that was passed already (RFC 1982).

    Zero is no number: a counter that is pinned stays there, as does a sublayer that numbers nothing.
    """
    number: uint32_t
    behind: uint32_t
    if encap.kind == GRE:
        if not read16(packet + ((packet[0] & 15) * 4 if encap.ip_header else 0)) & GRE_SEQUENCE:
            return False
    elif not encap.rx_sublayer:
        return False
    number = read32(packet + frame_at - 4)
    if number == 0:
        return False
    behind = encap.rx_number - number
    if not encap.rx_numbered or behind > AHEAD:
        encap.rx_numbered = True
        encap.rx_number = number
        return False
    if behind >= LATE:
        encap.rx_number = number
    return True


@cython.cclass
class Encapsulation:
    """What stands in front of a frame on a tunnel, for both directions.

    Made by ``gre`` or ``l2tpv3``, or else none: frames stand bare. Owned by one port, since it holds the
    port's outgoing counter.
    """

    encap: Encap

    def __cinit__(self) -> None:
        self.encap.tx_counter_at = -1

    @property
    def tx_length(self) -> int:
        """Octets written in front of each frame."""
        return self.encap.tx_length

    @property
    def rx_length(self) -> int:
        """Octets expected in front of each frame, with the IPv4 header where the socket delivers it."""
        return self.encap.rx_length

    @property
    def counter(self) -> int:
        """The number that the next header carries where it has a field that counts; 0 to 2**32 - 1."""
        return self.encap.counter

    @counter.setter
    def counter(self, number: int) -> None:
        self.encap.counter = _unsigned("counter", number, 32)

    def header(self) -> bytes:
        """The header for the next frame; a counter in it moves on."""
        room = bytearray(self.encap.tx_length)
        self.write(room, self.encap.tx_length)
        return bytes(room)

    def write(self, room: bytearray | memoryview, before: int) -> int:
        """Writes the header for the next frame into the octets in front of it; a counter in it moves on.

        Args:
            room: memory with the frame, or a place for it, and room for the header before that.
            before: where the frame begins in it.

        Returns:
            Where the header begins.

        Raises:
            ValueError: if there is no room for the header.
        """
        octets: Octets = Octets(room, writable=True)
        start: cython.Py_ssize_t = before - self.tx_length
        if start < 0 or before > octets.length:
            raise ValueError(f"a header of {self.tx_length} octets does not fit before octet {before}")
        write_header(cython.address(self.encap), octets.at + start)
        return start

    def offset(self, packet: bytes | bytearray | memoryview) -> int:
        """Where the frame begins in a received packet.

        Raises:
            ValueError: if the packet is not ours; its one argument is the name of the drop counter.
        """
        octets: Octets = Octets(packet)
        at: cython.int = strip(cython.address(self.encap), octets.at, cython.cast(uint32_t, octets.length))
        if at < 0:
            raise ValueError(NAMES[-at])
        return at

    def late(self, packet: bytes | bytearray | memoryview) -> bool:
        """Whether the number that a packet carries had passed already; one that is ahead is noted.

        Raises:
            ValueError: if the packet is not ours; its one argument is the name of the drop counter.
        """
        octets: Octets = Octets(packet)
        at: uint32_t = self.offset(packet)
        return is_late(cython.address(self.encap), octets.at, at)


def gre(
    *,
    rx_key: int | None = None,
    tx_key: int | None = None,
    sequence: bool = False,
    pin_sequence: bool = False,
    ip_header: bool = False,
) -> Encapsulation:
    """Lays out GRE for Ethernet frames (RFC 2784, section 2; RFC 2890, section 2).

    Args:
        rx_key: the key that packets must carry; None where they must carry none.
        tx_key: the key to send.
        sequence: whether to send sequence numbers, from 0 on (RFC 2890, section 2.2).
        pin_sequence: whether they stay 0.
        ip_header: whether received packets begin with an IPv4 header.

    Raises:
        ValueError: if a key is not a number of 32 bits.
    """
    if rx_key is not None:
        _unsigned("rx_key", rx_key, 32)
    if tx_key is not None:
        _unsigned("tx_key", tx_key, 32)
    flags = (0x2000 if tx_key is not None else 0) | (0x1000 if sequence else 0)
    header = struct.pack("!HH", flags, 0x6558)
    expected = 4 + (4 if rx_key is not None else 0) + (4 if sequence else 0)
    if tx_key is not None:
        header += struct.pack("!I", tx_key)
    counter_at = len(header) if sequence and not pin_sequence else -1
    if sequence:
        header += bytes(4)
    layout = _laid_out(header, counter_at, 0)
    layout.encap.kind = GRE
    layout.encap.ip_header = ip_header
    layout.encap.rx_length = expected + (20 if ip_header else 0)
    layout.encap.has_key = rx_key is not None
    layout.encap.rx_key = rx_key or 0
    return layout


def l2tpv3(
    *,
    rx_session: int,
    tx_session: int,
    rx_cookie: int | None = None,
    tx_cookie: int | None = None,
    cookie64: bool = False,
    counter: bool = False,
    pin_counter: bool = False,
    udp: bool = False,
    ip_header: bool = False,
) -> Encapsulation:
    """Lays out L2TPv3 data messages (RFC 3931, sections 4.1.1 and 4.1.2).

    Args:
        rx_session: the session that packets must carry.
        tx_session: the session to send.
        rx_cookie: the cookie that packets must carry; None where they carry none.
        tx_cookie: the cookie to send.
        cookie64: whether cookies have 8 octets, not 4.
        counter: whether a 4-octet sublayer follows the cookie: a counter from 1 on, as UML and QEMU send.
        pin_counter: whether it stays 0.
        udp: whether messages begin with the 4 octets of L2TP over UDP.
        ip_header: whether received packets begin with an IPv4 header.

    Raises:
        ValueError: if a session is 0, which marks control messages, or not a number of 32 bits, or if a
            cookie does not fit its octets.
    """
    if not _unsigned("rx_session", rx_session, 32) or not _unsigned("tx_session", tx_session, 32):
        raise ValueError("session 0 marks control messages; a session is 1 to 4294967295")
    for name, cookie in (("rx_cookie", rx_cookie), ("tx_cookie", tx_cookie)):
        if cookie is not None:
            _unsigned(name, cookie, 64 if cookie64 else 32)
    header = (struct.pack("!HH", 3, 0) if udp else b"") + struct.pack("!I", tx_session)
    cookie_format = "!Q" if cookie64 else "!I"
    if tx_cookie is not None:
        header += struct.pack(cookie_format, tx_cookie)
    counter_at = len(header) if counter and not pin_counter else -1
    if counter:
        header += bytes(4)
    expected = b"" if rx_cookie is None else struct.pack(cookie_format, rx_cookie)
    layout = _laid_out(header, counter_at, 1)
    layout.encap.kind = L2TPV3
    layout.encap.udp = udp
    layout.encap.ip_header = ip_header
    layout.encap.rx_session = rx_session
    layout.encap.rx_cookie_length = len(expected)
    memcpy(cython.address(layout.encap.rx_cookie[0]), cython.cast(cython.p_char, expected), len(expected))
    layout.encap.rx_sublayer = 4 if counter else 0
    layout.encap.rx_length = (
        (20 if ip_header else 0) + (4 if udp else 0) + 4 + len(expected) + (4 if counter else 0)
    )
    return layout


def _unsigned(name: str, number: int, bits: int) -> int:
    """The number, where it has no more than ``bits`` bits and no sign."""
    if not 0 <= number < 1 << bits:
        raise ValueError(f"{name} is 0 to {(1 << bits) - 1}, not {number}")
    return number


@cython.cfunc
def _laid_out(header: bytes, counter_at: cython.int, first: cython.uint) -> Encapsulation:
    """An encapsulation whose sending half is set."""
    layout: Encapsulation = Encapsulation()
    memcpy(cython.address(layout.encap.tx_header[0]), cython.cast(cython.p_char, header), len(header))
    layout.encap.tx_length = len(header)
    layout.encap.tx_counter_at = counter_at
    layout.encap.counter = first
    return layout
