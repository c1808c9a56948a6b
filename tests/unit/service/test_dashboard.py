"""The Grafana dashboard: it is what its table says, and asks for nothing that is not there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from peers.told import Told, port_state
from vecwire.service.dashboard import WIDTH, dashboard, text
from vecwire.service.metrics import registry_of

#: What a query may name beside metrics: functions, keywords and labels of PromQL.
_METRIC = re.compile(r"\b(?:vecwire|process)_\w+")


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    """The dashboard of the package."""
    found: dict[str, Any] = json.loads(text())
    return found


@pytest.fixture(scope="module")
def labels() -> dict[str, set[str]]:
    """The labels of every metric's samples, by name."""
    service = Told()
    service.ports = [port_state("tap0", offloads=["gso"])]
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(generate_latest(registry_of(service)).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def queries(board: dict[str, Any]) -> list[str]:
    """Every query of a dashboard, of panels and of variables."""
    panels = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return panels + [
        each["query"]["query"] for each in board["templating"]["list"] if each["type"] == "query"
    ]


def test_the_file_is_what_the_table_says(shipped: dict[str, Any]) -> None:
    """The file of the package was written anew after the last change."""
    assert shipped == dashboard()


def test_every_metric_that_is_asked_for_exists(shipped: dict[str, Any], labels: dict[str, set[str]]) -> None:
    """Each query names a metric, and only such as the service has."""
    for query in queries(shipped):
        names = _METRIC.findall(query)
        assert names, query
        assert set(names) <= set(labels), query


def test_every_label_that_is_chosen_exists(shipped: dict[str, Any], labels: dict[str, set[str]]) -> None:
    """What a query selects by is a label of that metric; job and instance are Prometheus's own."""
    for query in queries(shipped):
        for name, chosen in re.findall(r"\b((?:vecwire|process)_\w+)\{([^}]*)\}", query):
            assert set(re.findall(r"(\w+)=~?", chosen)) <= labels[name] | {"job", "instance"}, query


def test_every_group_is_of_labels(shipped: dict[str, Any], labels: dict[str, set[str]]) -> None:
    """What a sum is kept apart by is a label of the metric that is summed."""
    for query in queries(shipped):
        for by, name in re.findall(r"by \(([\w, ]+)\) \(rate\((\w+)", query):
            assert set(by.split(", ")) <= labels[name], query


def test_every_legend_is_of_labels(shipped: dict[str, Any], labels: dict[str, set[str]]) -> None:
    """A legend shows labels that are there."""
    for panel in shipped["panels"]:
        for target in panel.get("targets", ()):
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            known = set[str]().union(*(labels[name] for name in _METRIC.findall(target["expr"])))
            assert shown <= known | {"instance"}, panel["title"]


def test_panels_have_numbers_and_places_of_their_own(shipped: dict[str, Any]) -> None:
    """No two have one id, and none lies on another or beside the screen."""
    panels = shipped["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    covered: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH
        cells = {
            (place["x"] + column, place["y"] + row)
            for column in range(place["w"])
            for row in range(place["h"])
        }
        assert not cells & covered, panel["title"]
        covered |= cells


def test_every_panel_says_what_to_make_of_it(shipped: dict[str, Any]) -> None:
    """Each has a title, a description and queries, which have letters of their own."""
    for panel in shipped["panels"]:
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["description"].endswith(".")
            letters = [target["refId"] for target in panel["targets"]]
            assert letters
            assert len(set(letters)) == len(letters)


def test_variables_are_used(shipped: dict[str, Any]) -> None:
    """Each variable on top is used somewhere, and nothing is used that is none."""
    names = {each["name"] for each in shipped["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps([shipped["panels"], queries(shipped)])))
    assert used - {"__rate_interval"} == names
