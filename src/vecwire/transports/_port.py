"""The port of every transport: its descriptors, its channel, and how it comes back when its peer has gone.

Theory of operation: an opener gives an ``Opened``; the channel moves frames through its descriptors. When
the channel is lost, ``recover`` is called, by the port's own calls or by the worker that has claimed it.
A server takes the next client. A packet socket whose interface only went down is used again, since it
revives with the interface. Everything else is opened anew, from the same spec, until that succeeds.
"""

import contextlib
import errno
import logging
import os
import secrets
import select
import time
import warnings
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self

from vecwire import bpf
from vecwire.errors import ClosedError, PortError, SpecError, UnsupportedError, VecwireError
from vecwire.path.batch import LEAST_HEADROOM, LONGEST_FRAME, MOST_FRAMES_PER_SLOT, Batch
from vecwire.path.channel import Channel, in_use
from vecwire.port import PortInfo, PortStats
from vecwire.spec import HybridSpec, Impairment, L2tpv3Spec, RawSpec, Spec, parse, place_of
from vecwire.transports import _netns, bess
from vecwire.transports._descriptor import Descriptor
from vecwire.transports._filters import wanted
from vecwire.transports._offload import Offload
from vecwire.transports._opened import Opened
from vecwire.transports._packet import bound_index, interface_index
from vecwire.transports._refusal import refusals
from vecwire.transports._sockets import enable_timestamps
from vecwire.transports._table import open_transport
from vecwire.transports._timer import Timer

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("vecwire.port")

#: How long a lost port's own calls wait before they try again, in seconds.
RETRY_SECONDS = 0.2
ETHERNET_AND_TAGS = 14 + 8


