"""Captures what QEMU puts before each frame, over UDP and IP, into `qemu_l2tpv3.json`. Needs root.

python tests/vectors/capture_qemu.py
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from peers import collect, qemu
from peers.cases import QEMU_CASES, QemuCase
from peers.net import Namespace

FILE = Path(__file__).with_name("qemu_l2tpv3.json")


def capture(case: QemuCase, count: int = collect.COUNT) -> dict[str, Any]:
    """The first packets that QEMU sends, with the command line's part and the spec opposite."""
    src, dst = collect.LOCAL_V6 if case.v6 else collect.LOCAL_V4
    spec = case.vecwire_spec(dst, src)
    with Namespace("qemu") as namespace:
        collect.prepare(namespace)
        namespace.tap("tap0")
        with (
            collect.listening(namespace, spec) as listener,
            qemu.bridge(namespace, "tap0", case.qemu_netdev(src, dst)),
        ):
            namespace.wait_carrier("tap0")
            collect.inject(namespace, "tap0", [collect.frame(number) for number in range(count)])
            packets = collect.receive(listener, count)
    return {
        "name": case.name,
        "qemu": case.qemu_netdev(src, dst),
        "vecwire": spec,
        "packets": [collect.split(packet) for packet in packets],
    }


def main() -> None:
    """Captures every case and writes the file."""
    version = subprocess.run([qemu.COMMAND, "--version"], check=True, capture_output=True, text=True)
    about = f"Sent by {version.stdout.splitlines()[0]}; captured by capture_qemu.py"
    collect.write(FILE, about, [capture(case) for case in QEMU_CASES])


if __name__ == "__main__":
    main()
