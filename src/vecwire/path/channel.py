"""A channel: the compiled half of a port. It moves frames through descriptors that somebody else owns.

A port gives it descriptors and says what stands in front of frames on them; a worker or a port's ``recv``
and ``send`` use it, one at a time. When the peer or the interface goes away, ``lost`` says why, and nothing
moves until ``attach`` gives new descriptors.
"""

import errno as errnos

import cython
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memset
from cython.cimports.vecwire.path.batch import Batch
from cython.cimports.vecwire.path.clock import now
from cython.cimports.vecwire.path.hold import Hold, drain, keep
from cython.cimports.vecwire.path.impair import impede, release
from cython.cimports.vecwire.path.impairer import Impairer
from cython.cimports.vecwire.path.io import CONTROL_OUT, MOST_JOINED, SCRATCH, Endpoint, receive
from cython.cimports.vecwire.path.linux import (
    SK_MEMINFO_DROPS,
    SO_MEMINFO,
    SOL_SOCKET,
    fence,
    getsockopt,
    iovec,
    mmsghdr,
    socklen_t,
)
from cython.cimports.vecwire.path.send import transmit
from cython.cimports.vecwire.path.slots import Slots, lay_open
from cython.cimports.vecwire.wire.counters import COUNTERS, RECOVERED, RX_CALLS, RX_MISSED, TX_DOWN
from cython.cimports.vecwire.wire.encap import Encapsulation
from cython.cimports.vecwire.wire.filter import Filter

from vecwire.errors import PortError
from vecwire.wire.counters import NAMES

NO_PEER = errnos.EBADF
#: After every time.
EVER = cython.declare(uint64_t, 0xFFFFFFFFFFFFFFFF)
#: Packets that an outbox holds at the least, and octets of headers that it has for each on average.
LEAST_PACKETS = 512
SCRATCH_A_PACKET = 128


