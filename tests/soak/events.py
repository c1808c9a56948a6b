"""What happens while the service is saturated: peers come and go, and whoever can lies."""

from __future__ import annotations

import contextlib
import struct
import subprocess
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import vecwire
from peers.frames import mac
from peers.lan import send_all
from peers.net import wait_until
from soak.sites import Hybrid, Recorded, Site, Tapped, Wired
from soak.tunnels import Gre, L2tpv3Ip, L2tpv3Udp
from vecwire.errors import VecwireError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from soak.streams import Pair
    from soak.town import Town

PATIENCE = 60.0
GUESTS = 6
LIES = 50
#: Something that happens, while frames move between pairs.
Event: TypeAlias = "Callable[[Town, list[Pair]], None]"
STRANGER = "02:76:77:02:ff:01"
#: IEEE 802 local experimental EtherType 2 (RFC 7042, appendix B.2): 1 is that of stamped frames.
EXPERIMENTAL = 0x88B6
HELLO = b"\xff" * 6 + mac(STRANGER) + struct.pack("!H", EXPERIMENTAL) + bytes(46)


def guests_come(town: Town, _pairs: list[Pair]) -> None:
    """Guests connect, say something and leave at once, without a look at what was sent to them."""

    def comes(frames: int) -> bool:
        with contextlib.suppress(VecwireError), vecwire.open(f"bess,dst={town.guest}") as port:
            send_all(port, [HELLO] * frames)
            town.guests += port.stats.tx_frames
            return True
        return False

    for number in range(GUESTS):
        wait_until(partial(comes, number + 1), timeout=PATIENCE, what="a guest is let in")


def client_leaves(town: Town, pairs: list[Pair]) -> None:
    """The client of a BESS port leaves while frames are on their way to it, and comes back."""
    for each in _of(town, Recorded):
        for pair in pairs:
            if pair.involves(each):
                # Only the client's own sending ends before it does.
                pair.pause()
                each.leave()
                pair.send()


def _wait_for(town: Town, name: str, *counters: str) -> None:
    """Waits until each of these counters of a port has grown."""

    def read() -> list[int]:
        counted = town.client.ports(name)[0].counters
        return [counted[each] for each in counters]

    before = read()

    def grown() -> bool:
        return all(now > then for now, then in zip(read(), before, strict=True))

    wait_until(grown, timeout=PATIENCE, what=f"{', '.join(counters)} of {name} grow")


def _made_again(site: Wired) -> None:
    """What a port is attached to goes and comes."""
    site.disturbed = True
    site.unplug()
    site.plug()


def link_is_made_again(town: Town, _pairs: list[Pair]) -> None:
    """A veth pair is deleted, and another of its name made."""
    _made_again(next(each for each in _of(town, Wired) if type(each) is Wired))


def tap_is_made_again(town: Town, _pairs: list[Pair]) -> None:
    """A tap is deleted; its port makes it again."""
    _made_again(next(each for each in _of(town, Tapped) if type(each) is Tapped))


def hybrid_is_made_again(town: Town, _pairs: list[Pair]) -> None:
    """The same under a hybrid port."""
    _made_again(next(_of(town, Hybrid)))


def route_is_gone(town: Town, _pairs: list[Pair]) -> None:
    """The route to a tunnel's peer is taken away for a moment."""
    site = next(_of(town, Gre))
    site.cut()
    _wait_for(town, site.name, "tx_unreachable")
    site.mend()


def namespace_is_gone(town: Town, _pairs: list[Pair]) -> None:
    """The namespace of a port is taken down, and another made of its name."""

    def recovered() -> int:
        return town.client.ports("lodger")[0].counters["recovered"]

    before, name = recovered(), town.lodging.name
    subprocess.run(["ip", "netns", "del", name], check=True)
    subprocess.run(["ip", "netns", "add", name], check=True)
    town.lodge()
    wait_until(lambda: recovered() > before, timeout=PATIENCE, what="the lodger is back")


def file_is_changed(town: Town, _pairs: list[Pair]) -> None:
    """Reloads add ports, change their VLANs and take them away."""
    for spare in (1, 2, 3, 0):
        town.write(spare)
        town.client.reload()


def ports_are_captured(town: Town, _pairs: list[Pair]) -> None:
    """Frames of some ports are captured for a while, by a reader and by one who does not read."""
    for reads, each in zip((True, False, True), town.blasting, strict=False):
        with town.client.capture(each.name) as reader:
            reader.settimeout(PATIENCE)
            for _ in range(2000 if reads else 1):
                assert reader.recv(1 << 16)


