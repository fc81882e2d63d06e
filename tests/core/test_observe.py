"""What tickhouse says about itself: one line an event, no secrets, cheap metrics."""

import io
import json
import logging
from typing import Literal

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from tickhouse.core import observe
from tickhouse.core.errors import BadCredentials
from tickhouse.core.secrets import Secret
from tickhouse.core.settings import LogSettings

pytestmark = pytest.mark.usefixtures("log_as_it_was")


def lines(form: Literal["console", "json"], level: Literal["debug", "info", "warning"] = "info") -> io.StringIO:
    """The log of a set-up, to be read back."""
    out = io.StringIO()
    observe.setup(LogSettings(format=form, level=level), out)
    return out


def test_an_event_is_one_json_line() -> None:
    out = lines("json")
    observe.tell("journal", "appended", rows=3, source="binance", text="two\nlines")
    (line,) = out.getvalue().splitlines()
    event = json.loads(line)
    assert (event["event"], event["room"], event["rows"], event["level"]) == ("appended", "journal", 3, "info")
    assert event["text"] == "two\\nlines"
    assert event["timestamp"].endswith("Z")


@pytest.mark.parametrize("form", ["console", "json"])
def test_an_exception_is_one_line_with_its_sentence(form: Literal["console", "json"]) -> None:
    out = lines(form)
    log = structlog.get_logger()
    try:
        raise BadCredentials("the key\nis wrong")
    except BadCredentials:
        log.exception("stopped")
    try:
        raise ZeroDivisionError("oh")
    except ZeroDivisionError as error:
        log.error("bug", exc_info=error)
    first, second = out.getvalue().splitlines()
    assert "BadCredentials: the key" in first
    assert "Traceback" not in first
    assert "ZeroDivisionError: oh" in second
    assert "test_observe.py" in second


@pytest.mark.parametrize("form", ["console", "json"])
def test_no_secret_reaches_the_log(form: Literal["console", "json"]) -> None:
    out = lines(form, "debug")
    observe.tell(
        "transport", "asked", key=Secret("hush1"), apikey="hush2", api_key="hush3",
        nested={"token": "hush4", "a": ["x?token=hush5"]},
        url="https://x.y/q?symbol=A&apikey=hush6&b=1", dsn="postgresql://me:hush7@host/db", error=ValueError("?key=hush8"),
    )  # fmt: skip
    logging.getLogger("httpx").info("GET https://x/?foo=hush9")
    logging.getLogger("websockets.client").debug("hush10")
    logging.getLogger("other").warning("at %s", "https://x/?password=hush11")
    text = out.getvalue()
    assert "hush" not in text
    assert "symbol=A" in text
    assert "b=1" in text
    assert len(text.splitlines()) == 2


def test_the_level_is_kept_and_libraries_log_the_same_way() -> None:
    out = lines("json", "warning")
    observe.tell("a", "quiet")
    observe.tell("a", "loud", logging.WARNING)
    logging.getLogger("uvicorn").error("failed %d", 5)
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["loud", "failed 5"]
    assert events[1]["logger"] == "uvicorn"


def test_nothing_is_printed_before_it_is_set_up(capsys: pytest.CaptureFixture[str]) -> None:
    observe.hooks = ()
    observe.tell("a", "b", logging.ERROR)
    assert capsys.readouterr() == ("", "")


def test_hooks_get_one_frozen_record() -> None:
    seen: list[observe.Event] = []
    observe.hooks = (seen.append,)
    observe.tell("journal", "trimmed", positions=5)
    assert seen == [observe.Event("journal", "trimmed", logging.INFO, {"positions": 5})]
    with pytest.raises(AttributeError):
        seen[0].name = "x"  # type: ignore[misc]


def value(sample: str, **labels: str) -> float:
    """A sample of the exposition, 0 when it is not there."""
    families = text_string_to_metric_families(observe.exposition().decode())
    return sum(s.value for f in families for s in f.samples if s.name == sample and s.labels == labels)


def test_metrics_are_exposed() -> None:
    before = value("tickhouse_ticks_total", source="t")
    observe.count("ticks", 5, source="t")
    observe.count("ticks", source="t")
    observe.gauge("journal_position", 17, group="process")
    observe.timing("lag_seconds", 0.02, source="t")
    assert value("tickhouse_ticks_total", source="t") - before == 6
    assert value("tickhouse_journal_position", group="process") == 17
    assert value("tickhouse_lag_seconds_bucket", source="t", le="0.025") >= 1
    assert value("tickhouse_lag_seconds_bucket", source="t", le="0.01") == 0


def test_labels_may_come_in_any_order() -> None:
    before = value("tickhouse_messages_total", source="o", kind="parsed")
    observe.count("messages", 1, source="o", kind="parsed")
    observe.count("messages", 1, kind="parsed", source="o")
    assert value("tickhouse_messages_total", source="o", kind="parsed") - before == 2


def test_an_unknown_metric_or_label_is_an_error() -> None:
    with pytest.raises(KeyError):
        observe.count("tickz")
    with pytest.raises(ValueError, match="label"):
        observe.count("ticks", 1, symbol="BTC-USDT")
