"""What a service is after a reload that this host refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vecwire.errors import PortError
from vecwire.service.service import Service

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
