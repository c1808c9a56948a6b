"""Coalescing: consecutive frames of one TCP flow become one super-frame, as the kernel's GRO makes them.

Theory of operation: ``begin`` takes a frame that may start a super-frame; ``join`` takes the next one if it
continues the stream and segmentation would make it again from the whole: the same headers, octet for octet,
but for what counts on by itself (lengths, IPv4 identification, sequence number, checksums) and PSH, which
ends it. A shorter frame ends it too. The checksums of both are verified before a frame joins, since the
whole is sent with a checksum that the kernel takes on trust; a frame that nothing follows costs no sum.
Anything else is left as it is; nothing is reordered.

The payload is not touched: ``write_super_headers`` writes the one set of headers in front of the slices.
The rules are those of ``tcp_gro_receive`` and ``inet_gro_receive`` in the kernel's net/ipv4.
"""

import cython
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcmp, memcpy
from cython.cimports.vecwire.wire.checksum import add, fold, pseudo_header
from cython.cimports.vecwire.wire.coalesce import Train
from cython.cimports.vecwire.wire.ethernet import TCP, Layout, dissect, read16, read32, write16
from cython.cimports.vecwire.wire.segment import MAXIMUM_HEADERS, MINIMUM_SIZE
from cython.cimports.vecwire.wire.vnet import GSO_TCPV4, GSO_TCPV6, NEEDS_CSUM, VnetHeader

from vecwire.wire.vnet import Vnet

ACK = cython.declare(uint8_t, 0x10)
PSH = cython.declare(uint8_t, 0x08)
CHECKSUM = cython.declare(uint32_t, 16)
DONT_FRAGMENT = cython.declare(uint32_t, 0x4000)
#: The longest IP packet that a super-frame may be.
LONGEST = cython.declare(uint32_t, 65535)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def eligible(
    frame: cython.pointer[cython.const[uint8_t]], length: uint32_t, layout: cython.pointer[Layout]
) -> cython.bint:
    """Whether a frame may be part of a super-frame: plain TCP data, not padded, with no IP options."""
    transport: uint32_t
    network: uint32_t
    if not dissect(frame, length, layout) or layout.protocol != TCP:
        return False
    transport = layout.transport
    network = layout.network
    if layout.end != length or layout.payload == length or layout.payload > MAXIMUM_HEADERS:
        return False
    # Only ACK, with or without PSH: what opens, ends or alarms a flow passes by itself.
    if frame[transport + 13] & ~PSH != ACK:
        return False
    if layout.version == 4:
        return transport - network == 20 and read16(frame + network + 2) == length - network
    return transport - network == 40 and read16(frame + network + 4) == length - transport


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def verified(
    frame: cython.pointer[cython.const[uint8_t]],
    length: uint32_t,
    layout: cython.pointer[cython.const[Layout]],
) -> cython.bint:
    """Whether the checksums of a frame, IPv4's and TCP's, are right."""
    transport: uint32_t = layout.transport
    network: uint32_t = layout.network
    if layout.version == 4 and fold(add(frame + network, 20, 0)) != 0xFFFF:
        return False
    total: uint64_t = pseudo_header(frame + network, layout.version, TCP, length - transport)
    return fold(add(frame + transport, length - transport, total)) == 0xFFFF


def begin(
    train: cython.pointer[Train], frame: cython.pointer[cython.const[uint8_t]], length: uint32_t
) -> cython.bint:
    """Starts a super-frame with a frame; False where it may not be part of one."""
    layout = cython.address(train.layout)
    # What segmentation would refuse to cut again is not begun.
    if not eligible(frame, length, layout) or length - layout.payload < MINIMUM_SIZE:
        return False
    train.first = frame
    train.size = length - layout.payload
    train.octets = length
    train.count = 1
    train.next_sequence = read32(frame + layout.transport + 4) + train.size
    train.next_id = (read16(frame + layout.network + 4) + 1) & 0xFFFF
    train.same_id = False
    train.verified = False
    train.last_flags = frame[layout.transport + 13]
    train.ended = train.last_flags & PSH != 0
    return True


