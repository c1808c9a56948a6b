"""Stamped frames: what ``vecwire blast`` sends and ``vecwire sink`` judges, octet by octet.

A stamp is the first 18 octets of a UDP datagram's payload, in network order, so that a frame of 60 octets
(64 with its check sequence) has room for it behind IPv4 and UDP::

    octets  0..1   what the frame is: "vD" of the traffic, "vB" a mark at its begin, "vE" a mark at its end
            2..3   the run: a random number, one a blast
            4..5   the flow, from 0 on
            6..9   the number of the frame in its flow, from 0 on; of a mark at the end, how many there were
           10..17  when it was sent: nanoseconds since 1970 (CLOCK_REALTIME)

A frame without IP has the EtherType for local experiments 1 (RFC 9542, section 3.1: 0x88B5), a checksum as
UDP's but without a pseudo-header, and the stamp. All octets after a stamp are zero. So a checksum costs the
same at any length: what is zero adds nothing to it (RFC 1071), only the headers and the stamp are read.

Flows differ in the source's address and port, or, without IP, in its MAC address: so a hash over either
tells them apart (RFC 4814, section 4).
"""

import cython
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.vecwire.wire.checksum import add, fold, pseudo_header
from cython.cimports.vecwire.wire.ethernet import (
    HEADER,
    UDP,
    VLAN_TAG,
    Layout,
    dissect,
    read16,
    read32,
)
from cython.cimports.vecwire.wire.octets import Octets
from cython.cimports.vecwire.wire.stamp import (
    BEGIN,
    CORRUPTED,
    DATA,
    END,
    EXPERIMENTAL,
    FOREIGN,
    MOST_HEADERS,
    STAMP,
    STAMPED,
    Headers,
    Stamp,
)

from vecwire.wire.checksum import partial

TPID_CUSTOMER = cython.declare(uint32_t, 0x8100)
TPID_SERVICE = cython.declare(uint32_t, 0x88A8)
#: The first of the ports that nobody is given (RFC 6335, section 6), and how many there are.
DYNAMIC = cython.declare(uint32_t, 49152)
DYNAMICS = cython.declare(uint32_t, 16384)
GOOD = cython.declare(uint32_t, 0xFFFF)

#: What a frame is.
KINDS = {"data": DATA, "begin": BEGIN, "end": END}
#: Octets of a stamp.
OCTETS = int(STAMP)
#: Octets that a frame is written into at the least.
LEAST_ROOM = 96
#: The EtherType of frames without IP.
ETHERTYPE = int(EXPERIMENTAL)
#: Flows that a run may have: half of what their number has room for.
MOST_FLOWS = 32768


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
@cython.inline
def put16(at: cython.pointer[uint8_t], value: uint32_t) -> cython.void:
    """Writes the low 16 bits in network order."""
    at[0] = cython.cast(uint8_t, value >> 8)
    at[1] = cython.cast(uint8_t, value)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
@cython.inline
def put32(at: cython.pointer[uint8_t], value: uint32_t) -> cython.void:
    """Writes 32 bits in network order."""
    at[0] = cython.cast(uint8_t, value >> 24)
    at[1] = cython.cast(uint8_t, value >> 16)
    at[2] = cython.cast(uint8_t, value >> 8)
    at[3] = cython.cast(uint8_t, value)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
@cython.inline
def halves(value: uint32_t) -> uint32_t:
    """The sum of the two halves of 32 bits."""
    return (value >> 16) + (value & 0xFFFF)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
@cython.inline
def put_checksum(at: cython.pointer[uint8_t], total: uint32_t) -> cython.void:
    """Writes the complement of a sum of fields as a checksum; zero is written as all ones (RFC 768)."""
    total = halves(total)
    total = ~halves(total) & 0xFFFF
    put16(at, total or 0xFFFF)


