"""What the pages say holds: examples run, specs parse, commands exist, and what is named is there."""

from __future__ import annotations

import ast
import errno
import importlib
import itertools
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

import vecwire
from peers.net import Namespace, veth
from peers.told import Told, port_state
from vecwire import SpecError
from vecwire.bench.catalogue import catalogue
from vecwire.cli import COMMANDS, application
from vecwire.cli._common import ExitCode
from vecwire.path import errnos
from vecwire.service.metrics import ServiceCollector
from vecwire.service.privileges import needed
from vecwire.spec import SPEC_CLASSES
from vecwire.wire.counters import DROPS, MEANINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)

#: Every function of UML's vector_user.c, by name.
SEED = (
    "uml_vector_fetch_arg",
    "uml_parse_vector_ifspec",
    "create_tap_fd",
    "create_raw_fd",
    "user_init_tap_fds",
    "user_init_hybrid_fds",
    "user_init_unix_fds",
    "user_init_raw_fds",
    "uml_raw_enable_qdisc_bypass",
    "uml_raw_enable_vnet_headers",
    "uml_tap_enable_vnet_headers",
    "user_init_socket_fds",
    "uml_vector_user_open",
    "uml_vector_sendmsg",
    "uml_vector_recvmsg",
    "uml_vector_writev",
    "uml_vector_sendmmsg",
    "uml_vector_recvmmsg",
    "uml_vector_attach_bpf",
    "uml_vector_default_bpf",
)
ROWS_OF_THE_SEED = 18
#: What a metric's name ends in, by its type.
_ENDINGS = {"counter": "_total", "info": "_info", "gauge": ""}

