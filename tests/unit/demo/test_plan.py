"""What the demo builds, and the commands that build it by hand."""

import re
import shlex

import pytest

from vecwire.demo.plan import FIRST, SECOND, Plan
from vecwire.spec import parse

PLANS = [Plan(taps=taps, users=users) for taps in (True, False) for users in (False, True)]


def test_the_ends_of_the_tunnel_fit_together() -> None:
    """What one end sends, the other expects."""
    near, far = (parse(str(Plan().tunnel(host))) for host in (FIRST, SECOND))
    for mine, other in (("src", "dst"), ("srcport", "dstport"), ("rx_session", "tx_session")):
        assert getattr(near, mine) == getattr(far, other)
        assert getattr(near, other) == getattr(far, mine)


def test_the_mtu_is_what_the_headers_leave() -> None:
    """1500 octets less IPv4, UDP, L2TPv3 and Ethernet are 1450."""
    plan = Plan()
    assert plan.mtu == 1500 - sum(octets for _, octets in plan.headers) == 1450


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_every_command_can_be_pasted(plan: Plan) -> None:
    """Each line is a comment or a command that a shell can split, with specs that parse."""
    cables = 0
    for line in plan.commands():
        words = shlex.split(line, comments=True)
        assert bool(words) is not line.startswith("#")
        if words[:2] == ["vecwire", "cable"]:
            cables += 1
            assert [parse(word).netns for word in words[2:4]] == [f"h{cables}"] * 2
    assert cables == 2


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_what_is_made_by_hand_is_taken_away_by_hand(plan: Plan) -> None:
    """Every namespace that is added is deleted, and every cable killed."""
    text = "\n".join(plan.commands())
    assert re.findall(r"netns add (\S+)", text) == re.findall(r"netns del (\S+)", text) == ["h1", "h2"]
    assert "kill $h1 $h2" in text
    assert ("unshare --user" in text) is plan.users


def test_without_taps_a_cable_has_the_far_end_of_a_veth_pair() -> None:
    """The port is raw, and traffic is on the pair's other end."""
    plan = Plan().without_taps()
    assert str(plan.access(FIRST)) == "transport=raw,ifname=port0,netns=h1"
    assert (plan.link, plan.link_of_cable) == ("eth0", "port0")