def write_frame(
    headers: cython.pointer[cython.const[Headers]],
    stamp: cython.pointer[cython.const[Stamp]],
    at: cython.pointer[uint8_t],
    length: uint32_t,
) -> cython.void:
    """Writes headers and stamp of a frame of ``length`` octets; those after the stamp are zero already.

    There is room for ``LEAST_ROOM`` octets. The sums of what is constant are in ``headers``; what is added
    are the numbers that were written, so no octet is read back.
    """
    network: cython.pointer[uint8_t] = at + headers.network
    payload: cython.pointer[uint8_t] = at + headers.length
    high: uint32_t = cython.cast(uint32_t, stamp.nanoseconds >> 32)
    low: uint32_t = cython.cast(uint32_t, stamp.nanoseconds)
    total: uint32_t = (
        headers.total
        + stamp.kind
        + stamp.run
        + stamp.flow
        + halves(stamp.sequence)
        + halves(high)
        + halves(low)
    )
    size: uint32_t
    source: uint32_t
    # Of a length that the compiler knows: what is too much is zero, and is written over or to stay so.
    memcpy(at, cython.address(headers.octets[0]), 64)
    if headers.length > 64 - STAMP:
        memcpy(at + 64, cython.address(headers.octets[64]), MOST_HEADERS - 64)
    put16(payload, stamp.kind)
    put16(payload + 2, stamp.run)
    put16(payload + 4, stamp.flow)
    put32(payload + 6, stamp.sequence)
    put32(payload + 10, high)
    put32(payload + 14, low)
    source = headers.source + stamp.flow
    if headers.version == 0:
        put16(at + 10, source)
        put_checksum(payload - 2, total)
        return
    size = length - headers.length + 8
    put16(payload - 8, DYNAMIC + stamp.flow % DYNAMICS)
    put16(payload - 4, size)
    # The length is in the pseudo-header as well.
    total += halves(source) + DYNAMIC + stamp.flow % DYNAMICS + 2 * size
    put_checksum(payload - 2, total)
    if headers.version == 4:
        put16(network + 2, size + 20)
        put32(network + 12, source)
        put_checksum(network + 10, headers.network_total + halves(source) + size + 20)
    else:
        put16(network + 4, size)
        put32(network + 20, source)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def read_stamp(at: cython.pointer[cython.const[uint8_t]], stamp: cython.pointer[Stamp]) -> cython.int:
    """Reads a stamp; FOREIGN where there is none."""
    kind: uint32_t = read16(at)
    if kind != DATA and kind != BEGIN and kind != END:
        return FOREIGN
    stamp.kind = kind
    stamp.run = read16(at + 2)
    stamp.flow = read16(at + 4)
    stamp.sequence = read32(at + 6)
    stamp.nanoseconds = (cython.cast(uint64_t, read32(at + 10)) << 32) | read32(at + 14)
    return STAMPED if stamp.flow < 0x8000 else FOREIGN


def read_frame(
    frame: cython.pointer[cython.const[uint8_t]],
    length: uint32_t,
    unfinished: cython.bint,
    stamp: cython.pointer[Stamp],
) -> cython.int:
    """Judges a frame: STAMPED, CORRUPTED where a checksum is wrong, or else FOREIGN.

    ``unfinished`` says that the checksum of the frame has still to be completed: it is not judged.
    """
    layout: Layout
    at: uint32_t = HEADER
    size: uint32_t
    kind: uint32_t
    if dissect(frame, length, cython.address(layout)):
        if layout.protocol != UDP:
            return FOREIGN
        size = read16(frame + layout.transport + 4)
        if (
            layout.version == 4
            and fold(add(frame + layout.network, layout.transport - layout.network, 0)) != GOOD
        ):
            return CORRUPTED
        if size < 8 or size > layout.end - layout.transport:
            return FOREIGN
        # An IPv4 packet may come without a checksum (RFC 768).
        if not unfinished and (layout.version == 6 or read16(frame + layout.transport + 6)):
            total: uint64_t = pseudo_header(frame + layout.network, layout.version, UDP, size)
            if fold(add(frame + layout.transport, size, total)) != GOOD:
                return CORRUPTED
        return read_stamp(frame + layout.payload, stamp) if size >= 8 + STAMP else FOREIGN
    if length < HEADER:
        return FOREIGN
    kind = read16(frame + 12)
    while (kind == TPID_CUSTOMER or kind == TPID_SERVICE) and at + VLAN_TAG <= length:
        kind = read16(frame + at + 2)
        at += VLAN_TAG
    if kind != EXPERIMENTAL or at + 2 + STAMP > length:
        return FOREIGN
    if fold(add(frame + at, length - at, 0)) != GOOD:
        return CORRUPTED
    return read_stamp(frame + at + 2, stamp)


