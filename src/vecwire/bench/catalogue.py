"""The tables of the bench, in the order in which they are measured."""

from vecwire.bench import tunnels, uml
from vecwire.bench.hub import ManyCables
from vecwire.bench.tables import (
    BRIDGE,
    C_LOOP,
    MODEST,
    QEMU,
    RAW,
    SIZES,
    SWITCH,
    VECWIRE,
    VXLAN,
    Column,
    Table,
    depth,
    flows_tcp,
    frames_per_second,
    latency,
    many_tunnels,
    ports,
    tunnel_tcp,
    wire_tcp,
)
from vecwire.bench.wires import CLoop, KernelBridge, Nothing, OpenVSwitch, PythonRival, Testpmd, VecwireRaw

_TCP_COLUMNS = (
    Column("forward_gbit", "forward, Gbit/s"),
    Column("reverse_gbit", "reverse, Gbit/s"),
    Column("forward_cores", "its processors"),
    Column("forward_machine_cores", "all processors"),
    Column("idle_cores", "idle", 3),
    Column("rss_mb", "resident, MB", 0),
    Column("pss_mb", "proportional, MB", 0),
)
_FRAME_COLUMNS = (
    Column("frames", "frames/s", 0),
    Column("ns", "its ns/frame", 0),
    Column("lost", "lost, share"),
    Column("load_ns", "load, ns/frame", 0),
)


def catalogue() -> tuple[Table, ...]:
    """Every table, with contenders of its own."""
    python = PythonRival("Python sockets", "plain")
    scapy = PythonRival("scapy", "scapy", "scapy")
    return (
        Table(
            "tunnel",
            "TCP through a tunnel",
            "tap - tunnel - tunnel - tap between two hosts, inner MTU 1400, one flow, all processors shared. "
            "Of UML the guest is one end and vecwire the other. Processors and memory are those of all "
            "processes of the contender, two for most, during the forward run and after both.",
            _TCP_COLUMNS,
            (
                tunnels.l2tpv3_udp(VECWIRE),
                tunnels.l2tpv3_ip("vecwire l2tpv3 ip"),
                tunnels.gre("vecwire gre"),
                tunnels.VecwireBess("vecwire bess"),
                tunnels.QemuTunnel(QEMU),
                tunnels.SocatTunnel("socat"),
                tunnels.KernelVxlan(VXLAN),
                *uml.guests(),
            ),
            tunnel_tcp,
        ),
        Table(
            "wire",
            "TCP from interface to interface",
            "veth - contender - veth, MTU 1500, one flow. testpmd, the C loop, Python and scapy know no "
            "virtio-net header: for them the hosts' offloads are off, or nothing would pass.",
            _TCP_COLUMNS,
            (
                VecwireRaw(RAW),
                VecwireRaw(SWITCH, "switch"),
                KernelBridge(BRIDGE),
                OpenVSwitch("OVS netdev"),
                Testpmd("DPDK testpmd"),
                CLoop(C_LOOP),
                python,
                scapy,
            ),
            wire_tcp,
        ),
        Table(
            "frames",
            "Frames from interface to interface",
            "The load has one processor to itself, the contender another; its cost is all that was done in "
            "the name of its processes, what the kernel does for the receiving host included. The kernel's "
            "bridge has no process: its cost is what the load costs more, flat out, than with nothing there. "
            "testpmd never sleeps: below saturation its processor is busy with waiting.",
            _FRAME_COLUMNS,
            (
                VecwireRaw(RAW),
                VecwireRaw(SWITCH, "switch"),
                CLoop(C_LOOP),
                KernelBridge(BRIDGE),
                OpenVSwitch("OVS netdev"),
                Testpmd("DPDK testpmd"),
                python,
                scapy,
                Nothing("nothing"),
            ),
            frames_per_second,
            tuple(f"{size} octets, {rate}" for size in SIZES for rate in (f"{MODEST:,}/s", "flat out")),
        ),
        Table(
            "latency",
            "Round trips through a tunnel",
            "Pings of 56 octets, one at a time, each sent when the last was answered; seldom: two "
            "milliseconds after that, so that everything has gone to sleep.",
            (
                Column("p50_us", "p50, us", 0),
                Column("p99_us", "p99, us", 0),
                Column("seldom_p50_us", "seldom p50, us", 0),
                Column("seldom_p99_us", "seldom p99, us", 0),
                Column("cores", "its processors"),
            ),
            (
                tunnels.l2tpv3_udp(VECWIRE),
                tunnels.l2tpv3_udp(f"{VECWIRE}, poll 50", "--poll", "50"),
                tunnels.l2tpv3_udp(f"{VECWIRE}, poll 200", "--poll", "200"),
                tunnels.gre("vecwire gre"),
                tunnels.QemuTunnel(QEMU),
                tunnels.SocatTunnel("socat"),
                tunnels.KernelVxlan(VXLAN),
            ),
            latency,
        ),
        Table(
            "depth",
            "Cost as the batch grows",
            "60 octets, flat out, so many frames a system call at the most.",
            (Column("ns", "ns/frame", 0), Column("frames", "frames/s", 0)),
            (VecwireRaw(RAW), CLoop(C_LOOP)),
            depth,
            ("1", "4", "16", "64", "256"),
            line=True,
        ),
        Table(
            "ports",
            "Cost as ports grow, in one switch",
            "60 octets, flat out, between two ports that the switch has learned; all others are idle taps.",
            (Column("ns", "ns/frame", 0), Column("frames", "frames/s", 0)),
            (VecwireRaw(SWITCH, "switch"), OpenVSwitch("OVS netdev")),
            ports,
            ("2", "16", "64", "256"),
            line=True,
        ),
        Table(
            "tunnels",
            "Cost as tunnels grow, in one process",
            "L2TPv3 over UDP in, another L2TPv3 over UDP out; frames of 60 octets inside, flat out, 16 for "
            "each tunnel in turn. Two tunnels are one cable.",
            (
                Column("ns", "ns/frame", 0),
                Column("frames", "frames/s", 0),
                Column("rss_mb", "resident, MB", 0),
            ),
            (ManyCables(VECWIRE),),
            many_tunnels,
            ("2", "4", "8", "16", "32", "64"),
            line=True,
        ),
        Table(
            "flows",
            "TCP as flows grow",
            "As the first table, with several flows at once.",
            (Column("gbit", "Gbit/s"), Column("cores", "its processors")),
            (tunnels.l2tpv3_udp(VECWIRE), tunnels.QemuTunnel(QEMU), tunnels.KernelVxlan(VXLAN)),
            flows_tcp,
            ("1", "4", "16"),
            line=True,
        ),
    )
