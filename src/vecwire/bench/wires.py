"""Contenders that join two interfaces, raw to raw."""

import sys
from pathlib import Path
from typing import ClassVar

from vecwire.bench import rivals
from vecwire.bench.contender import Contender, Site, Wire, joined
from vecwire.bench.helper import compile_helper, compiler
from vecwire.bench.lab import wait_until


class VecwireRaw(Contender):
    """``vecwire cable``, or its like, between two packet sockets.

    Args:
        name: what tables call it.
        command: the command that joins the two.
    """

    def __init__(self, name: str, command: str = "cable") -> None:
        super().__init__(name)
        self._command = command

    def join(self, site: Site, cpu: int | None) -> None:
        """One process."""
        assert isinstance(site, Wire)  # noqa: S101 # the tables see to it
        specs = [f"raw,ifname=port{number},depth={self.depth}" for number in (0, 1)]
        specs += [f"tap,ifname={idle}" for idle in self.idle()]
        self.launch(site.middle, joined(*specs, command=self._command), cpu=cpu)


class KernelBridge(Contender):
    """The kernel's bridge, which no process takes part in."""

    def join(self, site: Site, cpu: int | None) -> None:  # noqa: ARG002 # the kernel runs where it is called
        """A bridge with both ports."""
        assert isinstance(site, Wire)  # noqa: S101
        site.middle.ip(
            "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
            "link set port0 master br0",
            "link set port1 master br0",
            "link set br0 up",
        )


class Nothing(Contender):
    """Nothing at all: what the load itself costs."""

    def join(self, site: Site, cpu: int | None) -> None:
        """Joins nothing."""

    def wait(self, site: Site) -> None:
        """There is nothing to wait for."""


class OpenVSwitch(Contender):
    """Open vSwitch in user space: its netdev datapath, with its support for super-frames switched on."""

    commands: ClassVar = {
        "ovs-vswitchd": "openvswitch-switch",
        "ovsdb-server": "openvswitch-switch",
        "ovs-vsctl": "openvswitch-switch",
    }
    SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")

    def join(self, site: Site, cpu: int | None) -> None:
        """A database and a switch of its own, in the site's folder."""
        assert isinstance(site, Wire)  # noqa: S101
        folder, where = site.folder, site.middle
        database, control = folder / "conf.db", f"--db=unix:{folder / 'db.sock'}"
        env = {"OVS_RUNDIR": str(folder), "OVS_LOGDIR": str(folder), "OVS_DBDIR": str(folder)}
        where.run(["ovsdb-tool", "create", str(database), str(self.SCHEMA)])
        self.launch(
            where,
            [
                *("ovsdb-server", f"--remote=punix:{folder / 'db.sock'}", f"--unixctl={folder / 'db.ctl'}"),
                *("-vsyslog:off", "-vfile:off", str(database)),
            ],
            ready="",
            env=env,
        )
        wait_until((folder / "db.sock").exists, timeout=10, what="ovsdb-server listens")
        settings = "other_config:userspace-tso-enable=true"
        where.run(["ovs-vsctl", control, "--no-wait", "init", "--", "set", "Open_vSwitch", ".", settings])
        self.launch(
            where,
            [
                *("ovs-vswitchd", f"unix:{folder / 'db.sock'}", f"--unixctl={folder / 'switch.ctl'}"),
                *("-vsyslog:off", "-vfile:off", "-vconsole:off"),
            ],
            ready="",
            cpu=cpu,
            env=env,
        )
        bridge = ["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev"]
        ports = [word for port in ("port0", "port1") for word in ("--", "add-port", "br0", port)]
        for idle in self.idle():
            ports += ["--", "add-port", "br0", idle, "--", "set", "interface", idle, "type=tap"]
        where.run(["ovs-vsctl", control, "--timeout=60", *bridge, *ports], timeout=70)


class Testpmd(Contender):
    """DPDK's testpmd over AF_PACKET, without huge pages: it never sleeps, so one processor is all its own.

    Its packet sockets know no virtio-net header.
    """

    commands: ClassVar = {"dpdk-testpmd": "dpdk-dev"}
    offloads = False

    def join(self, site: Site, cpu: int | None) -> None:
        """One process with two threads; the one that does not forward waits for commands."""
        assert isinstance(site, Wire)  # noqa: S101
        lcores = f"(0-1)@{1 if cpu is None else cpu}"
        command = [
            *("dpdk-testpmd", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry", "--no-shconf"),
            *("--lcores", lcores, "--vdev=net_af_packet0,iface=port0", "--vdev=net_af_packet1,iface=port1"),
            *("--", "--forward-mode=io", "--auto-start", "--nb-cores=1", "--total-num-mbufs=8192", "-i"),
        ]
        self.launch(site.middle, command, ready="testpmd>", cpu=cpu, stdin=None)


class CLoop(Contender):
    """A loop of recvmmsg and sendmmsg in C; it knows no virtio-net header."""

    offloads = False

    def missing(self) -> str:
        """Why it cannot run here."""
        return "" if compiler() else "not installed: a C compiler (gcc)"

    def join(self, site: Site, cpu: int | None) -> None:
        """One process, compiled for the occasion."""
        assert isinstance(site, Wire)  # noqa: S101
        program = str(compile_helper(site.folder))
        self.launch(site.middle, [program, "forward", "port0", "port1", str(self.depth)], cpu=cpu)


class PythonRival(Contender):
    """What is written in Python alone: plain sockets, or scapy; neither knows a virtio-net header.

    Args:
        name: what tables call it.
        kind: the word that ``rivals.py`` takes.
        module: what it imports beside the standard library.
    """

    offloads = False

    def __init__(self, name: str, kind: str, module: str = "") -> None:
        super().__init__(name)
        self._kind = kind
        self._module = module

    def missing(self) -> str:
        """Why it cannot run here."""
        return "" if rivals.importable(self._module) else f"not installed: {self._module}"

    def join(self, site: Site, cpu: int | None) -> None:
        """One process, which has nothing of vecwire in it."""
        assert isinstance(site, Wire)  # noqa: S101
        command = [sys.executable, "-I", str(Path(rivals.__file__)), self._kind, "port0", "port1"]
        self.launch(site.middle, command, cpu=cpu)
