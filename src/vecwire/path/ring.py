"""Receives from a ring that the kernel fills (PACKET_RX_RING, TPACKET_V3): no system call a batch.

Theory of operation: the ring is memory shared with the kernel, in blocks. The kernel writes frames into a
block until it is full or a while has passed, and then says that it is the user's. All its frames are
taken, a batch at a time, and the block is given back. While a reader sleeps the sender pays for a copy
only, where a socket's queue costs it a buffer and a wake-up a frame: so more frames get through on few
processors.

The layout: Documentation/networking/packet_mmap.rst and linux/if_packet.h.
"""

import cython
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.vecwire.path.batch import Batch
from cython.cimports.vecwire.path.channel import Channel
from cython.cimports.vecwire.path.io import Endpoint
from cython.cimports.vecwire.path.linux import (
    TP_STATUS_KERNEL,
    TP_STATUS_USER,
    TP_STATUS_VLAN_TPID_VALID,
    TP_STATUS_VLAN_VALID,
    fence,
    tpacket3_hdr,
    tpacket_block_desc,
)
from cython.cimports.vecwire.path.screen import screen
from cython.cimports.vecwire.path.slots import Slots
from cython.cimports.vecwire.wire import counters as count
from cython.cimports.vecwire.wire.ethernet import HEADER, VLAN_TAG, insert_vlan
from cython.cimports.vecwire.wire.vnet import GSO_NONE, NEEDS_CSUM, VnetHeader, plausible

CUSTOMER_TAG = cython.declare(uint32_t, 0x8100)
SECOND = cython.declare(uint64_t, 1_000_000_000)


@cython.cclass
class Ring:
    """The user's side of a packet socket's ring.

    Args:
        memory: the mapping, which stays its owner's and lives as long as this.
        blocks: how many blocks it has.

    Raises:
        ValueError: if the memory is no whole number of blocks.
    """

    _memory: object
    _octets: uint8_t[::1]
    _start: cython.pointer[uint8_t]
    _blocks: uint32_t
    _block_size: uint32_t
    _block: uint32_t
    _left: uint32_t
    _next: cython.pointer[uint8_t]

    def __init__(self, memory: object, blocks: int) -> None:
        self._octets = memory
        if blocks < 1 or self._octets.shape[0] < 4096 * blocks or self._octets.shape[0] % blocks:
            raise ValueError(f"{self._octets.shape[0]} octets are not {blocks} blocks")
        self._memory = memory
        self._start = cython.address(self._octets[0])
        self._blocks = blocks
        self._block_size = cython.cast(uint32_t, self._octets.shape[0] // blocks)

    def recv(self, channel: Channel, batch: Batch) -> int:
        """Receives what the ring has into a batch, whose frames it replaces; how many it holds then.

        Args:
            channel: of the port whose socket it is: its filter judges, its counters count.
            batch: where the frames go, with their times.

        Raises:
            PortError: if a cable or a switch has claimed the port.
        """
        endpoint = cython.address(channel.endpoint)
        slots = cython.address(batch.slots)
        if channel.user is not None:
            channel.claim(None)
        slots.count = 0
        slots.used = 0
        slots.plain = not endpoint.rx_vnet
        slots.stamped = True
        with cython.nogil:
            self._fill(endpoint, slots)
        batch.publish()
        return slots.count

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _fill(self, endpoint: cython.pointer[Endpoint], slots: cython.pointer[Slots]) -> cython.void:
        """Takes frames until the batch is full or the kernel has given no further block."""
        start: cython.pointer[uint8_t]
        header: cython.pointer[tpacket3_hdr]
        while slots.count < slots.depth:
            start = self._start + cython.cast(cython.size_t, self._block) * self._block_size
            block = cython.cast(cython.pointer[tpacket_block_desc], start)
            if self._left == 0:
                # What is read after the status is what was written before it.
                fence()
                if not block.hdr.bh1.block_status & TP_STATUS_USER:
                    break
                fence()
                endpoint.counters[count.RX_CALLS] += 1
                self._left = block.hdr.bh1.num_pkts
                self._next = start + block.hdr.bh1.offset_to_first_pkt
            if self._left:
                header = cython.cast(cython.pointer[tpacket3_hdr], self._next)
                self._accept(endpoint, slots, header)
                self._next += header.tp_next_offset
                self._left -= 1
            if self._left == 0:
                fence()
                block.hdr.bh1.block_status = TP_STATUS_KERNEL
                fence()
                self._block = (self._block + 1) % self._blocks
        endpoint.counters[count.RX_MOST] = max(endpoint.counters[count.RX_MOST], slots.count)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _accept(
        self,
        endpoint: cython.pointer[Endpoint],
        slots: cython.pointer[Slots],
        header: cython.pointer[cython.const[tpacket3_hdr]],
    ) -> cython.void:
        """Copies a frame into the next slot, or counts why not."""
        counters = cython.address(endpoint.counters[0])
        frame = cython.cast(cython.pointer[cython.const[uint8_t]], header) + header.tp_mac
        length: uint32_t = header.tp_snaplen
        at: uint32_t = slots.count
        vnet = cython.address(slots.vnet[at])
        memset(vnet, 0, cython.sizeof(VnetHeader))
        if length < HEADER:
            counters[count.RX_RUNT] += 1
            return
        if length < header.tp_len or length > slots.stride - slots.headroom - 1:
            counters[count.RX_TRUNCATED] += 1
            return
        if endpoint.rx_vnet:
            memcpy(vnet, frame - endpoint.rx_vnet, endpoint.rx_vnet)
            vnet.num_buffers = 0
            if not plausible(frame, length, vnet):
                counters[count.RX_BAD_VNET] += 1
                return
        slots.starts[at] = at * slots.stride + slots.headroom
        slots.heads[at] = slots.headroom
        slots.lengths[at] = length
        slots.progress[at] = 0
        slots.stamps[at] = cython.cast(uint64_t, header.tp_sec) * SECOND + header.tp_nsec
        memcpy(slots.memory + slots.starts[at], frame, length)
        if header.tp_status & TP_STATUS_VLAN_VALID:
            insert_vlan(
                slots.memory + slots.starts[at],
                header.hv1.tp_vlan_tpid if header.tp_status & TP_STATUS_VLAN_TPID_VALID else CUSTOMER_TAG,
                header.hv1.tp_vlan_tci,
            )
            slots.starts[at] -= VLAN_TAG
            slots.heads[at] -= VLAN_TAG
            slots.lengths[at] += VLAN_TAG
            # The kernel counts the offsets of the header from the frame without its tag.
            if vnet.flags & NEEDS_CSUM:
                vnet.csum_start += VLAN_TAG
            if vnet.hdr_len:
                vnet.hdr_len += VLAN_TAG
            counters[count.RX_VLAN] += 1
        program = endpoint.program
        if program != cython.NULL and not screen(
            endpoint, program, slots.memory + slots.starts[at], slots.lengths[at], vnet
        ):
            return
        if vnet.gso_type != GSO_NONE:
            counters[count.RX_SUPER] += 1
        counters[count.RX_FRAMES] += 1
        counters[count.RX_OCTETS] += slots.lengths[at]
        slots.count = at + 1
        slots.used = at + 1
