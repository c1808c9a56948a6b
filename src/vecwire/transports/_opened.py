"""What an opener gives: descriptors, what stands in front of frames on them, and what the host refused."""

import contextlib
import os
from dataclasses import dataclass, field

from vecwire import bpf
from vecwire.errors import PortError
from vecwire.transports._descriptor import Descriptor, Entry
from vecwire.transports._offload import Offload
from vecwire.wire.encap import Encapsulation

# Bits of the super-frames that an egress takes, by gso_type (linux/virtio_net.h).
GSO_TCP = 1 << 1 | 1 << 4
GSO_UDP = 1 << 5


@dataclass(slots=True)
class Opened:
    """A transport's descriptors and how frames lie on them.

    Attributes:
        rx: receives; None while there is no peer.
        tx: sends; may be the same one.
        listener: becomes readable when a peer may be had, where a transport serves.
        rx_tun: whether ``rx`` is /dev/net/tun, not a socket.
        tx_tun: the same for ``tx``.
        seqpacket: whether an empty record means that the peer is gone.
        auxdata: whether VLAN tags arrive beside the frame.
        rx_vnet: octets of the virtio-net header in front of received frames.
        tx_vnet: the same in front of sent ones.
        gso: the kinds of super-frame that may be sent, ``1 << gso_type`` for each.
        udp_gro: whether several datagrams may arrive in one piece.
        segment_limit: the longest packet that may leave with others in one message; 0 for none.
        stamps: whether frames come with the time of their arrival.
        encapsulation: what stands in front of frames on a tunnel.
        ifname: the interface, by the name that the kernel gave.
        ifindex: its index, by which a new interface of the same name is told from it.
        offloads: those in force.
        refused: what the host refused, and its word for why.
        guard: the instructions that every filter of ``rx`` begins with.
        filtered: the descriptors with a filter, and whether each is a tap's.
        entries: the paths that were made, to be removed at close.
    """

    rx: Descriptor | None = None
    tx: Descriptor | None = None
    listener: Descriptor | None = None
    rx_tun: bool = False
    tx_tun: bool = False
    seqpacket: bool = False
    auxdata: bool = False
    rx_vnet: int = 0
    tx_vnet: int = 0
    gso: int = 0
    udp_gro: bool = False
    segment_limit: int = 0
    stamps: bool = False
    encapsulation: Encapsulation | None = None
    ifname: str | None = None
    ifindex: int = 0
    offloads: list[Offload] = field(default_factory=list)
    refused: dict[Offload, str] = field(default_factory=dict)
    guard: bpf.Program = ()
    filtered: list[tuple[Descriptor, bool]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def refuse(self, what: Offload, error: OSError) -> None:
        """Notes that the host refused something that the port can do without."""
        self.refused[what] = os.strerror(error.errno) if error.errno else str(error)

    def filter(self, descriptor: Descriptor, program: bpf.Program, *, tap: bool = False) -> None:
        """Attaches a filter, in the place of any before.

        Raises:
            PortError: if the kernel refuses the program.
        """
        bpf.attach(descriptor.fileno(), program, tap=tap)
        if (descriptor, tap) not in self.filtered:
            self.filtered.append((descriptor, tap))

    def want(self, program: bpf.Program | None) -> None:
        """Has the kernel drop what a port does not want to receive, where it sees the frames as they are.

        That saves the port to receive them; it judges by itself what still comes. None has all come.

        Raises:
            PortError: if the kernel refuses the program.
        """
        if self.rx is None or self.encapsulation is not None:
            # In front of a tunnel's frames stands what the program does not know.
            return
        judged = None if program is None else bpf.for_kernel(program, self.guard)
        if judged is not None:
            try:
                self.filter(self.rx, judged, tap=self.rx_tun)
            except PortError as error:
                # The kernel may have no room for it, and the port does without.
                self.refused[Offload.KERNEL_FILTER] = error.strerror or error.message
            else:
                return
        if self.guard:
            self.filter(self.rx, self.guard + bpf.accept_all(), tap=self.rx_tun)
        elif (self.rx, self.rx_tun) in self.filtered:
            bpf.detach(self.rx.fileno(), tap=self.rx_tun)
            self.filtered.remove((self.rx, self.rx_tun))

    def drop_peer(self) -> None:
        """Closes what led to a peer that has gone; a listener stays."""
        self.filtered = [entry for entry in self.filtered if entry[0] not in {self.rx, self.tx}]
        for owned in (self.rx, self.tx):
            if owned is not None:
                owned.close()
        self.rx = self.tx = None

    def close(self) -> None:
        """Detaches filters, closes every descriptor and removes what was made."""
        for descriptor, tap in self.filtered:
            # A tap that was deleted has no filter any more.
            with contextlib.suppress(PortError):
                bpf.detach(descriptor.fileno(), tap=tap)
        self.filtered.clear()
        for owned in (self.rx, self.tx, self.listener):
            if owned is not None:
                owned.close()
        for entry in self.entries:
            entry.remove()
        self.entries.clear()
