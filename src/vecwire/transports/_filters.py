"""Which filter a spec asks for: its expression's, its file's, or its own address's."""

from vecwire import bpf
from vecwire.errors import SpecError
from vecwire.spec import Spec, place_of


def wanted(spec: Spec) -> bpf.Program | None:
    """The program that ``filter=``, ``bpffile=`` or ``mac=`` asks for; None where none of them is given.

    Raises:
        SpecError: if the expression is wrong; the error has the place in the spec's canonical text.
        UnsupportedError: if there is an expression, and no libpcap on this host.
        PortError: if the file cannot be read or holds no program.
    """
    if spec.filter is not None:
        try:
            program = bpf.compile_expression(spec.filter)
            if spec.mac is not None:
                program = bpf.compile_expression(f"not ether src {spec.mac} and ({spec.filter})")
        except SpecError as error:
            text = str(spec)
            raise error.at(text, *place_of("filter", text)) from None
        return program
    if spec.bpffile is not None:
        return bpf.load(spec.bpffile)
    if spec.mac is not None:
        return bpf.own_mac(spec.mac)
    return None
