"""The conformance suite: every feed passes it, a feed from outside can run it, and each card fails what it is there to fail."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tickhouse.core.errors import BadSetting, UnknownName
from tickhouse.core.model import Want
from tickhouse.core.plugins import load, names
from tickhouse.core.settings import FeedSettings, Settings
from tickhouse.steps import chosen
from tickhouse.steps.certify import CARDS, FAILED, PASSED, SKIPPED, Report, certify
from tickhouse.steps.simulated import ASKED

ADDING = Path(__file__).parents[2] / "docs" / "adding.md"
QUICK = ("fmp", "frankfurter")
"""Feeds whose cards take least; a socket must be waited for, a long history asked for."""
SOURCE = re.search(r"```python\n(.*?)```", ADDING.read_text(), re.DOTALL)[1]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes a module `outside_<n>.myfeed` that can be imported, and returns its path; it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def write(source: str, name: str = "outside") -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "myfeed.py").write_text(source)
        importlib.invalidate_caches()
        made.append(name)
        return f"{name}.myfeed"

    yield write
    for module in [known for known in sys.modules if known.partition(".")[0] in made]:
        del sys.modules[module]


def verdicts(report: Report) -> dict[str, str]:
    return {card.name: card.verdict for card in report.cards}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ASKED]
)
def test_every_feed_passes(name):
    report = certify(name)
    assert report.passed, report.plain()
    skipped = {card.name for card in report.cards if card.verdict == SKIPPED}
    assert [card.name for card in report.cards] == list(CARDS) and skipped <= {"bad credentials", "reconnect", "mute"}


def test_the_feed_of_the_documentation_passes_by_its_path(package):
    report = certify(package(SOURCE))
    assert report.passed, report.plain()
    passed = {name for name, verdict in verdicts(report).items() if verdict == PASSED}
    assert passed == set(CARDS) - {"bad credentials", "reconnect", "mute"}
    lines = [line for line in SOURCE.partition("class Page")[2].partition("EXAMPLES")[0].splitlines() if line.strip()]
    assert len(lines) <= 40


def test_a_feed_is_found_by_its_entry_point_and_opened_from_settings(package, tmp_path):
    package(SOURCE, "elsewhere")
    info = tmp_path / "elsewhere-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tickhouse.feeds]\ner_api = elsewhere.myfeed\nyahoo = elsewhere.myfeed\n")
    importlib.invalidate_caches()
    assert "er_api" in names("feeds") and certify("er_api").passed
    section = FeedSettings(symbols=["USD-EUR"], channel="latest", url="http://127.0.0.1:9")
    (request,) = chosen.feed(Settings(feeds={"er_api": section}), "er_api").poll(Want(("USD-EUR",), "latest"))
    assert request.url == "http://127.0.0.1:9/v6/latest/USD"
    assert load("feeds", "yahoo").__name__ == "tickhouse.feeds.yahoo"


def test_names_that_lead_nowhere_are_said(package):
    for name in ("nowhere", "nowhere.myfeed", "outside.nowhere"):
        with pytest.raises(UnknownName, match=name.replace(".", r"\.")):
            certify(name)
    with pytest.raises(BadSetting, match="open"):
        certify(package("x = 1\n"))
    with pytest.raises(BadSetting, match="rate limits"):
        certify(package(SOURCE.replace('"rate limit":', '"rate limits":'), "misspelled"))


WRONG = {
    "success": ('page.base_code}-{to}"', 'page.base_code}/{to}"'),
    "rate limit": ("answer.status == 429", "answer.status == 430"),
    "unknown symbol": ("return UnknownSymbol(", "return NoData("),
    "error bodies": ('answer.status >= 500 or answer.body[:1] == b"<"', "False"),
    "unicode": ('Code = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]', "Code = str"),
    "huge numbers": ("Annotated[float, msgspec.Meta(gt=0, lt=1e12)]", "object"),
    "empty": ("kinds[i], rejects = Kind.REJECTED", "raise\n                kinds[i], rejects = Kind.REJECTED"),
    "revision": ('"price": rate,', '"price": rate * float(raw.received_at[i]),'),
    "duplicate": (
        "for i, payload in enumerate(raw.payloads()):",
        "for i, payload in enumerate(dict.fromkeys(raw.payloads())):",
    ),
}


@pytest.mark.parametrize("card", WRONG)
def test_each_card_fails_what_it_is_there_to_fail(package, card):
    good, bad = WRONG[card]
    assert good in SOURCE
    source = SOURCE.replace(good, bad)
    if card == "huge numbers":
        source = source.replace('"price": rate,', '"price": float(rate),')
    assert verdicts(certify(package(source)))[card] == FAILED


def test_a_feed_whose_messages_depend_on_those_before_fails_disorder(package):
    source = SOURCE.replace("rows += [", "self.seen = getattr(self, 'seen', 0) + 1\n            rows += [")
    source = source.replace('"price": rate,', '"price": rate + 0.001 * self.seen,')
    first, second = (
        b'{"result":"success","base_code":"%s","time_last_update_unix":1773187200,"rates":{"EUR":0.9}}' % one
        for one in (b"USD", b"GBP")
    )
    source += f'\nEXAMPLES["success"] = [("latest", {first!r}), ("latest", {second!r})]\n'
    found = verdicts(certify(package(source)))
    assert found["disorder"] == FAILED and found["success"] == FAILED


def test_a_socket_without_a_way_to_subscribe_anew_fails_mute(package):
    source = SOURCE.replace(
        'raise BadSetting("feeds.er_api.channel", want.channel, "latest, which is polled")',
        'return [Subscription("ws://x", "latest", tuple(want.symbols), hello=("hi",))]',
    ).replace("import About, Pace, Request", "import About, Pace, Request, Subscription")
    found = verdicts(certify(package(source)))
    assert (found["reconnect"], found["mute"]) == (PASSED, FAILED)


def test_the_command_prints_cards_and_ends_with_1_when_one_failed(package, tmp_path):
    good, bad = package(SOURCE, "good"), package(SOURCE.replace("== 429", "== 430"), "bad")
    command = [sys.executable, "-m", "tickhouse", "certify"]
    environment = {"PYTHONPATH": ":".join([str(tmp_path), *sys.path]), "PATH": "/usr/bin:/bin"}
    done = [
        subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, env=environment)
        for arguments in ((good, "--json"), (bad,), ("nope",))
    ]
    assert [one.returncode for one in done] == [0, 1, 2], [one.stderr for one in done]
    report = json.loads(done[0].stdout)
    assert report["passed"] and [card["name"] for card in report["cards"]] == list(CARDS)
    assert "1 of 13 cards failed" in done[1].stdout and "no feeds named 'nope'" in done[2].stderr
