"""Names and meanings of a port's counters, in the order of ``counters.pxd``.

The wire formats name the reason of a drop with the same numbers, so that one table serves the parser
that finds a fault, the path that counts it and the person who reads it.
"""

import cython
from cython.cimports.vecwire.wire.counters import COUNTERS

MEANINGS: dict[str, str] = {
    "rx_frames": "frames received and delivered",
    "rx_octets": "octets of the frames received, encapsulation not counted",
    "rx_calls": "system calls that brought at least one frame",
    "rx_super": "super-frames among the frames received",
    "rx_vlan": "VLAN tags put back from PACKET_AUXDATA",
    "rx_checksums": "checksums completed before the filter, which are not of the frame's own TCP or UDP",
    "rx_late": "frames whose sequence number had passed already; they are delivered",
    "rx_truncated": "dropped: longer than the slot that it was received into",
    "rx_runt": "dropped: shorter than its headers",
    "rx_bad_vnet": "dropped: its virtio-net header contradicts its octets or asks for over 1,024 segments",
    "rx_bad_header": "dropped: flags, version or protocol of the encapsulation are not ours",
    "rx_bad_checksum": "dropped: the checksum of the encapsulation is wrong",
    "rx_bad_key": "dropped: the GRE key is not ours",
    "rx_bad_session": "dropped: the L2TPv3 session is not ours",
    "rx_bad_cookie": "dropped: the L2TPv3 cookie is not ours",
    "rx_control": "dropped: an L2TPv3 control message",
    "rx_errors": "the kernel gave an error in place of a frame",
    "rx_filtered": "frames that the filter of the port does not want; what the kernel filters is not seen",
    "rx_missed": "dropped: by the kernel, which has no room for more to wait, or finds a wrong UDP checksum",
    "rx_most": "most frames that were received in one batch",
    "switch_flooded": "frames for all: broadcast, multicast, and addresses not learned yet",
    "switch_copies": "frames offered to other ports for those, one for each port",
    "switch_learned": "addresses learned",
    "switch_moved": "addresses that came here from another port",
    "switch_unlearned": "addresses not learned: the table, or this port's share of it, is full",
    "switch_source": "dropped: its source is a group address or zero, which no station has",
    "switch_reserved": "dropped: for an address that stays on its link (01:80:c2:00:00:0x)",
    "switch_vlan": "dropped: the port is not in the VLAN of the frame",
    "switch_local": "dropped: the destination is behind the port that the frame came from",
    "switch_horizon": "dropped: the destination is behind a port of the same horizon group",
    "switch_limited": "dropped: more frames for all than this port may flood",
    "switch_nowhere": "dropped: no other port takes frames of this VLAN",
    "tx_frames": "frames that the kernel took",
    "tx_octets": "octets of the frames sent, encapsulation not counted",
    "tx_calls": "system calls that sent at least one frame",
    "tx_super": "super-frames passed to the kernel whole",
    "tx_split": "super-frames cut into segments before sending",
    "tx_segments": "segments that super-frames were cut into",
    "tx_joined": "super-frames made of frames that followed each other",
    "tx_merged": "frames that went into those super-frames",
    "tx_trains": "messages that carried several packets (UDP_SEGMENT)",
    "tx_checksums": "checksums completed in software before sending",
    "tx_stalls": "times the kernel took no more for now",
    "tx_held": "frames held until the kernel took them",
    "tx_most": "most packets that one system call sent",
    "tx_held_most": "most frames that were held at a time",
    "tx_delayed": "frames that waited for the delay or the rate that was asked for",
    "tx_duplicated": "frames sent twice, as asked for",
    "tx_reordered": "frames sent ahead of those that wait, as asked for",
    "tx_runt": "dropped: shorter than an Ethernet header",
    "tx_bad_offload": "dropped: its virtio-net header asks for what its octets do not allow",
    "tx_too_big": "dropped: too long for the link (EMSGSIZE)",
    "tx_unreachable": "dropped: the peer or its network is not reachable",
    "tx_down": "dropped: the interface or the peer is down",
    "tx_refused": "dropped: the kernel refused it",
    "tx_full": "dropped: as many frames as allowed were held already",
    "tx_lost": "dropped: lost, as asked for",
    "tx_limit": "dropped: as many frames as allowed were delayed already",
    "downgrades": "times the kernel refused an offload, which is done without since",
    "unreachable": "reports that the peer or its network is not reachable",
    "lost": "times the peer or the interface went away",
    "recovered": "times the peer or the interface came back",
}

NAMES: tuple[str, ...] = tuple(MEANINGS)

RX_DROPS: tuple[str, ...] = tuple(
    name for name in NAMES if name.startswith("rx_") and MEANINGS[name].startswith("dropped")
)
TX_DROPS: tuple[str, ...] = tuple(
    name for name in NAMES if name.startswith("tx_") and MEANINGS[name].startswith("dropped")
)
#: Frames that were received well and that a switch did not pass on.
SWITCH_DROPS: tuple[str, ...] = tuple(
    name for name in NAMES if name.startswith("switch_") and MEANINGS[name].startswith("dropped")
)
DROPS: tuple[str, ...] = (*RX_DROPS, *SWITCH_DROPS, *TX_DROPS)
#: Those of them whose frames the kernel drops in front of a port, which shows them to nobody; and the others.
KERNEL_DROPS: tuple[str, ...] = ("rx_missed",)
OWN_DROPS: tuple[str, ...] = tuple(name for name in DROPS if name not in KERNEL_DROPS)
#: The highest that was seen, not a sum.
MAXIMA: tuple[str, ...] = tuple(name for name in NAMES if name.endswith("_most"))


def size() -> int:
    """The number of counters that the compiled code keeps."""
    number: cython.int = COUNTERS
    return number
