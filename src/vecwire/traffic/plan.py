"""What traffic is made of: the sizes of frames, their headers, flows, and the rate."""

import ipaddress
import random
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from vecwire.wire.stamp import ETHERTYPE, MOST_FLOWS, OCTETS, Pattern

#: The simple Internet mix, 7:4:1 of frames of 64, 570 and 1518 octets with their check sequence (RFC 6985
#: tells of it and its kin), in an order that spreads them.
IMIX = (60, 566, 60, 60, 566, 60, 1514, 60, 566, 60, 60, 566)
#: Octets of a frame, without its check sequence.
SHORTEST, LONGEST = 60, 65535
#: Addresses for measurements: RFC 2544, appendix C.2.2, and RFC 5180, section 8.
IPV4 = ("198.18.0.1", "198.19.0.1")
IPV6 = ("2001:2::1", "2001:2:0:1::1")
#: Locally administered addresses (IEEE 802, clause 8.4): nobody's, and no multicast.
MACS = ("02:76:77:00:00:01", "02:76:77:01:00:01")
#: The discard service (RFC 863): a host that takes the frames for its own does not answer.
DISCARD = 9
FRAMES = ("udp4", "udp6", "ethernet")

_RATE = re.compile(
    r"(?P<number>\d+(?:\.\d+)?)(?P<prefix>[kmgt]?)(?P<unit>bit(?:/s)?|frames/s)?", re.ASCII | re.IGNORECASE
)
_PREFIXES = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000, "t": 1_000_000_000_000}
_SHUFFLE = 6985


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast frames are sent; without numbers, as fast as it goes.

    Attributes:
        frames: Frames a second.
        bits: Bits of frames a second, from the destination address to the last octet of the payload.
    """

    frames: float = 0.0
    bits: float = 0.0

    def frames_of(self, sizes: Sequence[int]) -> float:
        """Frames a second at these sizes; 0 for as fast as it goes."""
        if self.bits:
            return self.bits * len(sizes) / (8 * sum(sizes))
        return self.frames


def read_rate(text: str) -> Rate:
    """A rate from text: ``1000``, ``10k``, ``1.5Mframes/s``, ``100Mbit``, or ``max``; in any case.

    Raises:
        ValueError: It is no rate.
    """
    if text.lower() == "max":
        return Rate()
    match = _RATE.fullmatch(text)
    if match is None or not float(match["number"]):
        raise ValueError(f"{text!r} is no rate: write 1000, 10k, 2Mframes/s, 100Mbit or max")
    number = float(match["number"]) * _PREFIXES[match["prefix"].lower()]
    return Rate(bits=number) if (match["unit"] or "").lower().startswith("bit") else Rate(frames=number)


def read_sizes(text: str) -> tuple[int, ...]:
    """Sizes of frames from text: ``60``, ``60,128,1514`` in turn, ``60-1514`` each as often, or ``imix``.

    Raises:
        ValueError: They are no sizes.
    """
    if text == "imix":
        return IMIX
    sizes: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None:
            raise ValueError(f"{part!r} is no size: write 60, a list 60,128,1514, a range 60-1514, or imix")
        first, last = int(match[1]), int(match[2] or match[1])
        if not SHORTEST <= first <= last <= LONGEST:
            raise ValueError(f"sizes are {SHORTEST} to {LONGEST} octets, the lesser one first, not {part}")
        span = list(range(first, last + 1))
        # In an order of no pattern that is the same each time.
        random.Random(_SHUFFLE).shuffle(span)  # noqa: S311 # nothing is kept secret by it
        sizes += span
    return tuple(sizes)


@dataclass(frozen=True, slots=True)
class Traffic:
    """What frames look like.

    Attributes:
        sizes: Octets of frames, without their check sequence, which each flow goes through in turn.
        frames: ``udp4``, ``udp6``, or ``ethernet`` for frames of the experimental EtherType.
        flows: How many there are; they differ in the source's address and port.
        vlan: The VLAN of a tag; None for no tag.
        macs: The MAC addresses of source and destination.
        addresses: The IP addresses of source and destination; None for those kept for measurements.
        port: The UDP port of the destination.
    """

    sizes: tuple[int, ...] = (SHORTEST,)
    frames: str = "udp4"
    flows: int = 1
    vlan: int | None = None
    macs: tuple[str, str] = MACS
    addresses: tuple[str, str] | None = None
    port: int = DISCARD

    def __post_init__(self) -> None:
        if self.frames not in FRAMES:
            raise ValueError(f"frames are {', '.join(FRAMES)}, not {self.frames}")
        if not 1 <= self.flows <= MOST_FLOWS:
            raise ValueError(f"there are 1 to {MOST_FLOWS} flows, not {self.flows}")
        if self.vlan is not None and not 1 <= self.vlan <= 4094:
            raise ValueError(f"a VLAN is 1 to 4094, not {self.vlan}")
        if not 1 <= self.port <= 65535:
            raise ValueError(f"a port is 1 to 65535, not {self.port}")
        self.pattern()
        if self.frames == "ethernet":
            if self.addresses is not None or self.port != DISCARD:
                raise ValueError("frames of the kind ethernet have no IP addresses and no port")
            first, destination = (int.from_bytes(_mac(each)) for each in self.macs)
            if first <= destination < first + self.flows:
                raise ValueError(
                    "the source address of a flow is the destination's: a switch would drop its frames"
                )

    def pattern(self) -> Pattern:
        """The headers that the frames have in common.

        Raises:
            ValueError: if an address is none.
        """
        source, destination = map(_mac, self.macs)
        link = destination + source
        if self.vlan is not None:
            link += struct.pack("!HH", 0x8100, self.vlan)
        if self.frames == "ethernet":
            return Pattern(link + struct.pack("!HH", ETHERTYPE, 0), 0, 0)
        version = 4 if self.frames == "udp4" else 6
        given = self.addresses or (IPV4 if version == 4 else IPV6)
        here, there = map(ipaddress.ip_address, given)
        if not here.version == there.version == version:
            raise ValueError(f"{self.frames} has addresses of IPv{version}, not {' and '.join(given)}")
        addresses = here.packed + there.packed
        if version == 4:
            # No fragments, and so no identification (RFC 6864, section 4.1).
            network = struct.pack("!HBBHHHBBH", 0x0800, 0x45, 0, 0, 0, 0x4000, 64, 17, 0)
        else:
            network = struct.pack("!HIHBB", 0x86DD, 6 << 28, 0, 17, 64)
        at = len(link) + 2
        return Pattern(link + network + addresses + struct.pack("!HHHH", 0, self.port, 0, 0), at, version)

    @property
    def lengths(self) -> list[int]:
        """The sizes; those that are too short for headers and a stamp are as long as they must be."""
        least = max(self.pattern().least, OCTETS)
        return [max(size, least) for size in self.sizes]


def _mac(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}", text):
        raise ValueError(f"{text!r} is no MAC address: write 02:76:77:00:00:01")
    return bytes.fromhex(text.replace(":", ""))
