"""The bench for real, as short as it can be: that it measures is tested, never what it measures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from peers.background import Background
from peers.net import open_descriptors, wait_until

pytestmark = pytest.mark.needs("ip", "setpriv", "ethtool", "iperf3", "cc")
COMMAND = [sys.executable, "-m", "vecwire", "bench", "--quick"]


def links() -> str:
    """Every link of this namespace, and every named namespace."""
    texts = [
        subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout
        for words in (["-o", "link"], ["netns"])
    ]
    return "\n".join(line for text in texts for line in text.splitlines() if "vecwire-test" not in line)


def test_a_quick_run_of_one_table_is_complete(tmp_path: Path) -> None:
    """Every contender of the table has an answer, or a reason; the host is as it was before."""
    before, kept, page = links(), tmp_path / "bench.json", tmp_path / "docs" / "performance.md"
    done = subprocess.run(
        [*COMMAND, "--only", "latency", "--json", str(kept), "--report", str(page)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    by_name = {sample["contender"]: sample for sample in found["samples"]}
    assert "vecwire l2tpv3 udp" in by_name
    assert "kernel VXLAN" in by_name
    for name, sample in by_name.items():
        assert sample["missing"] or not sample["error"], f"{name}: {sample['error']}"
    ours = by_name["vecwire l2tpv3 udp"]["values"]
    assert 0 < ours["least_us"] <= ours["p50_us"] <= ours["p99_us"]
    assert {"kernel", "processor", "processors", "date", "versions"} <= set(found["machine"])
    assert "Verdict" in done.stdout
    assert "## Round trips through a tunnel" in page.read_text(encoding="utf-8")
    assert links() == before


def test_a_complete_run_is_not_measured_again(tmp_path: Path) -> None:
    """``--resume`` of a file in which nothing is wanting shows it, as any user may, and measures nothing."""
    kept = tmp_path / "bench.json"
    sample = {
        "table": "flows",
        "turn": 0,
        "error": "",
        "missing": "",
        "values": {"gbit": 1.0, "cores": 0.5},
    }
    names = ("vecwire l2tpv3 udp", "QEMU l2tpv3", "kernel VXLAN")
    samples = [{**sample, "case": case, "contender": name} for case in ("1", "4", "16") for name in names]
    settings = {"rounds": 1, "tcp": 1.0, "frames": 1.0, "warm": 0.1, "pings": 10, "quick": True}
    text = json.dumps({"format": 1, "machine": {}, "settings": settings, "samples": samples})
    kept.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [*COMMAND[:-1], "--only", "flows", "--resume", str(kept)],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TCP as flows grow" in done.stdout
    assert kept.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_stays_however_it_ends(number: signal.Signals, tmp_path: Path) -> None:
    """In the midst of a measurement it is told to end, or killed: no process, no link, no namespace stays."""
    before = links()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    bench = Background([*COMMAND, "--only", "tunnel"], env=environment)

    def cables() -> list[str]:
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"TMPDIR={tmp_path}\0".encode() in path.read_bytes() + b"\0":
                    found.append(path.parent.name)
            except OSError:
                continue
        return [pid for pid in found if pid != str(bench.process.pid)]

    try:
        wait_until(cables, timeout=20, what="a contender runs")
        bench.process.send_signal(number)
        status = bench.process.wait(20)
        wait_until(lambda: not cables(), timeout=10, what="all contenders are gone")
    finally:
        bench.kill()
    assert status == (1 if number != signal.SIGKILL else -signal.SIGKILL)
    assert links() == before
    if number != signal.SIGKILL:
        assert list(tmp_path.iterdir()) == []
    assert open_descriptors()
