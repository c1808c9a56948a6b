"""``vecwire spec``: explains a spec without opening it."""

import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vecwire import bpf
from vecwire.cli._common import JsonOption, SpecArgument, VerboseOption
from vecwire.cli._output import print_json, print_line
from vecwire.errors import SpecError, UnsupportedError
from vecwire.spec import Option, Spec, parse, place_of

HELP = """
Explain a spec without opening it.

Nothing is asked of the host either: an interface need not exist, a name need not resolve, unless it stands in
a filter expression, which libpcap compiles. The first line that is printed is the spec in its canonical form,
without what is default; then comes every option of the transport, given or not; then how many octets the
encapsulation takes, and the longest packet that fits whole into the packets of the network below; and then
the program of a filter expression, as "tcpdump -d" prints it.

A wrong spec is explained on standard error, with the place, what is allowed there, and the nearest name.

Examples:

    vecwire spec tap,ifname=tap0
    vecwire spec vec0:transport=gre,src=10.0.0.1,dst=10.0.0.2,rx_key=1,tx_key=2
    vecwire spec --path-mtu 9000 gre,v6=1,src=fd00::1,dst=fd00::2,sequence=1
    vecwire spec 'tap,ifname=tap0,filter="vlan 5 and tcp port 80"'
    vecwire spec --json 'bess,dst="/run/a,b"' | jq .inner_mtu
"""
_SMALLEST_MTU = 576  # RFC 791 section 3.2: what every host takes
_LARGEST_MTU = 65535


def command(
    spec: SpecArgument,
    path_mtu: Annotated[
        int,
        typer.Option(
            min=_SMALLEST_MTU,
            max=_LARGEST_MTU,
            metavar="OCTETS",
            help="The MTU of the network below the transport.",
        ),
    ] = 1500,
    json: JsonOption = False,
    verbose: VerboseOption = 0,  # noqa: ARG001 # its callback does the work
) -> None:
    """Explains a spec on standard output."""
    parsed = parse(spec)
    program, unchecked = _program(parsed, spec)
    notes = _notes(parsed, path_mtu) + unchecked
    if json:
        print_json(_as_object(parsed, path_mtu, notes, program))
    else:
        _print_table(parsed, path_mtu, notes, program)


def _program(spec: Spec, text: str) -> tuple[list[str], list[str]]:
    """Returns the program of the filter expression, a line an instruction, and a note where it has to wait.

    Raises:
        SpecError: The expression is wrong; the error has its place in the text.
    """
    if spec.filter is None:
        return [], []
    try:
        return bpf.disassemble(bpf.compile_expression(spec.filter)).expandtabs().splitlines(), []
    except SpecError as error:
        raise error.at(text, *place_of("filter", text)) from None
    except UnsupportedError as error:
        return [], [f"the filter is not checked: {error}; {error.remedy}"]


def _as_object(spec: Spec, path_mtu: int, notes: list[str], program: list[str]) -> dict[str, Any]:
    """Returns the explanation as what ``--json`` prints."""
    return {
        "spec": str(spec),
        "transport": spec.transport,
        "options": {
            option.name: {
                "value": getattr(spec, option.name),
                "default": option.default,
                "required": _required(spec, option),
                "unit": option.unit or None,
                "meaning": option.meaning,
            }
            for option in spec.options()
        },
        "encapsulation_octets": spec.encapsulation_octets,
        "overhead": spec.overhead,
        "headers": dict(spec.headers),
        "path_mtu": path_mtu,
        "inner_mtu": spec.inner_mtu(path_mtu),
        "notes": notes,
        "filter": program,
        "requirements": list(spec.requirements),
    }


def _print_table(spec: Spec, path_mtu: int, notes: list[str], program: list[str]) -> None:
    """Prints the explanation as text; colour and width are the terminal's."""
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    print_line(str(spec))  # whole, whatever the width: it is there to be copied
    table = Table(box=None, pad_edge=False, header_style="dim", title=None)
    for column in ("option", "value", "default", "meaning"):
        table.add_column(column, overflow="fold", no_wrap=column in {"option", "default"})
    for option in spec.options():
        value = getattr(spec, option.name)
        style = "" if value == option.default else "bold"
        cells = (option.name, option.show(value) or "-", _default(spec, option), _meaning(option))
        table.add_row(*(Text(cell, style=style) for cell in cells))
    console.print()
    console.print(table)
    console.print()
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_column(no_wrap=True, style="dim")
    facts.add_column(overflow="fold")
    for name, text in _facts(spec, path_mtu, notes, program):
        facts.add_row(Text(name), Text(text))
    console.print(facts)


def _facts(spec: Spec, path_mtu: int, notes: list[str], program: list[str]) -> list[tuple[str, str]]:
    """Returns what follows from the spec, as names and texts; an empty name is the one before."""
    overhead = "none"
    if spec.overhead:
        headers = ", ".join(f"{name} {octets}" for name, octets in spec.headers)
        overhead = f"{spec.overhead} octets in front of the inner packet: {headers}"
    needs = spec.requirements or ("nothing that an ordinary user may not do",)
    return [
        ("overhead", overhead),
        ("inner MTU", f"{spec.inner_mtu(path_mtu)} octets, for an MTU of {path_mtu} below"),
        *(("note", note) for note in notes),
        *(("needs" if need is needs[0] else "", need) for need in needs),
        *(("" if number else "filter", each) for number, each in enumerate(program)),
    ]


def _notes(spec: Spec, path_mtu: int) -> list[str]:
    """Returns what is allowed and yet worth a second look."""
    fits = spec.inner_mtu(path_mtu)
    if spec.mtu <= fits:
        return []
    advice = f"; mtu={fits} keeps them whole" if fits >= _SMALLEST_MTU else ""
    return [f"mtu is {spec.mtu}: packets above {fits} octets are fragmented on the way, or lost{advice}"]


def _required(spec: Spec, option: Option) -> bool:
    return option.required or (option.essential and spec.fd is None)


def _default(spec: Spec, option: Option) -> str:
    if _required(spec, option):
        return "required"
    return option.show(option.default) or "-"


def _meaning(option: Option) -> str:
    return f"{option.meaning} [{option.unit}]" if option.unit else option.meaning
