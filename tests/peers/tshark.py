"""tshark as a reader of what was captured: fields, and whatever it complains about.

What tshark (4.0) needs to be told, since our tunnels have no control connection from which to learn it:

- The cookie's size and whether a sublayer follows: `l2tp.cookie_size` and `l2tp.l2_specific`. Left at
  "Detect" it assumes none of either, and a wrong guess is no warning: the inner frame is read shifted. So
  a test must look at the inner fields, not only for complaints.
- What the pseudowire carries: unknown types count as 0, hence `-d l2tp.pw_type==0,eth`.
- The counter of UML and QEMU is a plain number where RFC 3931 has the default sublayer: both are 4 octets,
  and read as such the low 24 bits are `l2tp.l2_spec_sequence`, with the S bit clear.
- UDP is taken for L2TP on port 1701 only: name other ports with `udp_ports`.
- Inner frames have no check sequence, and checksums are only verified on request.
"""

from __future__ import annotations

import os
import struct
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

COMMAND = "tshark"
# Severities of expert information, from epan/proto.h.
WARN = 0x600000

_COOKIES = {0: "None", 4: "4 Byte Cookie", 8: "8 Byte Cookie"}
_COMPLAINTS = ("_ws.expert.message", "_ws.expert.severity", "_ws.malformed")
_PREFERENCES = {
    "eth.fcs": "Never",
    "ip.check_checksum": "TRUE",
    "tcp.check_checksum": "TRUE",
    "udp.check_checksum": "TRUE",
}


@dataclass(frozen=True)
class Decoded:
    """One frame as tshark reads it.

    Attributes:
        protocols: The dissectors from outside in: `eth:ethertype:ip:gre:eth:...`.
        fields: The values of each field asked for, outermost first; empty where it does not occur.
        complaints: Expert information of severity warning and above, and malformed parts.
    """

    protocols: str
    fields: dict[str, list[str]]
    complaints: list[str]


def write_pcap(path: Path, frames: Iterable[bytes]) -> None:
    """Writes Ethernet frames as a classic capture file, a microsecond apart."""
    with path.open("wb") as file:
        file.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for number, frame in enumerate(frames):
            file.write(struct.pack("=IIII", 0, number, len(frame), len(frame)) + frame)


def l2tpv3(*, cookie: int = 0, sublayer: bool = False, udp_ports: Sequence[int] = ()) -> list[str]:
    """The options that make tshark read static L2TPv3 tunnels which carry Ethernet.

    Args:
        cookie: Its size: 0, 4 or 8 octets.
        sublayer: Whether 4 octets of default sublayer, or of a counter, stand before the frame.
        udp_ports: UDP ports other than 1701.
    """
    settings = {
        "l2tp.cookie_size": _COOKIES[cookie],
        "l2tp.l2_specific": "Default L2-Specific" if sublayer else "None",
    }
    decode = ["l2tp.pw_type==0,eth", *(f"udp.port=={port},l2tp" for port in udp_ports)]
    return [*_preferences(settings), *(word for rule in decode for word in ("-d", rule))]


def decode(
    capture: Path, fields: Sequence[str], *, options: Sequence[str] = (), only: str = ""
) -> list[Decoded]:
    """Reads a capture file.

    Args:
        capture: The file.
        fields: The display-filter names of the fields wanted, `l2tp.cookie`, `eth.src`.
        options: More arguments, such as those of `l2tpv3`.
        only: A display filter: other frames are passed over.

    Raises:
        RuntimeError: tshark failed.
    """
    wanted = ["frame.protocols", *_COMPLAINTS, *fields]
    command = [
        *(COMMAND, "-n", "-r", os.fspath(capture), *_preferences(_PREFERENCES), *options),
        *(["-Y", only] if only else []),
        *("-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=|"),
        *(word for field in wanted for word in ("-e", field)),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
    return [_decoded(line.split("\t"), fields) for line in done.stdout.splitlines()]


def _decoded(columns: list[str], fields: Sequence[str]) -> Decoded:
    protocols, messages, severities, malformed, *values = columns
    complaints = [
        message
        for message, severity in zip(messages.split("|"), severities.split("|"), strict=False)
        if severity and int(severity) >= WARN
    ]
    if malformed:
        complaints.append(f"malformed: {malformed}")
    found = {field: value.split("|") if value else [] for field, value in zip(fields, values, strict=True)}
    return Decoded(protocols, found, complaints)


def _preferences(settings: dict[str, str]) -> list[str]:
    return [word for key, value in settings.items() for word in ("-o", f"{key}:{value}")]
