"""QEMU without a guest, as an independent L2TPv3 peer: its hub joins a tap and an l2tpv3 netdev.

What QEMU 7.2 does, each seen here:

- It is up when its QMP greeting appears: by then every netdev is open and the hub is joined.
- It warns "hub 1 with no nics", which means nothing here. On SIGTERM it ends with status 0.
- `udp=on` needs both `srcport` and `dstport`; without it (IP protocol 115) they are not read.
- `cookie64=off` means on: any presence of the option counts. `counter=off` is off. `pincounter` without
  `counter` puts nothing on the wire. `offset=4` sends 4 undefined octets of its memory before the frame.
- `rxsession` defaults to `txsession`; a session above 32 bits is refused, a cookie above its size is cut.
- A counter begins at 1, and a received one is not looked at.
- Its socket is bound but not connected, and the first word is not looked at: a frame from any source, even
  with the control bit set, is taken if session and cookie match.
- It receives frames into 2048 octets and delivers what fits: a longer one arrives cut, and its receiver drops
  it. What it sends may be longer, 50000 octets here.
- Its socket has the receive buffer of `net.core.rmem_default`; in bursts TCP towards it resends up to 1 in 3.
- Frames that do not match are dropped; it prints "l2tpv3 header verification failed" for the first alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peers.background import Background
    from peers.net import Namespace

COMMAND = "qemu-system-x86_64"


def bridge(namespace: Namespace, tap: str, l2tpv3: str) -> Background:
    """Starts QEMU between a tap and an L2TPv3 endpoint, and returns once frames flow.

    Args:
        namespace: Where both are.
        tap: The tap's name; it is made if it does not exist.
        l2tpv3: The options of `-netdev l2tpv3`, but for `id`.
    """
    return hub(namespace, f"l2tpv3,{l2tpv3}", tap)


def hub(namespace: Namespace, netdev: str, tap: str) -> Background:
    """Starts QEMU between any netdev and a tap, and returns once frames flow.

    Args:
        namespace: Where both are.
        netdev: The type and options of the netdev, but for `id`.
        tap: The tap's name; it is made if it does not exist.
    """
    kind, _, options = netdev.partition(",")
    command = [
        COMMAND,
        *("-machine", "none", "-nodefaults", "-display", "none", "-monitor", "none", "-qmp", "stdio"),
        *("-netdev", f"{kind},id=first,{options}"),
        *("-netdev", f"tap,id=tap,ifname={tap},script=no,downscript=no,vhost=off"),
        *("-netdev", "hubport,id=port1,hubid=1,netdev=first"),
        *("-netdev", "hubport,id=port2,hubid=1,netdev=tap"),
    ]
    # With its input at an end, QMP on stdio would be closed: keep the pipe open.
    process = namespace.popen(command, name="qemu", stdin=True)
    try:
        process.wait_for_text('"QMP"')
    except BaseException:
        process.kill()
        raise
    return process
