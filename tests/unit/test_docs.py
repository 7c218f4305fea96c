"""The documentation keeps up with the code: what is missing in it, or no longer true, fails here."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

import inhouse
from inhouse import errors
from inhouse.cli.main import app
from inhouse.core import PRIMARY_METRICS, Decision, Task
from inhouse.core.results import MonitorDecision
from inhouse.core.task import FromInput
from inhouse.store import releases
from inhouse.store.settings import ENV_PREFIX, ReleaseSettings, Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
COMMAND_LINE = typer.main.get_command(app)


def read(name: str) -> str:
    """A page below docs/."""
    return (DOCS / name).read_text("utf-8")


def commands(group: Any = COMMAND_LINE, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command by its full name, such as `models pull`."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def options(command: Any) -> set[str]:
    """The option names of a command, `--help` aside."""
    return {o for p in command.params if p.param_type_name == "option" for o in p.opts} - {"--help"}


def sections(text: str) -> dict[str, str]:
    """The parts of a page by their `##` heading."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page with that language (empty: none named)."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [body for name, body in found if name == language]


def rows(text: str) -> dict[str, list[str]]:
    """Table rows whose first cell is one code word: that word, and the other cells."""
    found = {}
    for line in text.splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and re.fullmatch(r"`[^`]+`", cells[0]):
            found[cells[0].strip("`")] = cells[1:]
    return found


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a settings model, dotted, with its default; `PydanticUndefined` where a function makes it."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys(inner, f"{prefix}{field.alias or name}.")
        else:
            yield f"{prefix}{field.alias or name}", field.default


def shown(default: Any) -> str:
    """A default as the pages write it."""
    if default is None:
        return "absent"
    return f"`{json.dumps(list(default) if isinstance(default, tuple) else default)}`"


def error_classes() -> list[type[errors.InhouseError]]:
    """Every class of the error tree."""
    found = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.InhouseError)]
    assert len(found) > 5
    return found


# --- commands


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_has_a_section_with_exactly_its_options(name: str, command: Any):
    section = sections(read("cli.md")).get(f"inhouse {name}")
    assert section is not None, f"docs/cli.md has no section `## inhouse {name}`"
    table = "\n".join(line for line in section.splitlines() if line.startswith("| `-"))
    told = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(row.split("|")[1] for row in table.splitlines())))
    assert told == options(command)


def test_no_section_describes_a_command_that_is_gone():
    told = {h.removeprefix("inhouse ") for h in sections(read("cli.md")) if h.startswith("inhouse ")}
    assert told == {name for name, _ in commands()}


def command_lines() -> list[tuple[str, str]]:
    """Every `inhouse …` line of the pages' code blocks, with its page."""
    found = []
    for page in PAGES:
        for block in blocks(page, ""):
            lines = [line for line in block.splitlines() if re.match(r"(\$ )?([A-Z_]+=\S+ )*inhouse ", line)]
            found += [(str(page.relative_to(ROOT)), line) for line in lines]
    return found


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_command_lines_in_the_pages_parse(page: str, line: str):
    words = shlex.split(line.removeprefix("$ "), comments=True)
    words = words[words.index("inhouse") + 1 :]
    command = COMMAND_LINE
    while hasattr(command, "commands"):
        assert words, f"{page}: {line!r} names no command"
        assert words[0] in command.commands, f"{page}: there is no command {words[0]!r}"
        command = command.commands[words.pop(0)]
    command.make_context("inhouse", words)  # raises on an unknown option, a missing value or argument


def test_the_readme_shows_the_journey():
    shown_verbs = {shlex.split(line)[1] for page, line in command_lines() if page == "README.md"}
    assert shown_verbs >= {name for name, _ in commands() if " " not in name} - {"doctor"}


# --- settings and task


def test_every_setting_its_variable_and_its_default():
    table = rows(read("settings.md"))
    assert set(table) == {key for key, _ in keys(Settings)}
    for key, default in keys(Settings):
        variable = f"{ENV_PREFIX}{key.replace('.', '__')}".upper()
        assert table[key][0] == f"`{variable}`"
        if default is not PydanticUndefined:
            assert table[key][1] == shown(default), key


def test_every_key_of_a_tasks_release():
    table = rows(sections(read("release.md"))["Settings"])
    assert {key: cells[0] for key, cells in table.items()} == {
        key: "none" if default is None else shown(default) for key, default in keys(ReleaseSettings)
    }


def test_every_key_of_task_toml_and_its_default():
    known = [(key, default) for key, default in keys(Task) if key != "name"]
    table = rows(read("task.md"))
    assert set(table) == {key for key, _ in known} | {f'"{form}"' for form in get_args(FromInput)}
    for key, default in known:
        assert table[key][0] == ("`{}`" if default is PydanticUndefined else shown(default)), key


# --- errors, contenders, metrics, checks, endpoints


def test_every_error_class_with_its_exit_code():
    table = rows(read("errors.md"))
    assert {name: cells[0] for name, cells in table.items()} == {c.__name__: str(c.exit_code) for c in error_classes()}


def test_every_contender():
    from inhouse.evaluate.contenders import CONTENDERS

    assert CONTENDERS
    assert set(CONTENDERS) <= set(rows(sections(read("evaluate.md"))["The contenders"]))
    assert set(rows(sections(read("evaluate.md"))["The contenders"])) <= set(CONTENDERS)


