"""Measures what a frame costs, and what of that is for what, as root: ``python bench/frame.py``.

First the small frame: frames of 60 octets go from interface to interface, flat out, as in ``vecwire bench``.
A loop in C does so with one thing of vecwire's at a time added to it, and vecwire does; they take turns. What
is told is processor time for a frame, and how much more that is than the bare loop's in the same round.

Then the super-frame: TCP of an MTU of 1400 goes from tap to tap through vecwire's L2TPv3 over UDP. What is
told of each of the four ports is how many frames of the inner network one system call moves.
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import TYPE_CHECKING, Any

from vecwire.bench import tunnels
from vecwire.bench.contender import ADDRESSES, Contender, Wan
from vecwire.bench.helper import PREAMBLE, compile_source
from vecwire.bench.measure import tcp
from vecwire.bench.tables import RAW, SIZES, Settings, frames_per_second
from vecwire.bench.wires import VecwireRaw

if TYPE_CHECKING:
    from vecwire.bench.contender import Site
    from vecwire.bench.lab import Process

CASE = f"{SIZES[0]} octets, flat out"
#: What is added to the loop, by the words that the program takes.
VARIANTS = {
    "the loop in C": (),
    "two sockets a port": ("two",),
    "two sockets, slots 64 KB apart": ("two", "apart"),
    "two sockets, virtio-net header out": ("two", "vnet-out"),
    "two sockets, virtio-net header in": ("two", "vnet-in"),
    "two sockets, PACKET_AUXDATA": ("two", "auxdata"),
    "all of these": ("two", "apart", "vnet-out", "vnet-in", "auxdata"),
}
LOOP = (
    PREAMBLE
    + r"""
#define HEAD 16  /* in front of a frame, with room for ... */
#define VNET 10  /* ... a virtio-net header */
#define CONTROL 64

static char **words;

static int asked(const char *word)
{
    for (char **each = words; *each; each++)
        if (!strcmp(*each, word))
            return 1;
    return 0;
}

static void enable(int fd, int option)
{
    int one = 1;

    if (setsockopt(fd, SOL_PACKET, option, &one, sizeof(one)) < 0)
        fail("setsockopt");
}

/* IF IF DEPTH WORD...: moves frames both ways until it is killed. Headers take "two": one socket has them
   both ways or not at all. */