class TransportPort:
    """A port on a transport of this host; see ``vecwire.port`` for the contract.

    Args:
        spec: what to open.
        patient: whether an interface, a namespace, an address or a peer that is not there is waited for.

    Raises:
        SpecError: if its filter expression is wrong, or ``fd`` is a descriptor of another kind.
        UnsupportedError: if this user may not, or this host cannot.
        PortError: if the interface, the address or the peer is not there, and ``patient`` is not given; if
            there is no filter in its file.
    """

    def __init__(self, spec: Spec, *, patient: bool = False) -> None:
        self._closed = True
        self.spec = spec
        self._poll_set: select.epoll | None = None
        self._timer: Timer | None = None
        self._timed = False
        self._retry_at = 0.0
        self._left_waiting = False
        self._trouble: str | None = None
        self._hopeless = False
        self._namespace: tuple[int, int] | None = None
        self._changed = time.monotonic()
        #: Whether another thread brings it back, by ``recover_when_due``, and not its own calls: whose they
        #: are may have given up what opening takes.
        self.kept = False
        #: Calls a function while nobody moves the port's frames, where an engine has claimed it.
        self.quietly: Callable[[Callable[[], None]], None] | None = None
        self._program = wanted(spec)
        try:
            self._opened: Opened = self._open()
        except PortError as error:
            if not patient:
                raise
            logger.warning("%s: waited for: %s", spec.public, error)
            self._trouble = str(error)
            self._opened = Opened()
        try:
            self.channel = Channel(depth=spec.depth, vec=spec.vec)
            self._impair(spec.impairment)
            self.channel.filter(None if self._program is None else bpf.matcher(self._program))
            self._attach()
        except BaseException:
            self._opened.close()
            raise
        self._closed = False

    def _open(self) -> Opened:
        # Before: where it is another one by the time that it is entered, the port is astray, and comes back.
        self._namespace = _netns.identity(self.spec.netns)
        return open_transport(self.spec)

    def _attach(self) -> None:
        """Gives the channel the descriptors that there are now."""
        with refusals(f"open {self.spec.public}", self.spec.transport):
            self._attach_opened()

    def _attach_opened(self) -> None:
        opened = self._opened
        opened.want(self._program)
        if opened.rx is None or opened.tx is None:
            self.channel.detach(-1 if opened.listener is None else opened.listener.fileno())
            self._arm()
        else:
            if self.spec.timestamps:
                enable_timestamps(opened)
            # What may fail comes first: from ``attach`` on, frames move.
            self._arm()
            self.channel.attach(
                opened.rx.fileno(),
                opened.tx.fileno(),
                rx_tun=opened.rx_tun,
                tx_tun=opened.tx_tun,
                seqpacket=opened.seqpacket,
                encapsulation=opened.encapsulation,
                rx_vnet=opened.rx_vnet,
                tx_vnet=opened.tx_vnet,
                gso=opened.gso,
                auxdata=opened.auxdata,
                udp_gro=opened.udp_gro,
                segment_limit=opened.segment_limit,
                stamps=opened.stamps,
            )

    def recover(self) -> bool:
        """Tries once to bring a lost port back; whether it is.

        Called with the port claimed, or by the port's own calls: never while frames move.
        """
        if self._closed or not self.channel.lost:
            return not self._closed
        if not self.channel.seize():
            # Another thread is about to notice the same.
            return False
        try:
            back = self._recover()
            self._trouble = None
            self._hopeless = False
        except (VecwireError, OSError, MemoryError) as error:
            if self.spec.fd is not None and isinstance(error, SpecError) and not self._hopeless:
                self._hopeless = True
                logger.warning("%s: stays down: %s", self.spec.public, error)
            logger.debug("%s: not back yet: %s", self.spec.public, error)
            self._trouble = str(error) or type(error).__name__
            back = False
        finally:
            self.channel.let_go()
        if back:
            self.channel.recovered()
            self.note_change()
            logger.info("%s: is back", self.spec.public)
        return back

    def _recover(self) -> bool:
        opened = self._opened
        if opened.listener is not None:
            if opened.rx is not None:
                logger.info("%s: the client has gone; waiting for the next one", self.spec.public)
                opened.drop_peer()
                self._attach()
            if self._accept(opened.listener):
                self._attach()
                return True
            return False
        if opened.auxdata and opened.rx is not None and self._interface_is_the_same():
            self._attach()
            return True
        if opened.rx is not None:
            logger.warning("%s: lost; opening it again until that succeeds", self.spec.public)
            self.channel.detach()
            opened.close()
            opened.rx = opened.tx = None
            self._arm()
        self._opened = self._open()
        self._attach()
        # A server that is there has no client yet.
        return not self.channel.lost

    def _accept(self, listener: Descriptor) -> bool:
        """Takes the next client, if one is waiting; one that cannot be taken is left alone for a while."""
        before, self._left_waiting = self._left_waiting, True
        try:
            taken = bess.accept(listener, self._opened)
            self._left_waiting = False
        finally:
            if self._left_waiting != before:
                # Its knocking at the door must not wake users again and again.
                self._arm()
        return taken

    @property
    def hopeless(self) -> bool:
        """Whether trying again is of no use: its descriptor was passed in, and leads nowhere any more."""
        return self._hopeless

    def _interface_is_the_same(self) -> bool:
        ifname, ifindex = self._opened.ifname, self._opened.ifindex
        if self.spec.fd is not None and self._opened.rx is not None:
            # It may be in another namespace than this process.
            return bound_index(self._opened.rx) == ifindex
        if self.astray:
            return False
        try:
            return _netns.inside(self.spec.netns, lambda: interface_index(ifname or "")) == ifindex
        except (PortError, UnsupportedError):
            return False

    def _alive(self) -> None:
        if self._closed:
            raise ClosedError(f"the port {self.spec.public} was used after it was closed")

    def _find_lost(self) -> None:
        """Has a port's own calls bring it back."""
        if self._timer is not None:
            self._timer.clear()
        if not self.kept:
            self.recover_when_due()

    def recover_when_due(self) -> None:
        """Tries to bring a lost port back that nobody has claimed, not more often than is of use."""
        if self.channel.lost and self.channel.user is None:
            moment = time.monotonic()
            if moment >= self._retry_at or (self.channel.wake_fd >= 0 and not self._left_waiting):
                self._retry_at = moment + RETRY_SECONDS
                self.recover()

    @property
    def home(self) -> Path | None:
        """Where the name of the port's namespace is; None where the spec names none."""
        return None if self.spec.netns is None else _netns.path_of(self.spec.netns).absolute()

    @property
    def astray(self) -> bool:
        """Whether the name of the port's namespace leads to another one by now, or nowhere."""
        return self._namespace != _netns.identity(self.spec.netns)

    def note_change(self) -> None:
        """Notes that the port went up or down just now."""
        self._changed = time.monotonic()

    @property
    def since(self) -> float:
        """How long the port has been up, or has not been, in seconds."""
        return time.monotonic() - self._changed

    @property
    def why(self) -> str | None:
        """Why the port is not up, in a sentence; None while it is."""
        if self._closed:
            return "it was closed"
        if not self.channel.lost:
            return None
        if self._trouble is not None:
            return self._trouble
        if self._opened.listener is not None:
            return "no client is connected"
        return os.strerror(self.channel.lost)

    @property
    def info(self) -> PortInfo:
        """What was opened, and whether it is up."""
        opened = self._opened
        offloads, refused = list(opened.offloads), dict(opened.refused)
        limit = self.channel.segment_limit
        if limit < opened.segment_limit:
            # What the kernel refused while frames moved: the channel does without since.
            refused[Offload.UDP_SEGMENTATION] = (
                f"packets longer than {limit} octets leave one by one"
                if limit
                else "packets leave one by one"
            )
            if not limit:
                offloads.remove(Offload.UDP_SEGMENTATION)
        if self.channel.gso != opened.gso:
            refused[Offload.SUPER_FRAMES] = "the interface refused them, and does not segment"
        descriptors = {
            role: owned.number
            for role, owned in (("rx", opened.rx), ("tx", opened.tx), ("listen", opened.listener))
            if owned is not None and owned.is_open
        }
        return PortInfo(
            transport=self.spec.transport,
            spec=str(self.spec),
            descriptors=MappingProxyType(descriptors),
            ifname=opened.ifname,
            mtu=self.spec.mtu,
            overhead=self.spec.overhead,
            offloads=tuple(each.value for each in offloads),
            refused=MappingProxyType({each.value: why for each, why in refused.items()}),
            up=not self._closed and not self.channel.lost,
        )

    @property
    def stats(self) -> PortStats:
        """The counters as they stand now; after ``close`` as they stood then."""
        return PortStats(self.channel.counters())

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed

    def batch(self, depth: int | None = None) -> Batch:
        """A batch that fits the port: ``depth`` slots, the spec's by default.

        Raises:
            ValueError: if the depth is out of range.
        """
        shape = self.shape
        return Batch(depth or shape[0], *shape[1:])

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The depth, size, headroom and frames per slot of a batch that fits the port, whatever it finds."""
        spec = self.spec
        # A packet socket cannot refuse the super-frames that its interface has: it needs the room for them.
        whole = spec.gro or isinstance(spec, RawSpec | HybridSpec)
        in_pieces = isinstance(spec, L2tpv3Spec) and spec.udp and spec.gro
        return (
            spec.depth,
            LONGEST_FRAME if whole else spec.mtu + ETHERNET_AND_TAGS,
            max(spec.headroom, LEAST_HEADROOM),
            MOST_FRAMES_PER_SLOT if in_pieces else 1,
        )

    def recv(self, batch: Batch) -> int:
        """Receives frames into ``batch``; how many it holds then.

        Raises:
            ClosedError: if the port is closed.
            PortError: if a cable has claimed the port.
            ValueError: if the batch has no room for the pieces that the port receives.
        """
        self._alive()
        if self._opened.udp_gro and (
            batch.size < LONGEST_FRAME or batch.frames_per_slot < MOST_FRAMES_PER_SLOT
        ):
            raise ValueError(
                "this port receives many frames in one piece: give it its own batch(), or open it with gro=0"
            )
        self.channel.flush()
        got = self.channel.recv(batch)
        if not got and self.channel.lost:
            self._find_lost()
        self._follow_late()
        return got

    def send(self, batch: Batch, first: int = 0) -> int:
        """Sends the frames of ``batch`` from ``first`` on; how many are done with.

        Raises:
            ClosedError: if the port is closed.
            PortError: if a cable has claimed the port.
            ValueError: if there is no frame ``first``, or one was given a length that leaves its slot.
        """
        self._alive()
        if not 0 <= first <= len(batch):
            raise ValueError(f"the batch holds {len(batch)} frames; there is no frame {first} to begin with")
        if self.channel.lost:
            self._find_lost()
        done = self.channel.send(batch, first)
        self._follow_late()
        return done

    def wait(self, timeout: float | None = None, *, write: bool = False) -> bool:
        """Waits until frames can be received, or sent with ``write``; False where the time ran out.

        Raises:
            ClosedError: if the port is closed.
        """
        self._alive()
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self.channel.flush()
            if self.channel.lost:
                self._find_lost()
            left = self._until_due(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if self._look(left, write=write):
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False

    @property
    def due(self) -> int | None:
        """When the next frame that is delayed leaves, in nanoseconds of the monotonic clock; None without."""
        moment: int | None = self.channel.impairer.due
        return moment

    def _until_due(self, seconds: float | None) -> float | None:
        """The time to sleep for, so that frames which are delayed leave when they are due."""
        due = self.due
        if due is None:
            return seconds
        left = max(0.0, (due - time.monotonic_ns()) / 1e9)
        return left if seconds is None else min(seconds, left)

    def _look(self, seconds: float | None, *, write: bool) -> bool:
        """Sleeps until the descriptor is ready, or, while there is none, until it is time to try again."""
        watch = select.poll()
        opened = self._opened
        lost = bool(self.channel.lost)
        if lost:
            if opened.listener is not None and not self._left_waiting and not self.kept:
                watch.register(opened.listener, select.POLLIN)
            else:
                seconds = RETRY_SECONDS if seconds is None else min(seconds, RETRY_SECONDS)
        elif write and opened.tx is not None:
            watch.register(opened.tx, select.POLLOUT)
        elif opened.rx is not None:
            watch.register(opened.rx, select.POLLIN)
        with refusals(f"wait for {self.spec.public}"):
            ready = watch.poll(None if seconds is None else seconds * 1000)
        return bool(ready) and not lost

    def fileno(self) -> int:
        """A descriptor that is readable when frames may be received; the same while the port lives.

        Raises:
            ClosedError: if the port is closed.
            PortError: if the kernel gives none.
        """
        self._alive()
        if self._poll_set is None:
            with refusals(f"watch {self.spec.public}"), contextlib.ExitStack() as made:
                timer = made.enter_context(Timer())
                poll_set = made.enter_context(select.epoll())
                poll_set.register(timer, select.EPOLLIN)
                # What undoes it comes first: it may find no memory itself.
                made.push(self._unwatch)
                self._timer, self._poll_set = timer, poll_set
                self._arm()
                made.pop_all()
        return self._poll_set.fileno()

    def _unwatch(self, *_: object) -> None:
        """Forgets a descriptor for users that could not be made whole."""
        self._timer = self._poll_set = None

    def _follow_late(self) -> None:
        """Has the port's own descriptor be readable when a frame that is delayed is due."""
        opened = self._opened
        if self._timer is None or (opened.rx is None and opened.listener is None):
            return
        if self.channel.late or self._timed:
            due = self._until_due(None)
            # Where that is refused, the next call tries again.
            with contextlib.suppress(OSError):
                self._timer.arm(0 if due is None else max(due, 1e-6))
                self._timed = due is not None

    def _arm(self) -> None:
        """Has the port's own descriptor follow those that it receives from now."""
        if self._poll_set is None or self._timer is None:
            return
        opened = self._opened
        # With nothing to look at, it is the time that says when to try again.
        blind = opened.rx is None and (opened.listener is None or self._left_waiting)
        self._timer.arm(RETRY_SECONDS if blind else 0)
        # With a client there, the next one waits until it has gone.
        for source, events in (
            (opened.listener, 0 if opened.rx is not None or self._left_waiting else select.EPOLLIN),
            (opened.rx, select.EPOLLIN),
        ):
            if source is None:
                continue
            try:
                self._poll_set.register(source, events)
            except FileExistsError:
                self._poll_set.modify(source, events)
        self._follow_late()

    def attach_filter(self, program: bpf.Program | str | None) -> None:
        """Replaces the filter of a running port, by a program or an expression; None takes it off.

        What waits to be received is judged by the new one too, and so are a later peer's frames.

        Raises:
            ClosedError: if the port is closed.
            SpecError: if the expression is wrong.
            UnsupportedError: if there is an expression, and no libpcap on this host.
            PortError: if the spec does not say ``bpfflash=1``, or the program is not one that can be run.
        """
        self._alive()
        if not self.spec.bpfflash:
            raise PortError(
                f"the port {self.spec.public} takes no new filter while it runs",
                remedy="open it with bpfflash=1",
            )
        if isinstance(program, str):
            program = bpf.compile_expression(program)
        try:
            judge = None if program is None else bpf.matcher(program)
        except ValueError as error:
            raise PortError(
                f"that is no filter: {error}",
                errno=errno.EINVAL,
                remedy="show the whole program with vecwire.bpf.disassemble",
            ) from error
        self._program = program
        self.channel.filter(judge)
        self._opened.want(program)

    @property
    def impairment(self) -> Impairment:
        """What is done on purpose to the frames that the port sends."""
        return self.spec.impairment

    def impair(self, impairment: Impairment) -> None:
        """Changes what is done on purpose to the frames that the port sends, while they move or before.

        Frames that are delayed leave when they were due before; at once if ``limit`` changes or nothing is to
        be done to frames any more.

        Raises:
            ClosedError: if the port is closed.
            PortError: if another thread is moving frames through it by the port's own calls.
            MemoryError: if there is no memory for as many frames as ``limit`` says.
        """
        self._alive()
        if self.quietly is not None:
            self.quietly(lambda: self._impair(impairment))
            return
        if not self.channel.seize():
            raise in_use("uses")
        try:
            self._impair(impairment)
        finally:
            self.channel.let_go()

    def _impair(self, impairment: Impairment) -> None:
        if not impairment or impairment.limit != self.spec.impairment.limit:
            self.channel.settle()
        numbers = {"seed": secrets.randbits(64), **impairment.numbers()}
        self.channel.impairer.configure(**numbers)
        self.spec = self.spec.impaired(impairment)

    def close(self) -> None:
        """Gives everything back; again and again does no harm.

        Raises:
            PortError: if a cable has claimed the port, or another thread is moving frames through it.
        """
        if self._closed:
            return
        if self.channel.user is not None:
            self.channel.claim(None)
        if not self.channel.seize():
            raise in_use("uses")
        self._closed = True
        self.channel.forget()
        self.channel.detach()
        if self._poll_set is not None:
            with contextlib.suppress(OSError):  # closed all the same (close(2))
                self._poll_set.close()
        if self._timer is not None:
            self._timer.close()
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # A port that failed to open has no more than this attribute, if that.
        if not getattr(self, "_closed", True):
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
            self.channel.release(self.channel.user)
            self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "up" if not self.channel.lost else "waiting"
        return f"<Port {self.spec.public} {state}>"


def open_port(spec: str | Spec, *, patient: bool = False) -> TransportPort:
    """Opens a transport.

    Args:
        spec: the text, as ``tap,ifname=tap0``, or a spec.
        patient: whether an interface, a namespace, an address or a peer that is not there yet is waited for:
            the port is then not up until it comes.

    Raises:
        SpecError: if the text is wrong, or a filter expression in it, or a descriptor that it names.
        UnsupportedError: if this user may not, or this host cannot; it says what to do.
        PortError: if the interface, the address or the peer is not there, and ``patient`` is not given.
    """
    if not isinstance(spec, str):
        return TransportPort(spec, patient=patient)
    parsed = parse(spec)
    try:
        return TransportPort(parsed, patient=patient)
    except SpecError as error:
        # Found at opening, in the canonical text: it is shown where it stands in this one.
        raise error.at(spec, *place_of(error.option or "", spec)) from None
