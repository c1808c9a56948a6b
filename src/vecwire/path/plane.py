"""The forwarding plane of a switch: its ports, the VLANs that each takes part in, and views of a batch.

A view is a table of some of a batch's frames, in the memory of the batch: what is sent through a port that
not all of the batch is for. Tags are put in and taken out in place (IEEE 802.1Q, clause 9).
"""

import cython
from cython.cimports.libc.stdint import uint8_t, uint16_t, uint32_t
from cython.cimports.vecwire.path.io import Endpoint
from cython.cimports.vecwire.path.plane import (
    AS_IT_IS,
    HAS_TAG,
    NATIVE,
    NEVER,
    TAGGED,
    UNTAGGED,
    Member,
    Plane,
)
from cython.cimports.vecwire.path.slots import Slots
from cython.cimports.vecwire.path.witness import lose
from cython.cimports.vecwire.wire.counters import SWITCH_VLAN
from cython.cimports.vecwire.wire.ethernet import HEADER, VLAN_TAG, insert_vlan, read16, remove_vlan, write16
from cython.cimports.vecwire.wire.vnet import NEEDS_CSUM, VnetHeader

CUSTOMER_TAG = cython.declare(uint32_t, 0x8100)


def takes(member: cython.pointer[Member], vlan: uint32_t) -> cython.int:
    """How a port takes frames of a VLAN: NEVER, UNTAGGED, TAGGED or AS_IT_IS."""
    if member.transparent:
        return AS_IT_IS if vlan == NATIVE else TAGGED
    if vlan == NATIVE:
        return NEVER
    if vlan == member.untagged:
        return UNTAGGED
    return TAGGED if member.tagged[vlan >> 3] >> (vlan & 7) & 1 else NEVER


def assign(
    plane: cython.pointer[Plane],
    member: cython.pointer[Member],
    slots: cython.pointer[Slots],
    index: uint32_t,
) -> cython.bint:
    """Finds a frame's VLAN and whether it carries a tag; False where its port is not in that VLAN."""
    frame: cython.pointer[uint8_t] = slots.memory + slots.starts[index]
    tci: uint32_t
    vlan: uint32_t = 0
    plane.marks[index] = 0
    if slots.lengths[index] >= HEADER + VLAN_TAG and read16(frame + 12) == CUSTOMER_TAG:
        plane.marks[index] = HAS_TAG
        tci = read16(frame + 14)
        vlan = tci & 0x0FFF
        if vlan == 0 and member.untagged:
            # A priority tag, which names no VLAN (clause 9.6): that of the port is written into it.
            vlan = member.untagged
            write16(frame + 14, tci | vlan)
        if vlan == 0 and member.transparent:
            vlan = NATIVE
        if vlan == 0x0FFF:
            return False
    else:
        vlan = member.untagged
    plane.vlans[index] = cython.cast(uint16_t, vlan)
    return takes(member, vlan) != NEVER


def change(
    plane: cython.pointer[Plane],
    slots: cython.pointer[Slots],
    index: uint32_t,
    origin: cython.pointer[Endpoint],
) -> cython.bint:
    """Puts the tag of its VLAN into a frame, or takes it out.

    Without room for it the frame is a drop of the port that it came from, and the result is False.
    """
    header: cython.pointer[VnetHeader] = cython.address(slots.vnet[index])
    start: uint32_t = slots.starts[index]
    if plane.marks[index] & HAS_TAG:
        remove_vlan(slots.memory + start)
        slots.starts[index] = start + VLAN_TAG
        slots.heads[index] += VLAN_TAG
        slots.lengths[index] -= VLAN_TAG
        if header.flags & NEEDS_CSUM:
            header.csum_start -= VLAN_TAG
        if header.hdr_len:
            header.hdr_len -= VLAN_TAG
    else:
        if slots.heads[index] < VLAN_TAG:
            lose(cython.address(origin.counters[0]), origin.witness, slots, index, SWITCH_VLAN)
            return False
        insert_vlan(slots.memory + start, CUSTOMER_TAG, plane.vlans[index])
        slots.starts[index] = start - VLAN_TAG
        slots.heads[index] -= VLAN_TAG
        slots.lengths[index] += VLAN_TAG
        if header.flags & NEEDS_CSUM:
            header.csum_start += VLAN_TAG
        if header.hdr_len:
            header.hdr_len += VLAN_TAG
    plane.marks[index] ^= HAS_TAG
    return True


def pick(view: cython.pointer[Slots], slots: cython.pointer[Slots], index: uint32_t) -> cython.void:
    """Adds a frame of the batch to the view."""
    at: uint32_t = view.count
    view.starts[at] = slots.starts[index]
    view.lengths[at] = slots.lengths[index]
    view.heads[at] = slots.heads[index]
    view.progress[at] = 0
    view.vnet[at] = slots.vnet[index]
    view.count = at + 1


def begin_view(plane: cython.pointer[Plane], slots: cython.pointer[Slots]) -> cython.void:
    """Empties the view, in the memory of a batch."""
    plane.view.memory = slots.memory
    plane.view.stride = slots.stride
    plane.view.headroom = slots.headroom
    plane.view.depth = slots.depth
    plane.view.plain = slots.plain
    plane.view.count = 0
