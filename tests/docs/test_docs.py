"""What README and docs show is run: commands in a folder with a house, Python as it stands; what they name exists."""

import gzip
import re
import shlex
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import typer

from tests.cli.inside import CommandLine
from tickhouse.cli import app
from tickhouse.core.model import Want
from tickhouse.core.settings import Section, Settings, load
from tickhouse.steps import chosen

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BEGAN = datetime(2026, 11, 20, 13)
ELSEWHERE = {
    "git clone": "this is the clone",
    "make ": "it sets up an environment of its own",
    ".venv/bin/tickhouse up": "it needs a network",
    ".venv/bin/tickhouse backfill yahoo": "it needs a network",
}
"""Lines that are not run here, by how they begin, and why."""


def blocks(kind: str) -> list[tuple[str, str]]:
    """The fenced blocks of a kind, with the page they stand on."""
    found = re.compile(rf"^```{kind}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(page.name, block) for page in PAGES for block in found.findall(page.read_text())]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the pages load."""
    folder = tmp_path_factory.mktemp("docs")
    lines = [
        "time,price,size",
        *(f"{BEGAN + timedelta(seconds=20 * n):%Y-%m-%dT%H:%M:%SZ},{100 + n % 7},5" for n in range(400)),
    ]
    (folder / "trades.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    start = round(BEGAN.timestamp() * 1000)
    trade = '{{"e":"trade","E":{0},"s":"BTCUSDT","t":{1},"p":"{2}.5","q":"0.1","T":{0},"m":true,"M":true}}'
    tape = [trade.format(start + 15_000 * n, n + 1, 60_000 + n % 50) for n in range(600)]
    (folder / "tape.ndjson").write_text("\n".join([*tape, tape[5], "not a trade"]) + "\n")
    return folder


@pytest.fixture
def th(files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Runs a command in that folder."""
    monkeypatch.chdir(files)
    monkeypatch.delenv("TICKHOUSE_DATA", raising=False)
    return CommandLine(capsys, monkeypatch)


def loaded(th: CommandLine) -> None:
    for words in (("trades.csv.gz", "--symbol", "AAPL"), ("tape.ndjson", "--as", "binance")):
        assert th("load", *words, "--data", "mine").status == 0


@pytest.mark.parametrize(("page", "block"), blocks("bash"))
def test_every_command_that_is_shown_works(th: CommandLine, page: str, block: str) -> None:
    loaded(th)
    ran = 0
    for line in block.splitlines():
        if any(line.startswith(beginning) for beginning in ELSEWHERE):
            continue
        words = shlex.split(line, comments=True)
        assert words[0] in (".venv/bin/tickhouse", "tickhouse"), f"{page}: nobody runs {line!r}"
        said = th(*words[1:])
        allowed = (0, 75) if words[1] == "doctor" else (0,)
        assert said.status in allowed, f"{page}: {line}\n{said.err}"
        ran += 1
    assert ran or all(any(line.startswith(beginning) for beginning in ELSEWHERE) for line in block.splitlines())


@pytest.mark.parametrize(("page", "block"), blocks("python"))
def test_every_piece_of_python_that_is_shown_runs(th: CommandLine, page: str, block: str) -> None:
    loaded(th)
    exec(compile(block, page, "exec"), {})


def test_the_settings_that_are_shown_load_and_open(tmp_path: Path) -> None:
    shown = [block for page, block in blocks("toml") if page == "operations.md"]
    assert any("[groups." in block for block in shown)
    for number, block in enumerate(shown):
        file = tmp_path / f"{number}.toml"
        file.write_text(block)
        settings = load(file)
        feeds = chosen.feeds(settings)
        for name, section in settings.feeds.items():
            want = Want(settings.symbols_of(name), section.channel or feeds[name].channel)
            polled = feeds[name].ways.is_polled(want.channel)
            assert feeds[name].poll(want) if polled else feeds[name].subscriptions(want)


def test_there_is_something_to_run() -> None:
    assert len(blocks("bash")) >= 3 and blocks("python")
    bare = [
        page.name
        for page in PAGES
        if re.search(r"^    (\.venv/bin/)?(tickhouse|make) ", page.read_text(), re.MULTILINE)
    ]
    assert not bare, "commands stand in blocks of bash, or nobody runs them"


def commands() -> dict[str, set[str]]:
    """Every command, with its options; those of a group have its name before theirs."""
    tree = typer.main.get_command(app)
    found: dict[str, set[str]] = {}

    def walk(name: str, command: object) -> None:
        found[name] = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
        for inner, sub in getattr(command, "commands", {}).items():
            walk(f"{name} {inner}".strip(), sub)

    walk("", tree)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_named_exists(page: Path) -> None:
    known = commands()
    for text in re.findall(r"`(?:tickhouse )([a-z][^`]*)`", page.read_text()):
        words = text.split()
        name = next((n for n in (" ".join(words[:2]).rstrip(","), words[0]) if n in known), None)
        assert name is not None, f"{page.name} names `tickhouse {text}`"
        for option in re.findall(r"--[a-z-]+", text):
            assert option in known[name] or any(
                option in known[f"{name} {inner}"] for inner in words if f"{name} {inner}" in known
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    sections = {name: field.annotation for name, field in Settings.model_fields.items()}
    for section, key in re.findall(r"`([a-z]+)\.([a-z_]+)\b(?:`| =)", page.read_text()):
        kind = sections.get(section)
        if isinstance(kind, type) and issubclass(kind, Section) and key not in ("db", "py"):
            assert key in kind.model_fields, f"{page.name} names {section}.{key}"