_FENCE = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_SPEC = re.compile(rf"(?:vec\d+:)?(?:transport=)?(?:{'|'.join(SPEC_CLASSES)}),\w+=[^\s`|]+|vec\d+:[^\s`|]+")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
_PATH = re.compile(r"`((?:src|tests|tools|docs|bench|fuzz)/[\w./]*)`")
_NAME = re.compile(r"`(vecwire(?:\.\w+)+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: Where it is.
        line: Its first line.
        kind: What stands behind the fence.
        body: Its text.
    """

    page: Path
    line: int
    kind: str
    body: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, match.start("body")) + 1, match["kind"], match["body"])
        for match in _FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def shell_lines(text: str) -> list[str]:
    """The lines of a shell's text, continued ones joined, comments left out."""
    joined = text.replace("\\\n", " ").splitlines()
    return [line for line in map(str.strip, joined) if line and not line.startswith("#")]


def words_of(line: str) -> list[str]:
    """The words of a command, up to what the shell does with its output."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("|&;<>"):
            break
        words.append(word)
    return words


def commands(page: Path) -> list[list[str]]:
    """Every command of a page, in shell blocks and in the text, as words."""
    lines = [line for block in blocks(page) if block.kind == "bash" for line in shell_lines(block.body)]
    lines += [text for text in _INLINE.findall(prose(page)) if re.match(r"(vecwire|make) [\w-]", text)]
    return [words_of(line) for line in lines]


#: test_control_page.py runs those of its page, with a service to ask.
PYTHON = [
    block
    for page in PAGES
    if page.name != "control.md"
    for block in blocks(page)
    if block.kind.startswith("python")
]
COMMANDS_OF_PAGES = [
    pytest.param(words, id=f"{page.name}: {' '.join(words)[:60]}")
    for page in PAGES
    for words in commands(page)
    if words[:1] == ["vecwire"]
]


def manuals() -> dict[str, str]:
    """What ``--help`` says, by the words in front of it."""
    found: dict[str, str] = {}
    for name in COMMANDS:
        module: Any = importlib.import_module(f"vecwire.cli.{name}")
        found[name] = module.HELP
        found |= {f"{name} {inner}": text for inner, (text, _) in getattr(module, "SUBCOMMANDS", {}).items()}
    return found


MANUALS = manuals()
COMMANDS_OF_MANUALS = [
    pytest.param(words_of(line), id=f"{name} --help: {line.strip()[:60]}")
    for name, text in MANUALS.items()
    for line in text.replace("\\\n", " ").splitlines()
    if line.startswith("    vecwire ")
]


@pytest.fixture
def network() -> Iterator[Namespace]:
    """A namespace that the test is in, with the pair of interfaces that the examples speak of."""
    with Namespace("docs", ipv6=False) as made, made.enter():
        veth((made, "left0"), (made, "right0"))
        yield made


# Examples.


def test_there_are_examples() -> None:
    """The pages are found, and hold what the tests below look at."""
    assert {"README.md", "index.md", "seed.md", "spec.md"} <= {page.name for page in PAGES}
    assert {block.page.name for block in PYTHON} >= {"README.md", "getting-started.md", "errors.md"}
    assert len(COMMANDS_OF_PAGES) > 20
    assert {name for name, text in MANUALS.items() if "Example" in text} >= {*COMMANDS, "ctl add", "ctl set"}
    assert len(COMMANDS_OF_MANUALS) > 40


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_examples_run(block: Block) -> None:
    """Every example in Python runs to its end, with all that it asserts."""
    code = compile(block.body, str(block), "exec")
    exec(code, {"__name__": "example"})  # noqa: S102 what the pages tell people to run


def test_every_python_example_is_run() -> None:
    """No block is marked in a way that would keep it from being run."""
    assert {block.kind for block in PYTHON} == {"python"}


@EACH_PAGE
def test_shell_blocks_are_shell(page: Path) -> None:
    """Each line of a shell block can be cut into words."""
    for block in blocks(page):
        if block.kind == "bash":
            for line in shell_lines(block.body):
                assert words_of(line), f"{block}: {line}"


@pytest.mark.parametrize("words", [*COMMANDS_OF_PAGES, *COMMANDS_OF_MANUALS])
def test_commands_exist_with_their_options(words: list[str]) -> None:
    """Each command line of vecwire's has a subcommand that is there, with options that it takes."""
    group: Any = typer.main.get_command(application())
    name, *arguments = words[1:]
    assert name in COMMANDS
    if not arguments:
        return  # the command's name, in the middle of a sentence
    context = group.make_context("vecwire", [name], resilient_parsing=True)
    subcommand = group.get_command(context, name)
    # Parsing is all that this does; it raises for what is not known, missing or out of range.
    parsed = subcommand.make_context(name, arguments, parent=context)
    if hasattr(subcommand, "list_commands"):
        inner, command, rest = subcommand.resolve_command(parsed, [*parsed._protected_args, *parsed.args])
        parsed = command.make_context(inner, rest, parent=parsed)
    for value in parsed.params.values():
        if isinstance(value, str) and "," in value:
            vecwire.parse(value)


@EACH_PAGE
def test_make_targets_exist(page: Path) -> None:
    """Each target of make that a page names is one of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert {words[1] for words in commands(page) if words[:1] == ["make"]} <= targets


# Specs.


def specs(page: Path) -> list[str]:
    """Every spec that a page shows, but for those shown as wrong by carets below them."""
    text = re.sub(r"^.*\n *\^+$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = re.sub(r"-netdev\s+(?:\\\n\s*)?\S+", "", text)
    text = "\n".join(line for line in text.splitlines() if "parse(" not in line)
    return [match.group().rstrip("\"').,;:") for match in _SPEC.finditer(text.replace("\\\n", " "))]


@EACH_PAGE
def test_specs_parse(page: Path) -> None:
    """Every spec on a page is one that opens what it says, as far as text can tell."""
    for text in specs(page):
        # What stands in words of a shell or in quotes of its own is judged as such elsewhere.
        if text.count('"') % 2 == 0:
            assert vecwire.parse(text)


def test_every_transport_has_a_spec_in_the_readme() -> None:
    """The table of transports has a row for each, with a spec of it."""
    shown = {vecwire.parse(text).transport for text in specs(ROOT / "README.md")}
    assert shown == set(SPEC_CLASSES)


@pytest.mark.parametrize("transport", SPEC_CLASSES)
def test_every_transport_has_its_section(transport: str) -> None:
    """Each transport is told in a section of its own, which says the same of each."""
    text = (ROOT / "docs" / "transports.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text, flags=re.MULTILINE)
    mine = [part for part in section if part.startswith(f"{transport}\n")]
    assert len(mine) == 1
    for word in ("Descriptors", "Moved with", "Offloads", "Checked on receive", "Quirks"):
        assert f"**{word}" in mine[0], word


@pytest.mark.parametrize("transport", SPEC_CLASSES)
def test_every_transport_has_its_recipe_for_uml(transport: str) -> None:
    """The recipes for UML have a string for each transport."""
    text = (ROOT / "docs" / "interop.md").read_text(encoding="utf-8")
    assert f"vec0:transport={transport}," in text


# What is named.


def functions_of(path: Path) -> set[str]:
    """The names of functions, classes and constants that a source file defines, methods by class."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
        if isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@EACH_PAGE
def test_named_tests_exist(page: Path) -> None:
    """Each test that a page names is in that file."""
    for file, name in _TEST.findall(page.read_text(encoding="utf-8")):
        path = ROOT / file
        assert path.is_file(), file
        assert name in functions_of(path), f"{file}::{name}"


def is_there(dotted: str) -> bool:
    """Whether the package's sources have a module, function, class, method or constant of that name."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        base = ROOT / "src" / Path(*parts[:end])
        path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if path.is_file():
            rest = ".".join(parts[end:])
            return not rest or rest in functions_of(path)
    return False


@EACH_PAGE
def test_named_code_exists(page: Path) -> None:
    """Each name of the package that a page writes out is defined in the sources."""
    for dotted in _NAME.findall(page.read_text(encoding="utf-8")):
        assert is_there(dotted), dotted


@EACH_PAGE
def test_named_files_exist(page: Path) -> None:
    """Each path of the repository that a page names is there, but for placeholders in capitals."""
    for name in _PATH.findall(prose(page)):
        if "NAME" not in name:
            assert (ROOT / name).exists(), name


@EACH_PAGE
def test_named_programs_exist(page: Path) -> None:
    """Each module that a page tells people to run with ``python -m`` is one of the package."""
    for name in re.findall(r"python3? -m (vecwire[\w.]*)", page.read_text(encoding="utf-8")):
        assert is_there(name), name


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    headings = _HEADING.findall(prose(page))
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", text.lower()).strip()) for text in headings}


@EACH_PAGE
def test_links_lead_somewhere(page: Path) -> None:
    """Each link within the repository leads to a file that is there, and to a heading in it."""
    for target in _LINK.findall(prose(page)):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.is_file(), target
        if anchor:
            assert anchor in anchors(path), target


def test_links_of_the_site_stay_in_it() -> None:
    """No page of the site links to a file outside it: the site would not have it."""
    for page in (ROOT / "docs").glob("*.md"):
        assert not [target for target in _LINK.findall(prose(page)) if target.startswith("../")], page.name


def test_every_page_is_in_the_navigation() -> None:
    """The site's navigation has every page, once."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^\s+- ([\w-]+\.md)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))


# Completeness.


@pytest.mark.parametrize("function", SEED)
def test_every_function_of_the_seed_is_mapped(function: str) -> None:
    """Each function of UML's driver has an entry with the code that does it here and a test."""
    text = (ROOT / "docs" / "seed.md").read_text(encoding="utf-8")
    entries = re.findall(r"^- \*\*`(\w+)`\*\*(.*?)(?=^- \*\*|^#|^$)", text, re.MULTILINE | re.DOTALL)
    mine = [body for name, body in entries if name == function]
    assert len(mine) == 1
    assert _NAME.search(mine[0])
    assert _TEST.search(mine[0])


@pytest.mark.parametrize("row", range(1, ROWS_OF_THE_SEED + 1))
def test_every_error_of_the_seed_has_its_tests(row: int) -> None:
    """Each known error of the driver has a section with tests, among them all that bear its number."""
    text = (ROOT / "docs" / "seed.md").read_text(encoding="utf-8")
    section = re.search(rf"^### {row}\. .*?(?=^### |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    named = {name for _, name in _TEST.findall(section.group())}
    assert named
    files = [ROOT / "tests" / "kernel" / "test_seed.py", ROOT / "tests" / "unit" / "spec" / "test_spec.py"]
    numbered = {
        name for file in files for name in functions_of(file) if re.match(rf"test_(seed_)?row_{row}_", name)
    }
    assert numbered <= named


def test_every_assumption_is_on_its_page() -> None:
    """Each bare test of the kernel's behaviour is named on the page about it."""
    page = (ROOT / "docs" / "kernel.md").read_text(encoding="utf-8")
    files = sorted((ROOT / "tests" / "kernel").glob("test_assumptions*.py"))
    tests = {name for file in files for name in functions_of(file)}
    named = {name for _, name in _TEST.findall(page)}
    assert {name for name in tests if name.startswith("test_")} <= named


def rows(page: str, heading: str = "") -> list[list[str]]:
    """The rows of tables on a page, or of those below one heading, cells without their back-ticks."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    if heading:
        text = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def test_every_counter_is_told() -> None:
    """The page of counters has each of them, in order, with the meaning that the code gives it."""
    told = [row for row in rows("counters.md") if len(row) == 3 and row[0] != "counter"]
    assert [(row[0], row[1]) for row in told] == list(MEANINGS.items())
    assert {row[0] for row in told if row[1].startswith("dropped")} == {*DROPS}


@pytest.mark.parametrize(
    ("heading", "table"),
    [
        ("What an errno of receiving means", errnos.RECEIVE),
        ("What an errno of sending means", errnos.SEND),
    ],
)
def test_every_errno_is_told(heading: str, table: dict[int, errnos.Meaning]) -> None:
    """The page of errors has both tables of errnos as the code has them."""
    told = [row for row in rows("errors.md", heading) if row[0] != "errno"]
    assert told == [
        [errno.errorcode[number], meaning.action, meaning.counter, meaning.source]
        for number, meaning in table.items()
    ]


def test_every_table_of_the_bench_is_shown() -> None:
    """The page of performance has the run's every table, each under its question, with each of its cases."""
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    run = page.partition("<!-- bench: begin -->")[2].partition("<!-- bench: end -->")[0]
    tables = catalogue()
    assert [name for name in _HEADING.findall(run) if name in {table.title for table in tables}] == [
        table.title for table in tables
    ]
    for table in tables:
        told = {(row[0], row[1]) for row in rows("performance.md", table.title)}
        for case, contender in itertools.product(table.cases, table.contenders):
            wanted = (case, contender.name) if case else (contender.name,)
            assert any(row[: len(wanted)] == wanted for row in told), f"{table.title}: {wanted}"


def test_every_exit_code_is_told() -> None:
    """The exit codes of the page and of the README are those of the command."""
    codes = {str(int(code)) for code in ExitCode}
    assert {row[0] for row in rows("errors.md", "Exit codes")} - {"code"} == codes
    readme = (ROOT / "README.md").read_text(encoding="utf-8").split("## Exit codes")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| (\d+) \|", readme, re.MULTILINE)) == codes


def test_every_dependency_earns_its_place() -> None:
    """The table of dependencies has each package that pyproject.toml asks for, and no other."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    asked = {name.lower() for name in re.findall(r'"([A-Za-z][\w-]*)>=', text)}
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Dependencies")[1]
    told = {name.lower() for name in re.findall(r"^\| ([\w-]+) \| \w+ \|", page, re.MULTILINE)} - {"package"}
    assert told == asked


# The readers above, on texts that are known.


def test_readers_find_what_is_wrong() -> None:
    """A wrong spec, a name that is not there and a page's anchors are seen as such."""
    with pytest.raises(SpecError):
        vecwire.parse(_SPEC.findall("as in `tap,ifnam=tap0`")[0])
    assert not is_there("vecwire.spec.nothing")
    assert not is_there("vecwire.transports.nowhere.open_it")
    assert is_there("vecwire.transports._port.TransportPort.recover")
    assert "-netdev-l2tpv3" in anchors(ROOT / "docs" / "interop.md")
    assert words_of("vecwire cable a,b=1 c,d=2 & first=$!") == ["vecwire", "cable", "a,b=1", "c,d=2"]


def test_every_metric_is_told() -> None:
    """The page has each metric, with its labels and the help text that the service gives it."""
    service = Told()
    service.ports = [port_state("tap0", offloads=["gso"])]
    wanted = [
        [family.name + _ENDINGS[family.type], ", ".join(family.samples[0].labels), family.documentation]
        for family in ServiceCollector(service).collect()
    ]
    assert rows("operations.md", "Metrics")[1:] == wanted


def test_privileges_are_told() -> None:
    """The page has what each transport needs to be opened again."""
    told = {row[0]: set(row[1].split(", ")) - {"none"} for row in rows("operations.md", "Privileges")}
    tunnel = "src=192.0.2.1,dst=192.0.2.2"
    specs = [
        *("raw,ifname=eth1", "tap,ifname=tap0", "hybrid,ifname=tap0", f"gre,{tunnel}"),
        *(f"l2tpv3,{tunnel},rx_session=1,tx_session=2", "bess,listen=/run/guest"),
    ]
    for spec in map(vecwire.parse, specs):
        assert told[spec.transport] == needed([spec], force_buffers=False)
    assert {vecwire.parse(spec).transport for spec in specs} == set(SPEC_CLASSES)