def test_every_metric_and_decision():
    parts = sections(read("evaluate.md"))
    assert set(rows(parts["The metrics"])) == {name for names in PRIMARY_METRICS.values() for name in names}
    assert set(rows(parts["The verdict"])) == set(get_args(Decision))
    assert set(rows(sections((ROOT / "README.md").read_text("utf-8"))["How the verdict decides"])) == set(
        get_args(Decision)
    )
    for decision in get_args(MonitorDecision):
        assert f"`{decision}`" in read("monitor.md")


def test_every_check():
    from inhouse.clean import CHECKS

    assert set(rows(sections(read("clean.md"))["The checks"])) == set(CHECKS)
    applying = sections(read("clean.md"))["What to apply"]
    assert "`safe`" in applying


def test_every_file_format():
    from inhouse.sources.registry import READERS

    formats = sections(read("compile.md"))["Formats"]
    assert READERS
    assert all(f"`.{extension}`" in formats for extension in READERS)


def test_every_endpoint_and_field_without_effect():
    from inhouse.api.routes import ROUTERS
    from inhouse.api.shapes.wishes import WITHOUT_EFFECT

    pages = "".join(read(path.name) for path in DOCS.glob("*.md"))
    told = set(re.findall(r"^\| `([A-Z]+ /[^`]*)`", pages, flags=re.MULTILINE))
    routes = {
        f"{method} {re.sub(':path', '', route.path)}"
        for router in ROUTERS
        for route in router.routes
        for method in route.methods
    }
    assert told == routes
    assert all(f"`{name}`" in pages for name in WITHOUT_EFFECT)


def test_figures_that_the_code_fixes():
    from inhouse.dataset import MIN_EXAMPLES, SHARES, SHARES_WITH_TEST
    from inhouse.deploy.parity import MAX_MEAN_DIFFERENCE, MIN_AGREEMENT, MIN_TOKENS
    from inhouse.monitor import ALPHA, ENOUGH_CORRECTIONS, MIN_JUDGED, MIN_REQUESTS
    from inhouse.sources.examples import MAX_LABEL_CHARS
    from inhouse.train.plan import EPOCHS, EXAMPLES_SHOWN, MAX_TOKENS

    train, compile_, monitor = read("train.md"), read("compile.md"), read("monitor.md")
    assert f"about {EXAMPLES_SHOWN:,} examples" in train
    assert f"between {EPOCHS[0]} and {EPOCHS[1]} passes" in train
    assert f"({MAX_TOKENS} tokens" in train
    assert f"Absent: {MAX_TOKENS}" in read("task.md")
    assert f"fewer than {MIN_AGREEMENT:.0%}".replace("%", " %") in train
    assert f"more than {MAX_MEAN_DIFFERENCE} on average" in train
    assert f"At least {MIN_TOKENS} answer tokens" in train
    for shares in (SHARES, {**SHARES_WITH_TEST, "test": None}):
        row = " | ".join(f"{100 * share:.0f} %" for share in shares.values() if share is not None)
        assert f"| {row} |" in compile_
    assert f"at most {MAX_LABEL_CHARS} characters" in compile_
    assert MIN_EXAMPLES == 10, "compile.md and README.md say ten"
    assert f"at least {MIN_REQUESTS} requests" in monitor
    assert f"p < {ALPHA}" in monitor
    assert f"than {MIN_JUDGED} judged answers" in monitor
    assert f'corrections" are {ENOUGH_CORRECTIONS}' in monitor


# --- Python


def test_every_public_name_is_in_the_python_page():
    page = read("python.md")
    missing = [name for name in inhouse.__all__ if not re.search(rf"inhouse\.{name}\b", page)]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_compile_and_call_what_exists(page: Path):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "inhouse":
                assert node.attr in inhouse.__all__, f"inhouse.{node.attr} does not exist"


# --- links and words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_resolve(page: Path):
    for target in re.findall(r"\[[^\]]+\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), flags=re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, f"{page.name} links to {target}"


def test_every_page_is_listed():
    index, design = read("index.md"), read("design/README.md")
    assert all(f"({p.name})" in index for p in DOCS.glob("*.md") if p.name != "index.md")
    assert all(f"({p.name})" in design for p in (DOCS / "design").glob("*.md") if p.name != "README.md")


def test_make_targets_in_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    readme = "\n".join(blocks(ROOT / "README.md", ""))
    targets = re.findall(r"^make (\w+)", readme, flags=re.MULTILINE)
    assert {"demo", "test"} <= set(targets)
    assert all(re.search(rf"^{target}:", makefile, flags=re.MULTILINE) for target in targets)
    for variable in ("INDEX", "TORCH_INDEX"):
        assert re.search(rf"^{variable} \?=", makefile, flags=re.MULTILINE)


def acts() -> set[str]:
    """Every act that the code notes in the audit log by name; one that is put together of a state with each of them."""
    found = set[str]()
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            told = [
                *(node.args[1:3] if name in ("note", "note_in") else ()),
                *(k.value for k in node.keywords if k.arg == "act"),
            ]
            found |= {part.value for part in told if isinstance(part, ast.Constant) and isinstance(part.value, str)}
            if any(isinstance(part, ast.JoinedStr) and ast.unparse(part) == "f'canary {state}'" for part in told):
                found |= {f"canary {state}" for state in (releases.RETURNED, releases.ENDED)}
    return found - {""}


def test_every_act_of_the_audit_log_stands_in_its_table() -> None:
    table = sections(read("keys.md"))["The audit log"]
    listed = set(
        re.findall(r"`([^`]+)`", " ".join(row.split("|")[1] for row in table.splitlines() if row.startswith("|")))
    )
    assert {"forget", "create job", "canary begins", "canary returned"} <= acts()
    assert acts() <= listed, acts() - listed