def join(
    train: cython.pointer[Train], frame: cython.pointer[cython.const[uint8_t]], length: uint32_t
) -> cython.bint:
    """Adds the next frame to a super-frame; False where it does not continue it, which changes nothing."""
    mine: Layout
    ip: cython.pointer[cython.const[uint8_t]]
    first: cython.pointer[cython.const[uint8_t]] = train.first
    network: uint32_t = train.layout.network
    transport: uint32_t = train.layout.transport
    payload: uint32_t = train.layout.payload
    size: uint32_t
    identification: uint32_t
    same_id: cython.bint = train.same_id
    if train.ended or length <= payload:
        return False
    size = length - payload
    if size > train.size or train.octets - network + size > LONGEST:
        return False
    # Cheapest first: the sequence number tells almost every frame that does not belong.
    if read32(frame + transport + 4) != train.next_sequence:
        return False
    # Addresses, tags and type; ports; acknowledgement; data offset, window, urgent pointer, options.
    if memcmp(frame, first, network) != 0 or memcmp(frame + transport, first + transport, 4) != 0:
        return False
    if memcmp(frame + transport + 8, first + transport + 8, 5) != 0:
        return False
    if memcmp(frame + transport + 14, first + transport + 14, 2) != 0:
        return False
    if memcmp(frame + transport + 18, first + transport + 18, payload - transport - 18) != 0:
        return False
    ip = frame + network
    if train.layout.version == 4:
        # Version, header length and type of service; fragmentation, time to live, protocol; addresses.
        if memcmp(ip, first + network, 2) != 0 or memcmp(ip + 6, first + network + 6, 4) != 0:
            return False
        if memcmp(ip + 12, first + network + 12, 8) != 0:
            return False
        identification = read16(ip + 4)
        if train.count == 1:
            # Some hosts give all packets that may not be fragmented the same identification (RFC 6864).
            same_id = identification == read16(first + network + 4) and read16(ip + 6) & DONT_FRAGMENT != 0
        if identification != (read16(first + network + 4) if same_id else train.next_id):
            return False
    elif memcmp(ip, first + network, 4) != 0 or memcmp(ip + 6, first + network + 6, 34) != 0:
        return False
    if not eligible(frame, length, cython.address(mine)) or mine.payload != payload:
        return False
    if not train.verified and not verified(first, train.octets, cython.address(train.layout)):
        # What is wrong already joins with nothing: whoever it is meant for must see it as it is.
        train.ended = True
        return False
    train.verified = True
    if not verified(frame, length, cython.address(mine)):
        return False
    train.octets += size
    train.count += 1
    train.next_sequence += size
    train.next_id = (train.next_id + 1) & 0xFFFF
    train.same_id = same_id
    train.last_flags = frame[transport + 13]
    train.ended = size < train.size or train.last_flags & PSH != 0
    return True


def write_super_headers(
    train: cython.pointer[cython.const[Train]],
    out: cython.pointer[uint8_t],
    header: cython.pointer[VnetHeader],
) -> cython.void:
    """Writes the headers of the whole, ``layout.payload`` octets, and its virtio-net header."""
    layout = cython.address(train.layout)
    ip: cython.pointer[uint8_t] = out + layout.network
    length: uint32_t = train.octets - layout.network
    field: uint16_t
    memcpy(out, train.first, layout.payload)
    if layout.version == 4:
        write16(ip + 2, length)
        write16(ip + 10, 0)
        field = ~fold(add(ip, 20, 0))
        memcpy(ip + 10, cython.address(field), 2)
    else:
        write16(ip + 4, length - 40)
    out[layout.transport + 13] = train.last_flags
    # The kernel finishes the checksum, segment by segment: the field holds the pseudo-header's sum.
    field = fold(pseudo_header(ip, layout.version, TCP, train.octets - layout.transport))
    memcpy(out + layout.transport + CHECKSUM, cython.address(field), 2)
    header.flags = NEEDS_CSUM
    header.gso_type = GSO_TCPV4 if layout.version == 4 else GSO_TCPV6
    header.hdr_len = layout.payload
    header.gso_size = train.size
    header.csum_start = layout.transport
    header.csum_offset = CHECKSUM
    header.num_buffers = 0


def coalesced(frames: list[bytes]) -> tuple[int, bytes, Vnet]:
    """Joins as many frames as may be, from the first on.

    Args:
        frames: the frames, in the order that they came.

    Returns:
        How many were joined, the frame that leaves in their place, and its virtio-net header. One frame
        that cannot be joined with the next is given back as it is.

    Raises:
        ValueError: if there are none.
    """
    if not frames:
        raise ValueError("there are no frames to coalesce")
    train: Train
    frame: bytes = frames[0]
    if not begin(
        cython.address(train), cython.cast(cython.pointer[cython.const[uint8_t]], frame), len(frame)
    ):
        return 1, frame, Vnet()
    for frame in frames[1:]:
        if not join(
            cython.address(train), cython.cast(cython.pointer[cython.const[uint8_t]], frame), len(frame)
        ):
            break
    if train.count == 1:
        return 1, frames[0], Vnet()
    head: uint8_t[384]
    header: VnetHeader
    write_super_headers(cython.address(train), cython.address(head[0]), cython.address(header))
    start = train.layout.payload
    whole = cython.cast(cython.p_char, cython.address(head[0]))[:start] + b"".join(
        each[start:] for each in frames[: train.count]
    )
    return (
        train.count,
        whole,
        Vnet(
            header.flags,
            header.gso_type,
            header.hdr_len,
            header.gso_size,
            header.csum_start,
            header.csum_offset,
        ),
    )
