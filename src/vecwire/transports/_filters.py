"""Which filter a spec asks for: its file's, or its own address's."""

from vecwire import bpf
from vecwire.spec import Spec


def wanted(spec: Spec, *, offset: int = 0, behind_ipv4: bool = False) -> bpf.Program | None:
    """The program that ``bpffile=`` or ``mac=`` asks for; None where neither is given.

    Args:
        spec: the spec.
        offset: where the frame begins in what the socket receives, in octets.
        behind_ipv4: whether an IPv4 header comes before that.

    Raises:
        PortError: if the file cannot be read or holds no program.
    """
    if spec.bpffile is not None:
        return bpf.load(spec.bpffile)
    if spec.mac is not None:
        return bpf.own_mac(spec.mac, offset=offset, behind_ipv4=behind_ipv4)
    return None