def port_is_impaired(town: Town, _pairs: list[Pair]) -> None:
    """A port loses, doubles and delays frames on purpose, until the file is applied again."""
    name = next(_of(town, L2tpv3Ip)).name
    options = {"delay": "2ms", "loss": "10%", "duplicate": "10%", "rate": "50Mbit", "limit": 20}
    town.client.set_port(name, options)
    _wait_for(town, name, "tx_lost", "tx_duplicated", "tx_limit")
    town.client.reload()


#: One round of events: what happens in each epoch.
ROUND: tuple[tuple[Event, ...], ...] = (
    (guests_come, file_is_changed, client_leaves),
    (link_is_made_again, ports_are_captured, route_is_gone),
    (tap_is_made_again, namespace_is_gone, guests_come),
    (hybrid_is_made_again, port_is_impaired, client_leaves),
)


def guest_does_not_read(town: Town) -> None:
    """A guest stays and does not read: what it has no room for is dropped, while others go on.

    For when nothing else moves: the frames to it are sent by the end of another site.
    """
    wired = next(_of(town, Wired))
    assert wired.end is not None
    end = wired.end
    with vecwire.open(f"bess,dst={town.guest}") as port:
        send_all(port, [HELLO])
        town.guests += 1
        flood = mac(STRANGER) + mac(wired.mac) + struct.pack("!H", EXPERIMENTAL) + bytes(1386)

        def full() -> bool:
            send_all(end, [flood] * 64)
            return bool(town.client.ports("guest")[0].counters["tx_full"] > before)

        before = town.client.ports("guest")[0].counters["tx_full"]
        wait_until(full, timeout=PATIENCE, what="the guest's port is full", interval=0)


def _of(town: Town, kind: type[Site]) -> Iterator[Any]:
    return (each for each in town.blasting if isinstance(each, kind))


def lies(town: Town) -> Iterator[tuple[str, str]]:
    """Has every kind of peer send what it must not; which counter of which port each is to move.

    For when nothing else moves: each of them is then counted as often as it was sent, ``LIES`` times.
    """
    frame = bytes(60)
    told: tuple[tuple[type[Site], str, bytes], ...] = (
        (Gre, "rx_bad_key", struct.pack("!HHI", 0x2000, 0x6558, 12345) + frame),
        (Gre, "rx_bad_header", struct.pack("!HHI", 0x2001, 0x6558, 5) + frame),
        (Gre, "rx_bad_checksum", struct.pack("!HHHHI", 0xA000, 0x6558, 1, 0, 5) + frame),
        (Gre, "rx_runt", b"\x20"),
        (L2tpv3Udp, "rx_bad_session", struct.pack("!HHI", 3, 0, 77) + frame),
        (L2tpv3Udp, "rx_control", struct.pack("!HHI", 0x8003, 0, 77) + frame),
        (L2tpv3Udp, "rx_bad_header", struct.pack("!HHI", 2, 0, 0xFFFFFFFE) + frame),
        (L2tpv3Udp, "rx_runt", b"\0\3"),
        (L2tpv3Ip, "rx_bad_cookie", struct.pack("!II", 0xFFFFFFFE, 8) + frame),
        (L2tpv3Ip, "rx_bad_session", struct.pack("!II", 78, 7) + frame),
        (L2tpv3Ip, "rx_control", struct.pack("!II", 0, 7) + frame),
        (Recorded, "rx_runt", b"\x02\x76"),
        (Recorded, "rx_truncated", bytes(100_000)),
    )
    for kind, counter, message in told:
        each = next(_of(town, kind))
        each.lie(message, LIES)
        yield each.name, counter
    wired, narrow = next(_of(town, Wired)), town.narrow
    assert wired.end is not None
    nobodys_vlan = struct.pack("!HH", 0x8100, 0x0FFF)
    group = "03:00:00:00:00:01"
    for destination, source, tag, counter, length, port in (
        ("01:80:c2:00:00:0e", wired.mac, b"", "switch_reserved", 60, wired),
        (narrow.mac, wired.mac, nobodys_vlan, "switch_vlan", 60, wired),
        (wired.mac, wired.mac, b"", "switch_local", 60, wired),
        (narrow.mac, group, b"", "switch_source", 60, wired),
        (narrow.mac, wired.mac, b"", "tx_too_big", 1600, narrow),
    ):
        head = mac(destination) + mac(source) + tag + struct.pack("!H", EXPERIMENTAL)
        send_all(wired.end, [head.ljust(length, b"\0")] * LIES)
        yield port.name, counter
