"""``vecwire probe``: what this host and user can do, and what to do about what they cannot."""

import sys
from dataclasses import asdict

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vecwire.cli._common import ExitCode, JsonOption, VerboseOption
from vecwire.cli._output import print_json
from vecwire.probe import Finding, Report, Usability, probe

HELP = """
Try what vecwire can use on this host, as this user, by doing it.

Every capability is used once: sockets are opened, a tap is made, segments go over a loopback; all in
a network namespace that is gone afterwards, where the user may have one. For whatever fails it says what
the kernel answered and what to do. What fails for want of privileges is tried again in a user namespace.

Exit codes:

    0   all six transports can be used
    77  some cannot; the remedies are told

Examples:

    vecwire probe
    vecwire probe --json | jq -r '.transports[] | select(.usable) | .transport'
    unshare --user --map-root-user --net vecwire probe
"""
_WORKS = {True: ("works", "green"), False: ("refused", "red"), None: ("-", "dim")}
_USABLE = {True: ("usable", "green"), False: ("not usable", "red"), None: ("-", "dim")}


def command(
    json: JsonOption = False,
    verbose: VerboseOption = 0,  # noqa: ARG001 # its callback does the work
) -> None:
    """Probes, and says what was found.

    Raises:
        typer.Exit: With 77 where a transport cannot be used.
    """
    report = probe()
    if json:
        print_json({"usable": report.usable, **asdict(report)})
    else:
        _print(report)
    if not report.usable:
        raise typer.Exit(ExitCode.UNSUPPORTED)


def _print(report: Report) -> None:
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    twice = any(each.in_user_namespace is not None for each in report.findings)
    headings = ["here", *(["user namespace"] if twice else [])]
    console.print(_table(["capability", *headings, ""], [_finding(each, twice) for each in report.findings]))
    console.print(
        _table(["transport", *headings, ""], [_usability(each, twice) for each in report.transports])
    )
    if remedies := _remedies(report.findings):
        console.print(Text("what to do", style="dim"))
        for remedy, names in remedies.items():
            console.print(Text.assemble((", ".join(names), "bold"), f": {remedy}"), soft_wrap=True)


def _table(headings: list[str], rows: list[list[Text]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for heading in headings:
        table.add_column(heading, no_wrap=bool(heading), overflow="fold")
    for cells in rows:
        table.add_row(*cells)
    return table


def _finding(finding: Finding, twice: bool) -> list[Text]:
    second = [Text(*_WORKS[finding.in_user_namespace])] if twice else []
    note = finding.why or finding.meaning
    return [Text(finding.name), Text(*_WORKS[finding.works]), *second, Text(note, style="dim")]


def _usability(usability: Usability, twice: bool) -> list[Text]:
    second = [Text(*_USABLE[usability.in_user_namespace])] if twice else []
    note = ""
    if not usability.usable:
        note = "lacks " + ", ".join(usability.missing)
    elif usability.without:
        note = "without " + ", ".join(usability.without)
    return [
        Text(usability.transport, style="bold"),
        Text(*_USABLE[usability.usable]),
        *second,
        Text(note, style="dim"),
    ]


def _remedies(findings: tuple[Finding, ...]) -> dict[str, list[str]]:
    """What to do, and for which capabilities each helps."""
    remedies: dict[str, list[str]] = {}
    for finding in findings:
        if finding.works is False and finding.remedy:
            remedies.setdefault(finding.remedy, []).append(finding.name)
    return remedies