int main(int argc, char **argv)
{
    static struct mmsghdr in[MOST], out[MOST];
    static struct iovec from_kernel[MOST], to_kernel[MOST];
    static char control[MOST][CONTROL];
    struct pollfd ready[2];
    int sender[2], vnet_in, vnet_out, auxdata;
    unsigned depth;
    size_t stride;
    char *memory;

    if (argc < 4)
        return 2;
    depth = (unsigned)atoi(argv[3]) % (MOST + 1);
    words = argv + 4;
    vnet_in = asked("vnet-in") ? VNET : 0;
    vnet_out = asked("vnet-out") ? VNET : 0;
    auxdata = asked("auxdata");
    stride = asked("apart") ? 1 << 16 : LONGEST;
    memory = calloc(depth, stride);
    if (!memory)
        fail("calloc");
    for (int i = 0; i < 2; i++) {
        ready[i] = (struct pollfd){.fd = packet_socket(argv[1 + i], 1), .events = POLLIN};
        sender[i] = asked("two") ? packet_socket(argv[1 + i], 0) : ready[i].fd;
        if (vnet_in)
            enable(ready[i].fd, PACKET_VNET_HDR);
        if (vnet_out)
            enable(sender[i], PACKET_VNET_HDR);
        if (auxdata)
            enable(ready[i].fd, PACKET_AUXDATA);
    }
    for (unsigned i = 0; i < depth; i++) {
        from_kernel[i].iov_base = memory + i * stride + HEAD - vnet_in;
        in[i].msg_hdr.msg_iov = &from_kernel[i];
        to_kernel[i].iov_base = memory + i * stride + HEAD - vnet_out;
        out[i].msg_hdr.msg_iov = &to_kernel[i];
        in[i].msg_hdr.msg_iovlen = out[i].msg_hdr.msg_iovlen = 1;
        from_kernel[i].iov_len = stride - HEAD;
        in[i].msg_hdr.msg_control = auxdata ? control[i] : NULL;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        if (poll(ready, 2, -1) < 0 && errno != EINTR)
            fail("poll");
        for (int from = 0; from < 2; from++) {
            int got;

            if (!(ready[from].revents & POLLIN))
                continue;
            if (auxdata)
                for (unsigned i = 0; i < depth; i++)
                    in[i].msg_hdr.msg_controllen = CONTROL;
            got = recvmmsg(ready[from].fd, in, depth, MSG_DONTWAIT, NULL);
            for (int i = 0; i < got; i++)
                to_kernel[i].iov_len = in[i].msg_len - vnet_in + vnet_out;
            send_all(sender[!from], out, got);
        }
    }
}
"""
)


class Loop(Contender):
    """The loop in C with something added to it."""

    offloads = False

    def __init__(self, name: str, words: tuple[str, ...]) -> None:
        super().__init__(name)
        self._words = words

    def join(self, site: Site, cpu: int | None) -> None:
        """One process, compiled for the occasion."""
        program = compile_source(LOOP, site.folder / "loop")
        command = [str(program), "port0", "port1", str(self.depth), *self._words]
        self.launch(site.middle, command, cpu=cpu)  # type: ignore[attr-defined]


def small_frames(rounds: int, seconds: float) -> None:
    """Prints what a small frame costs."""
    settings = Settings(frames=seconds)
    contenders = [Loop(name, words) for name, words in VARIANTS.items()]
    everybody: list[Contender] = [*contenders, VecwireRaw(RAW)]
    found: dict[str, list[float]] = {each.name: [] for each in everybody}
    for _ in range(rounds):
        for each in everybody:
            found[each.name].append(frames_per_second(each, CASE, settings)["ns"])
    bare = found[contenders[0].name]
    print(
        f"{CASE}, one processor for it: ns a frame, median of {rounds} rounds, and what is more than the loop"
    )
    print("| | ns/frame | more |\n| --- | --- | --- |")
    for name, costs in found.items():
        more = statistics.median(cost - least for cost, least in zip(costs, bare, strict=True))
        print(f"| {name} | {spread(costs)} | {more:+,.0f} |")


def spread(costs: list[float]) -> str:
    """The median, and the range."""
    return f"{statistics.median(costs):,.0f} ({min(costs):,.0f}..{max(costs):,.0f})"


def counters(process: Process) -> list[dict[str, Any]]:
    """The counters of a cable's ports, the tap's first, as it last told them."""
    process.read()
    lines = [line for line in process.text.splitlines() if line.startswith('{"event": "stats"')]
    return [port["counters"] for port in json.loads(lines[-1])["ports"]]


def super_frames(rounds: int, seconds: float) -> None:
    """Prints how many frames a system call moves."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        contender = tunnels.l2tpv3_udp("vecwire", "--json", "--stats", "1")
        with Wan() as site:
            contender.start(site)
            try:
                contender.wait(site)
                tcp(site.a, site.b, ADDRESSES[1], seconds)
                near, far = map(counters, contender.processes)
            finally:
                contender.stop()
        for what, port, way in (
            ("super-frames a call, out of the tap", near[0], "rx"),
            ("frames a call, into the tunnel", near[1], "tx"),
            ("frames a call, out of the tunnel", far[1], "rx"),
            ("super-frames a call, into the tap", far[0], "tx"),
        ):
            found.setdefault(what, []).append(port[f"{way}_frames"] / max(1, port[f"{way}_calls"]))
        found.setdefault("frames that a super-frame is joined of", []).append(
            far[0]["tx_merged"] / max(1, far[0]["tx_joined"])
        )
    print(f"\nTCP through L2TPv3 over UDP, inner MTU 1400, median of {rounds} rounds")
    print("| | |\n| --- | --- |")
    for what, values in found.items():
        print(f"| {what} | {spread(values)} |")


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of which the median is shown")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long one measurement takes")
    chosen = parser.parse_args()
    small_frames(chosen.rounds, chosen.seconds)
    super_frames(min(3, chosen.rounds), max(1.0, 4 * chosen.seconds))


if __name__ == "__main__":
    main()