@cython.cclass
class Channel:
    """Moves frames through a pair of descriptors.

    Args:
        depth: frames a system call, and frames held under back-pressure.
        vec: whether a system call may move more than one frame.
    """

    endpoint: Endpoint
    hold: Hold
    impairer: Impairer
    _held: Batch
    _encapsulation: Encapsulation
    _program: Filter
    _retired: list[tuple[object, int]]
    _missed: uint32_t
    wake_fd: cython.int
    user: object
    _receiving: cython.bint
    _sending: cython.bint
    _seized: cython.bint

    def __init__(self, depth: int = 64, vec: bool = True) -> None:
        endpoint = cython.address(self.endpoint)
        memset(endpoint, 0, cython.sizeof(Endpoint))
        self.wake_fd = -1
        self.user = None
        self._retired = []
        endpoint.rx_fd = -1
        endpoint.tx_fd = -1
        endpoint.lost = NO_PEER
        endpoint.vec = vec
        self._held = Batch(depth)
        self.hold.slots = cython.address(self._held.slots)
        self.impairer = Impairer()
        box = cython.address(endpoint.outbox)
        # Whatever the depth is, there is room for some super-frames' worth of segments in one call.
        room: cython.size_t = max(depth, LEAST_PACKETS)
        box.capacity = room
        box.vectors_capacity = 2 * room + MOST_JOINED
        box.scratch_capacity = SCRATCH_A_PACKET * room + SCRATCH
        box.messages = cython.cast(cython.pointer[mmsghdr], calloc(room, cython.sizeof(mmsghdr)))
        box.vectors = cython.cast(cython.pointer[iovec], calloc(box.vectors_capacity, cython.sizeof(iovec)))
        box.scratch = cython.cast(cython.pointer[uint8_t], calloc(box.scratch_capacity, 1))
        box.controls = cython.cast(cython.pointer[uint8_t], calloc(room, CONTROL_OUT))
        box.kinds = cython.cast(cython.pointer[uint8_t], calloc(room, 1))
        box.frames = cython.cast(cython.pointer[uint32_t], calloc(5 * room, 4))
        if (
            box.messages == cython.NULL
            or box.vectors == cython.NULL
            or box.scratch == cython.NULL
            or box.controls == cython.NULL
            or box.kinds == cython.NULL
            or box.frames == cython.NULL
        ):
            raise MemoryError("no memory for the messages of a port")
        box.segments = box.frames + room
        box.octets = box.frames + 2 * room
        box.merged = box.frames + 3 * room
        box.first_packets = box.frames + 4 * room

    def __dealloc__(self) -> None:
        free(self.endpoint.outbox.messages)
        free(self.endpoint.outbox.vectors)
        free(self.endpoint.outbox.scratch)
        free(self.endpoint.outbox.frames)
        free(self.endpoint.outbox.kinds)
        free(self.endpoint.outbox.controls)

    def attach(
        self,
        rx_fd: int,
        tx_fd: int,
        *,
        rx_tun: bool = False,
        tx_tun: bool = False,
        seqpacket: bool = False,
        encapsulation: Encapsulation | None = None,
        rx_vnet: int = 0,
        tx_vnet: int = 0,
        gso: int = 0,
        auxdata: bool = False,
        udp_gro: bool = False,
        segment_limit: int = 0,
        stamps: bool = False,
    ) -> None:
        """Begins to use descriptors, which stay their owner's.

        A worker may have a seat for the channel meanwhile: it touches nothing of a channel that is lost.

        Args:
            rx_fd: the non-blocking descriptor to receive from.
            tx_fd: the one to send to.
            rx_tun: whether the receiving descriptor is /dev/net/tun, not a socket.
            tx_tun: the same for the sending one.
            seqpacket: whether an empty record means that the peer is gone.
            encapsulation: what stands in front of frames on a tunnel; the first one stays, with its count.
            rx_vnet: octets of the virtio-net header in front of received frames, 0, 10 or 12.
            tx_vnet: the same in front of sent frames.
            gso: the kinds of super-frame that may be sent, bit ``1 << gso_type`` for each.
            auxdata: whether VLAN tags arrive in PACKET_AUXDATA.
            udp_gro: whether several datagrams may arrive in one piece.
            segment_limit: the longest packet, in octets, that may share a message with others; 0 for none.
            stamps: whether the times of frames are kept: as the socket gives them, or when a tap was read.
        """
        endpoint = cython.address(self.endpoint)
        if endpoint.rx_fd != rx_fd:
            # What its filter dropped before the socket was connected was nobody's to receive.
            self._missed = dropped(rx_fd)
        endpoint.rx_fd = rx_fd
        endpoint.tx_fd = tx_fd
        endpoint.rx_tun = rx_tun
        endpoint.tx_tun = tx_tun
        endpoint.seqpacket = seqpacket
        if encapsulation is not None and self._encapsulation is None:
            self._encapsulation = encapsulation
            endpoint.encap = cython.address(self._encapsulation.encap)
            endpoint.rx_prefix = self._encapsulation.encap.rx_length
            endpoint.tx_prefix = self._encapsulation.encap.tx_length
        endpoint.rx_vnet = rx_vnet
        endpoint.tx_vnet = tx_vnet
        endpoint.gso = gso
        endpoint.auxdata = auxdata
        endpoint.udp_gro = udp_gro
        endpoint.segment_limit = segment_limit
        endpoint.stamps = stamps
        if endpoint.encap == cython.NULL:
            endpoint.rx_prefix = rx_vnet
            endpoint.tx_prefix = tx_vnet
        self.wake_fd = -1
        endpoint.ended = False
        # Last, and after all of the above for every other processor: from here on a worker may use it.
        fence()
        endpoint.lost = 0

    def filter(self, wanted: Filter | None) -> None:
        """Receives from now on only the frames that a program wants; None receives all.

        A worker may be receiving meanwhile: it judges the frames of its batch by one or by the other.
        """
        endpoint = cython.address(self.endpoint)
        endpoint.program = cython.NULL if wanted is None else wanted.program
        fence()
        calls: uint64_t = endpoint.counters[RX_CALLS]
        # A program is kept until nobody can be running it: whoever was running it when it was replaced is
        # done with that once two more calls are counted.
        if self.user is None and not self._receiving:
            self._retired = []
        else:
            self._retired = [each for each in self._retired if calls - each[1] < 2]
            self._retired.append((self._program, calls))
        self._program = wanted

    def recovered(self) -> None:
        """Counts that the peer or the interface is back."""
        self.endpoint.counters[RECOVERED] += 1

    def detach(self, wake_fd: int = -1) -> None:
        """Stops using the descriptors: nothing moves until the next ``attach``.

        Args:
            wake_fd: a descriptor that becomes readable when a peer may be had again, if there is one.
        """
        self._count_missed()
        if not self.endpoint.lost:
            self.endpoint.lost = NO_PEER
        self.endpoint.rx_fd = -1
        self.endpoint.tx_fd = -1
        self.wake_fd = wake_fd

    def claim(self, user: object) -> None:
        """Makes ``user`` the only one to move frames here.

        Raises:
            PortError: if another user has claimed the channel, or another thread uses it.
        """
        if self.user is not None and self.user is not user:
            raise PortError(
                f"the port is joined by {self.user}",
                errno=errnos.EBUSY,
                remedy="stop that first, or open the transport a second time",
            )
        if user is not None and self.busy:
            raise in_use("uses")
        self.user = user

    def release(self, user: object) -> None:
        """Gives the channel free again."""
        if self.user is user:
            self.user = None

    @property
    def lost(self) -> int:
        """The errno that the descriptors failed with; 0 while they work."""
        return self.endpoint.lost

    @property
    def blocked(self) -> int:
        """The errno that the last ``send`` stopped at: EAGAIN, ENOBUFS; 0 where it took all."""
        return self.endpoint.blocked

    @property
    def segment_limit(self) -> int:
        """The longest packet that may leave with others in one message now; 0 where none may."""
        return self.endpoint.segment_limit

    @property
    def gso(self) -> int:
        """The kinds of super-frame that are sent whole now, bit ``1 << gso_type`` for each."""
        return self.endpoint.gso

    @property
    def held(self) -> int:
        """How many frames wait for the kernel to take them."""
        return self.hold.count

    def counters(self) -> dict[str, int]:
        """All counters by name, as they stand now."""
        self._count_missed()
        return {NAMES[i]: self.endpoint.counters[i] for i in range(COUNTERS)}

    def _count_missed(self) -> None:
        """Asks the kernel what it has dropped; the GIL, which whoever closes descriptors needs, is kept."""
        endpoint = cython.address(self.endpoint)
        if endpoint.rx_fd >= 0 and not endpoint.rx_tun:
            missed: uint32_t = dropped(endpoint.rx_fd)
            # The kernel's number has 32 bits, and begins anew.
            endpoint.counters[RX_MISSED] += cython.cast(uint32_t, missed - self._missed)
            self._missed = missed

    @property
    def late(self) -> int:
        """How many frames are delayed."""
        return self.impairer.impair.count

    def settle(self) -> None:
        """Sends all that is delayed, due or not, as far as the kernel takes it; drops and counts the rest."""
        impair = cython.address(self.impairer.impair)
        endpoint = cython.address(self.endpoint)
        with cython.nogil:
            release(impair, endpoint, cython.address(self.hold), EVER, 0)

    def forget(self) -> None:
        """Drops all that is delayed or held, and counts it."""
        self.endpoint.counters[TX_DOWN] += self.impairer.forget() + self.hold.count
        self.hold.count = 0
        self.hold.head = 0

    @property
    def busy(self) -> bool:
        """Whether a call of ``recv`` or ``send`` is moving frames now, in another thread."""
        return self._receiving or self._sending

    def seize(self) -> bool:
        """Keeps ``recv`` and ``send`` from moving frames until ``let_go``; False while one of them does."""
        if self.busy or self._seized:
            return False
        self._seized = True
        return True

    def let_go(self) -> None:
        """Ends what ``seize`` began."""
        self._seized = False

    def recv(self, batch: Batch) -> int:
        """Receives into a batch; how many frames it holds then, none while the channel is seized.

        One thread may receive while another sends.

        Raises:
            PortError: if a cable or a switch has claimed the port, or another thread receives from it.
        """
        endpoint = cython.address(self.endpoint)
        slots = cython.address(batch.slots)
        got: uint32_t = 0
        if not self.enter_recv():
            batch.clear()
            return 0
        with cython.nogil:
            got = receive(endpoint, slots)
            lay_open(slots)
        self.leave_recv()
        batch.publish()
        return got

    def send(self, batch: Batch, first: int = 0) -> int:
        """Sends the frames of a batch from ``first`` on; how many of them are done with.

        While the channel is lost, or seized, that is none.

        Raises:
            PortError: if a cable or a switch has claimed the port, or another thread sends through it.
            ValueError: if a frame was given a length that leaves its slot; nothing is sent then.
        """
        endpoint = cython.address(self.endpoint)
        hold = cython.address(self.hold)
        if not self.enter_send():
            return 0
        try:
            slots = batch.ready(first)
            start: uint32_t = first if slots == cython.address(batch.slots) else 0
            index: uint32_t = start
            with cython.nogil:
                endpoint.blocked = 0
                if self.impairer.impair.on:
                    index = self._impede(slots, start)
                elif not hold.count or drain(endpoint, hold):
                    index = transmit(endpoint, slots, start, slots.count)
                    # Where some segments of a frame have left, the rest of it follows from a copy.
                    if index < slots.count and slots.progress[index] and keep(endpoint, hold, slots, index):
                        slots.progress[index] = 0
                        index += 1
        finally:
            self.leave_send()
        return batch.conclude(slots, index) - first

    def enter_send(self) -> bool:
        """Keeps others from sending until ``leave_send``, for a loop that sends; False while it is seized.

        Raises:
            PortError: if a cable or a switch has claimed the port, or another thread sends through it.
        """
        if self.user is not None:
            self.claim(None)
        if self._sending:
            raise in_use("sends through")
        self._sending = not self._seized
        return self._sending

    def leave_send(self) -> None:
        """Ends what ``enter_send`` began."""
        self._sending = False

    def enter_recv(self) -> bool:
        """Keeps others from receiving until ``leave_recv``, for a loop; False while it is seized.

        Raises:
            PortError: if a cable or a switch has claimed the port, or another thread receives from it.
        """
        if self.user is not None:
            self.claim(None)
        if self._receiving:
            raise in_use("receives from")
        self._receiving = not self._seized
        return self._receiving

    def leave_recv(self) -> None:
        """Ends what ``enter_recv`` began."""
        self._receiving = False

    def _impede(self, slots: cython.pointer[Slots], start: uint32_t) -> uint32_t:
        """Sends frames from ``start`` on through what impairs them; the first that is not done with."""
        endpoint = cython.address(self.endpoint)
        hold = cython.address(self.hold)
        end: uint32_t
        while start < slots.count and not endpoint.lost:
            # As many as can be held if the kernel takes none of them: what must wait stays the caller's.
            if hold.count and not drain(endpoint, hold):
                break
            end = min(slots.count, start + hold.slots.depth)
            impede(cython.address(self.impairer.impair), endpoint, hold, slots, start, end, now())
            start = end
        return start

    def flush(self) -> None:
        """Sends what ``send`` has taken and is held, or delayed and due, as far as the kernel takes it."""
        endpoint = cython.address(self.endpoint)
        hold = cython.address(self.hold)
        impair = cython.address(self.impairer.impair)
        if not hold.count and not impair.count:
            return
        if self._sending or self._seized or self.user is not None:
            return
        self._sending = True
        with cython.nogil:
            if drain(endpoint, hold) and impair.count:
                release(impair, endpoint, hold, now(), 0)
        self._sending = False


@cython.cfunc
@cython.exceptval(check=False)
def dropped(fd: cython.int) -> uint32_t:
    """What the kernel has dropped in front of a socket for want of room (SO_MEMINFO); 0 for others."""
    values: uint32_t[16]
    length: socklen_t = cython.sizeof(values)
    memset(values, 0, cython.sizeof(values))
    if getsockopt(fd, SOL_SOCKET, SO_MEMINFO, values, cython.address(length)) < 0:
        return 0
    return values[SK_MEMINFO_DROPS]


def in_use(how: str) -> PortError:
    """The error to raise where two threads do the same with one port."""
    return PortError(
        f"another thread {how} the port",
        errno=errnos.EBUSY,
        remedy="one thread may receive while another sends; give each its own port for more",
    )
