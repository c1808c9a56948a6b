"""What a service is after a reload that this host refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vecwire.copies import Copies
from vecwire.errors import PortError
from vecwire.service.service import Service
from vecwire.switch import Cable, Switch
from vecwire.transports import TransportPort

if TYPE_CHECKING:
    from pathlib import Path

#: A program as tcpdump -ddd prints it: all frames are wanted.
ALL = "1\n6 0 0 65535\n"


@pytest.mark.parametrize(
    "joined",
    ['[switches.lan]\nports = ["a", "b"]', '[cables]\nline = ["a", "b"]'],
    ids=["switch", "cable"],
)
def test_a_port_whose_old_spec_is_refused_too_is_taken_out(tmp_path: Path, joined: str) -> None:
    """A port that can be opened neither as it shall be nor as it was leaves; the next reload brings it."""
    path, program = tmp_path / "service.toml", tmp_path / "program"

    def write(spec: str) -> None:
        ports = f'[ports]\na = "bess,listen={tmp_path}/a"\nb = "bess,listen={tmp_path}/b,{spec}"'
        path.write_text(f"{ports}\n{joined}\n", encoding="utf-8")

    program.write_text(ALL, encoding="utf-8")
    write(f"bpffile={program}")
    service = Service(path)
    try:
        service.reload()
        service.start()
        program.unlink()
        write(f"bpffile={tmp_path}/none")
        with pytest.raises(PortError, match="none"):
            service.reload()
        assert [state.name for state in service.port_states()] == ["a"]
        assert [state.joined for state in service.port_states()] in (["switch lan"], [None])
        with pytest.raises(PortError, match="none"):
            service.reload()  # it is a new port by now: nothing is touched
        write("mtu=1400")
        service.reload()
        assert [state.name for state in service.port_states()] == ["a", "b"]
        assert {state.joined for state in service.port_states()} in ({"switch lan"}, {"cable line"})
    finally:
        service.close()


BEFORE = '[switches.lan]\nports = ["a"]\n'
AFTER = (
    '[switches.lan]\nports = ["a", "b"]\nage = 20\n[switches.more]\nports = ["c"]\n'
    '[cables]\nline = ["d", "e"]\n'
)
#: What has no memory in the second half of a reload, and who is joined to what in the meantime.
STEPS: dict[str, dict[str, str | None]] = {
    "Switch.add": {"a": "switch lan", "b": None, "c": "switch more", "d": "cable line"},
    "Switch.start": {"a": "switch lan", "b": "switch lan", "c": None, "d": "cable line"},
    "Switch.change": {"a": "switch lan", "b": "switch lan", "c": "switch more", "d": "cable line"},
    "Cable.start": {"a": "switch lan", "b": "switch lan", "c": "switch more", "d": None},
    "TransportPort.impair": {"a": "switch lan", "b": "switch lan", "c": "switch more", "d": "cable line"},
    "Copies.start": {"a": "switch lan", "b": "switch lan", "c": "switch more", "d": "cable line"},
}


@pytest.mark.parametrize("step", STEPS)
def test_what_has_no_memory_is_left_out_until_the_next_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A step that fails takes nothing else with it; the next reload does what was left out."""
    path = tmp_path / "service.toml"

    def write(joined: str, options: str = "", more: str = "") -> None:
        ports = [f'{name} = "bess,listen={tmp_path}/{name}"' for name in "bcde"]
        first = f'a = {{ spec = "bess,listen={tmp_path}/a{options}"{more} }}'
        path.write_text("\n".join(["[ports]", first, *ports, joined]), encoding="utf-8")

    def no_memory(*_: object, **__: object) -> None:
        monkeypatch.undo()
        raise MemoryError

    write(BEFORE)
    service = Service(path)
    try:
        service.reload()
        service.start()
        write(AFTER, ",delay=1ms", ", vlan = 7, trace = true")
        kind, method = step.split(".")
        owner = {"Switch": Switch, "Cable": Cable, "TransportPort": TransportPort, "Copies": Copies}[kind]
        monkeypatch.setattr(owner, method, no_memory)
        with pytest.raises(PortError, match="not all of it could be done"):
            service.reload()
        joined = {state.name: state.joined for state in service.port_states()}
        assert joined == {**STEPS[step], "e": STEPS[step]["d"]}
        summary = service.reload()
        assert summary["added"] or summary["changed"]
        assert None not in {state.joined for state in service.port_states()}
        first = service.port_states("a")[0]
        assert (first.vlan, "delay=1ms" in first.spec) == (7, True)
        summary = service.reload()
        assert not summary["added"]
        assert not summary["changed"]
    finally:
        service.close()
