"""The counters of a kernel's protocols, as nstat names them, from the files of /proc/net; a guest's too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The files of /proc/net that are read.
FILES = ("snmp", "netstat", "snmp6")


def protocol_counters(texts: Mapping[str, str]) -> dict[str, int]:
    """The counters in these texts, by file: `TcpInCsumErrors`, `Udp6InErrors`.

    Two lines a group in `snmp` and `netstat`, the names and then the values; one line a counter in `snmp6`.
    """
    found: dict[str, int] = {}
    for name in ("snmp", "netstat"):
        lines = texts[name].splitlines()
        for keys, values in zip(lines[::2], lines[1::2], strict=True):
            group, _, names = keys.partition(":")
            numbers = values.partition(":")[2].split()
            found.update(
                (group + key, int(number)) for key, number in zip(names.split(), numbers, strict=True)
            )
    found.update((key, int(number)) for key, number in map(str.split, texts["snmp6"].splitlines()))
    return found


def bad_checksums(counters: Mapping[str, int]) -> dict[str, int]:
    """The counters of packets thrown away for a bad checksum that are not zero."""
    return {name: value for name, value in counters.items() if "CsumErrors" in name and value}