@cython.cclass
class Pattern:
    """The headers that the frames of a blast have in common.

    Args:
        headers: from the destination address to the octet before the stamp, lengths and checksums zero.
        network: where the IP header begins; 0 without one.
        version: 4 or 6; 0 for frames without IP.

    Raises:
        ValueError: if they are not headers of such a frame.
    """

    headers: Headers

    def __init__(self, headers: bytes, network: int, version: int) -> None:
        behind = {0: 2, 4: 28, 6: 48}
        if version not in behind:
            raise ValueError(f"the version of IP is 4 or 6, or 0 for none, not {version}")
        start = len(headers) - behind[version]
        if not HEADER <= start <= HEADER + VLAN_TAG or (version and start != network):
            raise ValueError("the headers end where the stamp begins, and hold Ethernet, IP and UDP")
        octets: Octets = Octets(headers)
        memset(cython.address(self.headers), 0, cython.sizeof(Headers))
        memcpy(cython.address(self.headers.octets[0]), octets.at, octets.length)
        self.headers.length = cython.cast(uint32_t, octets.length)
        self.headers.network = network
        self.headers.version = version
        # What the flow is added to, and the sums of all that is constant (RFC 1071): it is left out of both.
        at = {0: 10, 4: network + 12, 6: network + 20}[version]
        blank = bytearray(headers)
        if version == 0:
            self.headers.source = int.from_bytes(headers[10:12])
            return
        self.headers.source = int.from_bytes(headers[at : at + 4])
        blank[at : at + 4] = bytes(4)
        self.headers.network_total = partial(blank[network : network + 20]) if version == 4 else 0
        self.headers.total = partial(blank[network + (12 if version == 4 else 8) :], UDP)

    @property
    def least(self) -> int:
        """Octets of the shortest frame: its headers and a stamp."""
        return self.headers.length + STAMP

    def frame(
        self,
        length: int,
        *,
        kind: str = "data",
        run: int = 0,
        flow: int = 0,
        sequence: int = 0,
        moment: int = 0,
    ) -> bytes:
        """A frame of ``length`` octets.

        Raises:
            ValueError: if a number is out of range.
        """
        if not self.least <= length <= 65535:
            raise ValueError(f"a frame of this kind has {self.least} to 65535 octets, not {length}")
        if not (0 <= run <= 0xFFFF and 0 <= flow < MOST_FLOWS and 0 <= sequence <= 0xFFFFFFFF):
            raise ValueError("a run has 16 bits, a flow 15, a sequence number 32")
        made = bytearray(length + LEAST_ROOM)
        octets: Octets = Octets(made, writable=True)
        stamp: Stamp
        stamp.kind = KINDS[kind]
        stamp.run = run
        stamp.flow = flow
        stamp.sequence = sequence
        stamp.nanoseconds = moment
        write_frame(
            cython.address(self.headers), cython.address(stamp), octets.at, cython.cast(uint32_t, length)
        )
        return bytes(made[:length])


def read(frame: bytes | bytearray | memoryview, *, unfinished: bool = False) -> dict[str, int | str]:
    """Judges a frame.

    Args:
        frame: its octets.
        unfinished: whether its checksum has still to be completed, as a virtio-net header tells.

    Returns:
        ``verdict``: "stamped", "corrupted" or "foreign"; of a stamped one also ``kind``, ``run``, ``flow``,
        ``sequence`` and ``moment``.
    """
    octets: Octets = Octets(frame)
    stamp: Stamp
    verdict = read_frame(octets.at, cython.cast(uint32_t, octets.length), unfinished, cython.address(stamp))
    if verdict != STAMPED:
        return {"verdict": "corrupted" if verdict == CORRUPTED else "foreign"}
    kind = next(name for name, number in KINDS.items() if number == stamp.kind)
    return {
        "verdict": "stamped",
        "kind": kind,
        "run": stamp.run,
        "flow": stamp.flow,
        "sequence": stamp.sequence,
        "moment": stamp.nanoseconds,
    }
