"""What this host lets this user do, found out by doing it; nothing is left behind and no packet leaves.

Theory of operation: a thread of its own enters a new network namespace, if it may, and tries everything
there; where it may not, it tries the same where it is. What this user was refused is tried once
more by a child process in a user namespace of its own, so that the advice to use one is only given
where it helps.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from vecwire.host import apart
from vecwire.probe.checks import CAPABILITIES, Capability
from vecwire.transports._refusal import PRIVILEGES, REMEDIES, WITHOUT
from vecwire.transports._unshare import closed_by, own_network, own_users

USER_NAMESPACES = "user namespaces"
NETWORK_NAMESPACES = "network namespaces"
OWN_NAMESPACE = "run it in a user namespace of your own, where it works: unshare --user --map-root-user --net"
_CHILD_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of trying one capability.

    Attributes:
        name: The capability.
        meaning: What it is good for.
        works: Whether it does; None where it was not tried, since something that it needs does not.
        why: What the kernel said where it does not work; else a few words, or nothing.
        remedy: What to do where it does not work.
        in_user_namespace: Whether it does in a user namespace of one's own; None where that was not tried.
    """

    name: str
    meaning: str
    works: bool | None
    why: str = ""
    remedy: str = ""
    in_user_namespace: bool | None = None


@dataclass(frozen=True, slots=True)
class Usability:
    """Whether a transport can be used here.

    Attributes:
        transport: Its name.
        usable: Whether this user can open it.
        in_user_namespace: Whether it can be in a user namespace of one's own; None where that was not tried.
        missing: The capabilities for lack of which it is not usable.
        without: The capabilities that it goes without.
    """

    transport: str
    usable: bool
    in_user_namespace: bool | None
    missing: tuple[str, ...]
    without: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Attributes:
        findings: One for each capability.
        transports: One for each transport.
    """

    findings: tuple[Finding, ...]
    transports: tuple[Usability, ...]

    @property
    def usable(self) -> bool:
        """Whether every transport can be used."""
        return all(each.usable for each in self.transports)


_PACKET = ("packet socket vnet header", "ignore outgoing", "large buffers")
_TAP = ("tap vnet header", "tap tcp super-frames", "tap udp super-frames")
_GRE = ("gre over IPv4", "gre over IPv6")
_L2TP = ("udp over IPv4", "udp over IPv6", "l2tp over IPv4", "l2tp over IPv6")

#: For each transport what it needs, one of each group, and what it can do without.
NEEDS: dict[str, tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]] = {
    "raw": ((("packet sockets",),), ("qdisc bypass", *_PACKET)),
    "tap": ((("tun device",), ("making a tap",)), _TAP),
    "hybrid": ((("packet sockets",), ("tun device",), ("making a tap",)), (*_PACKET, *_TAP)),
    "gre": ((_GRE,), (*_GRE, "large buffers")),
    "l2tpv3": ((_L2TP,), (*_L2TP, "udp segmentation", "udp coalescing", "large buffers")),
    "bess": ((("unix seqpacket",),), ("large buffers",)),
}


def probe() -> Report:
    """Tries everything that vecwire can use."""
    findings = try_all()
    contained = _try_in_user_namespace()
    if isinstance(contained, OSError):
        findings = [*findings, _finding(_capability(USER_NAMESPACES), contained)]
    else:
        works = {each.name: each.works for each in contained}
        if not all(each.works for each in findings):
            findings = [_with_second_try(each, works.get(each.name)) for each in findings]
        findings = [*findings, Finding(USER_NAMESPACES, _capability(USER_NAMESPACES).meaning, works=True)]
    return Report(tuple(findings), usability(findings))


def try_all() -> list[Finding]:
    """Tries every capability but user namespaces, in a thread that then ends."""
    return apart("vecwire-probe", _try_all_here)


def usability(findings: Iterable[Finding]) -> tuple[Usability, ...]:
    """What the findings mean for each transport."""
    found = {each.name: each for each in findings}
    works = {name: bool(each.works) for name, each in found.items()}
    contained = {name: bool(each.in_user_namespace) for name, each in found.items()}
    second = any(each.in_user_namespace is not None for each in found.values())
    result = []
    for transport, (needs, wants) in NEEDS.items():
        missing = _missing(needs, works)
        without = tuple(name for name in wants if not works[name])
        in_user_namespace = not _missing(needs, contained) if second else None
        result.append(Usability(transport, not missing, in_user_namespace, missing, without))
    return tuple(result)


def _missing(needs: Sequence[Sequence[str]], works: dict[str, bool]) -> tuple[str, ...]:
    return tuple(name for group in needs if not any(works[name] for name in group) for name in group)


def _try_all_here() -> list[Finding]:
    """Tries every capability in the calling thread, which enters a network namespace if it may."""
    findings: dict[str, Finding] = {}
    for capability in (_capability(NETWORK_NAMESPACES), *CAPABILITIES):
        needed = findings.get(capability.needs or "")
        if needed is not None and not needed.works:
            findings[capability.name] = Finding(
                capability.name, capability.meaning, works=None, why=f"needs {capability.needs}"
            )
            continue
        try:
            why = capability.check()
        except OSError as error:
            findings[capability.name] = _finding(capability, error)
        else:
            findings[capability.name] = Finding(capability.name, capability.meaning, works=True, why=why)
    return list(findings.values())


def _capability(name: str) -> Capability:
    """The capabilities that change where the others are tried."""
    if name == USER_NAMESPACES:
        return Capability(name, "everything above, without root", "a user namespace", _no_check)
    return Capability(name, "networks of one's own", "a network namespace", _own_network)


def _own_network() -> str:
    own_network()
    return ""


def _no_check() -> str:
    raise NotImplementedError  # a child process does it


def _finding(capability: Capability, error: OSError) -> Finding:
    """What the kernel's refusal means."""
    number = error.errno or 0
    why = os.strerror(number) if number else str(error.strerror or error)
    remedy = REMEDIES.get(capability.row, {}).get(number) or WITHOUT.get(capability.row, "")
    if capability.name == USER_NAMESPACES:
        remedy = closed_by() or remedy
    return Finding(capability.name, capability.meaning, works=False, why=why, remedy=remedy)


def _with_second_try(finding: Finding, works: bool | None) -> Finding:
    """A finding with what became of the same in a user namespace; its remedy does not promise more."""
    remedy = finding.remedy
    if finding.works is False and PRIVILEGES in remedy:
        remedy = f"{OWN_NAMESPACE}; or run as root" if works else remedy.replace(PRIVILEGES, "run as root")
    elif finding.works is False and works:
        remedy = f"{OWN_NAMESPACE}; or {remedy}" if remedy else OWN_NAMESPACE
    return replace(finding, remedy=remedy, in_user_namespace=works)


def _try_in_user_namespace() -> list[Finding] | OSError:
    """Has a child process try everything in a user namespace; or why there is none."""
    command = [sys.executable, "-P", "-m", __name__]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, check=False, timeout=_CHILD_SECONDS, text=True
        )
    except OSError as error:
        return error
    except subprocess.TimeoutExpired:
        return OSError(0, f"the child process that tried it was not done in {_CHILD_SECONDS} seconds")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        return OSError(0, f"the child process that tried it failed with status {done.returncode}")
    if "errno" in answer:
        return OSError(answer["errno"], os.strerror(answer["errno"]))
    return [Finding(**each) for each in answer["findings"]]


def try_in_user_namespace() -> None:
    """Tries everything in a user namespace and writes what was found, for ``python -m vecwire.probe``."""
    try:
        own_users()
    except OSError as error:
        json.dump({"errno": error.errno}, sys.stdout)
        return
    json.dump({"findings": [asdict(each) for each in try_all()]}, sys.stdout)
