"""What is asked of FRED, which error an answer stands for, and what its messages mean."""

import json
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.feeds.fred_archive import RECEIVED, Archive, Belief
from tests.feeds.polled_talk import parsed, talk
from tests.feeds.samples_fred import REFUSAL, observation, observations
from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import (
    BadCredentials,
    BadMessage,
    BadSetting,
    NoData,
    RateLimited,
    SettingsError,
    Temporary,
    TickhouseError,
    UnknownSymbol,
    Unreachable,
)  # fmt: skip
from tickhouse.core.model import Hole, Kind, Want
from tickhouse.core.requests import Answer, Request
from tickhouse.core.secrets import Secret
from tickhouse.feeds import fred

DAY = 86_400_000_000
Q1, Q2 = 19_723 * DAY, 19_814 * DAY
"""2024-01-01 and 2024-04-01."""
GDP = [("2024-01-01", "100", "2024-04-25"), ("2024-01-01", "101", "2024-05-30"), ("2024-04-01", ".", "2024-07-25")]


def parse(*payloads: bytes, channel: str = "observations:GDP", received_at: int = RECEIVED) -> Parsed:
    return fred.open().parse(RawBatch.of("fred", channel, payloads, received_at))


def rows(found: Parsed) -> list[dict[str, Any]]:
    return found.observations.to_pylist() if found.observations is not None else []


def told(feed: fred.Fred, want: Want, archive: Archive) -> list[tuple[str, date, float | None, date]]:
    """Everything that a history says, in the order in which it says it."""
    found = parsed(feed, talk(feed, feed.history(want), archive.answer))
    assert not any(one.rejects for one in found)
    return [(row["series"], row["date"], row["value"], row["vintage"]) for one in found for row in rows(one)]


def believed(series: str, beliefs: list[Belief]) -> list[tuple[str, date, float | None, date]]:
    day = date.fromisoformat
    return [(series, day(d), None if v == "." else float(v), day(since)) for d, v, since in beliefs]


def test_a_poll_asks_for_the_newest_observations_of_each_series_in_one_request() -> None:
    feed = fred.open(key=Secret("k" * 32))
    talked = talk(feed, feed.poll(Want(("GDP", "DGS10"), "observations")), Archive({"GDP": GDP, "DGS10": GDP}).answer)
    first, second = (request for request, _ in talked)
    assert first.url == "https://api.stlouisfed.org/fred/series/observations"
    assert first.params == {"file_type": "json", "series_id": "GDP", "sort_order": "desc", "limit": 100}
    assert (first.channel, second.channel) == ("observations:GDP", "observations:DGS10")
    assert first.secret_params["api_key"].reveal() == "k" * 32
    assert "kkk" not in repr(first)


def test_history_tells_every_vintage_and_never_asks_for_a_day_that_may_not_have_begun() -> None:
    feed, archive = fred.open(), Archive({"GDP": GDP})
    talked = talk(feed, feed.history(Want(("GDP",), "")), archive.answer)
    assert [request.channel for request, _ in talked] == ["vintagedates:GDP", "observations:GDP:vintages"]
    request = talked[1][0]
    assert (request.params["realtime_start"], request.params["realtime_end"]) == ("1776-07-04", "9999-12-31")
    assert sorted(told(feed, Want(("GDP",), ""), archive)) == sorted(believed("GDP", GDP))


def test_history_asks_for_the_observations_of_its_range() -> None:
    feed, archive = fred.open(), Archive({"GDP": GDP})
    assert told(feed, Want(("GDP",), "observations", Q1, Q2), archive) == believed("GDP", GDP[:2])
    assert told(feed, Want(("GDP",), "observations", Q1 + 1, Q2 + 1), archive) == believed("GDP", GDP)
    assert list(feed.history(Want(("GDP",), "observations", Q1, Q1))) == []


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_history_goes_on_page_by_page(most: int) -> None:
    archive = Archive({"GDP": GDP}, most=most)
    assert told(fred.open(), Want(("GDP",), ""), archive) == believed("GDP", GDP)


@pytest.mark.parametrize("vintages", [1998, 1999, 2000, 2001, 3996, 3997, 3998, 6500])
def test_a_series_of_thousands_of_vintages_is_asked_in_parts_and_each_vintage_is_told_once(vintages: int) -> None:
    """Daily series have more vintages than one request may span; a part tells again what was believed when it begins."""
    days = [date(2000, 1, 1) + timedelta(days=i) for i in range(vintages)]
    beliefs = [((day - timedelta(days=1)).isoformat(), str(i), day.isoformat()) for i, day in enumerate(days)]
    beliefs += [("1990-01-01", str(i), day.isoformat()) for i, day in enumerate(days) if i % 999 in (0, 500, 998)]
    feed, archive = fred.open(), Archive({"DGS10": beliefs})
    assert sorted(told(feed, Want(("DGS10",), ""), archive)) == sorted(believed("DGS10", beliefs))
    asked = talk(feed, feed.history(Want(("DGS10",), "")), archive.answer)
    assert len(asked) == 1 + max(1, -(-(vintages - 1) // 1998))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40)), min_size=1, max_size=60, unique=True))
@settings(max_examples=tried(60))
def test_vintages_are_told_once_wherever_the_parts_are_cut(moves: list[tuple[int, int]]) -> None:
    first = date(2000, 1, 1)
    beliefs = [
        ((first + timedelta(days=7 * on)).isoformat(), str(i), (first + timedelta(days=since)).isoformat())
        for i, (on, since) in enumerate(moves)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fred, "VINTAGES_A_REQUEST", 4)
        patch.setattr("tests.feeds.fred_archive.MOST_VINTAGES", 4)
        assert sorted(told(fred.open(), Want(("X",), ""), Archive({"X": beliefs}))) == sorted(believed("X", beliefs))


@pytest.mark.parametrize("option", ["", "VIXCLS", "VIXCLS, SP500", "*"])
def test_a_series_without_vintages_is_told_as_it_is_believed_today(option: str) -> None:
    """A refusal says that it has none; the option saves the request that is refused."""
    archive = Archive({"SP500": [("2024-10-29", "5832.92", "2024-10-30")]}, without_vintages=("SP500",))
    requests = []

    def answer(request: Request) -> Answer:
        requests.append(request.channel)
        return archive.answer(request)

    feed = fred.open(without_vintages=option)
    ((request, body),) = talk(feed, feed.history(Want(("SP500",), "")), answer)
    (row,) = rows(parsed(feed, [(request, body)])[0])
    assert (row["date"], row["value"], row["vintage"]) == (date(2024, 10, 29), 5832.92, date(2024, 11, 3))
    saved = "SP500" in option or option == "*"
    assert requests == [*([] if saved else ["vintagedates:SP500"]), "observations:SP500"]


def test_an_unknown_series_is_raised_after_the_others_were_asked() -> None:
    feed, asked = fred.open(), []
    archive = Archive({"GDP": GDP})

    def answer(request: Request) -> Answer:
        asked.append(request.params["series_id"])
        return archive.answer(request)

    with pytest.raises(UnknownSymbol):
        talk(feed, feed.poll(Want(("NOPE", "GDP"), "")), answer)
    assert asked == ["NOPE", "GDP"]


def test_a_refused_key_is_tried_once_more_and_no_more() -> None:
    refused = Answer(
        400, {}, b'{"error_code":400,"error_message":"The value for variable api_key is not registered."}', 0
    )
    feed, archive = fred.open(key=Secret("k" * 32)), Archive({"GDP": GDP})
    answers = [refused, archive.answer(next(feed.poll(Want(("GDP",), "")))), refused, refused]
    assert len(talk(feed, feed.poll(Want(("GDP",), "")), lambda request: answers.pop(0))) == 1
    with pytest.raises(BadCredentials):
        talk(feed, feed.poll(Want(("GDP", "DGS10"), "")), lambda request: answers.pop(0))
    assert not answers
    answers = [refused]
    with pytest.raises(BadCredentials):
        talk(fred.open(), fred.open().poll(Want(("GDP",), "")), lambda request: answers.pop(0))


def test_a_page_that_is_no_page_ends_the_paging_with_an_error() -> None:
    asked = fred.open().history(Want(("GDP",), ""))
    next(asked)
    with pytest.raises(BadMessage):
        asked.send(Answer(200, {}, b'{"vintage_dates":', 0))


def test_what_fred_cannot_do_is_a_settings_error() -> None:
    feed = fred.open()
    with pytest.raises(SettingsError):
        feed.subscriptions(Want(("GDP",), "observations"))
    for ask in (feed.poll, feed.history):
        with pytest.raises(BadSetting, match="observations"):
            ask(Want(("GDP",), "trade"))
    with pytest.raises(NoData):
        feed.refill(Hole("fred", "GDP", 0, 1, 0, 1))
    for options in ({"speed": 1}, {"channel": "trade"}, {"symbols": "a b;c"}):
        with pytest.raises(BadSetting, match=next(iter(options)).rstrip("s")):
            fred.open(**options)


def test_a_point_is_missing_and_the_day_of_receipt_in_st_louis_is_the_vintage() -> None:
    """Two o'clock in the morning in London is still the evening before in St. Louis; the echoed day proves nothing."""
    body = observations(observation("2024-07-01", "."), observation("2024-04-01", "29016.714"))
    night = 1_730_685_600_000_000
    assert rows(parse(body, received_at=night)) == [
        {"series": "GDP", "source": "fred", "date": date(2024, 7, 1), "value": None, "vintage": date(2024, 11, 3), "raw": 0},
        {
            "series": "GDP", "source": "fred", "date": date(2024, 4, 1), "value": 29016.714,
            "vintage": date(2024, 11, 3), "raw": 0,
        },
    ]  # fmt: skip
    assert rows(parse(body, received_at=night + 4 * 3_600_000_000))[0]["vintage"] == date(2024, 11, 4)


def test_with_vintages_the_day_of_each_row_counts() -> None:
    body = observations(observation("2024-07-01", "5", "2024-10-30"), observation("2024-07-01", "6", "2024-11-27"))
    assert [row["vintage"].isoformat() for row in rows(parse(body, channel="observations:GDP:vintages"))] == [
        "2024-10-30", "2024-11-27",
    ]  # fmt: skip
    (later,) = rows(parse(body, channel="observations:GDP:vintages:2024-10-30"))
    assert (later["value"], later["vintage"]) == (6.0, date(2024, 11, 27))


def test_a_value_that_is_no_number_is_refused_alone() -> None:
    found = parse(
        observations(observation("2024-01-01", "1e999"), observation("2024-04-01", "7"), observation("2024-07-01", ""))
    )
    assert [row["value"] for row in rows(found)] == [7.0]
    assert [reject.reason for reject in found.rejects] == ["value", "value"]
    assert found.kinds.tolist() == [Kind.PARSED]


@pytest.mark.parametrize(
    ("payload", "channel", "reason"),
    [
        (observations(), "observations", "unknown_symbol"),
        (observations(), "observations:", "unknown_symbol"),
        (observations(), "observations:gdp", "unknown_symbol"),
        (observations(), "observations:GDP:later", "unknown_channel"),
        (observations(), "observations:GDP:vintages:2024-01-01:x", "unknown_channel"),
        (observations(), "observations:GDP:vintages:yesterday", "time"),
        (observations(), "prices", "unknown_channel"),
        (REFUSAL, "observations:GDP", "refusal"),
        (REFUSAL, "series", "refusal"),
        (b"{}", "observations:GDP", "changed_field"),
        (b'{"series":[]}', "series", "changed_field"),
        (b"[1]", "series", "changed_field"),
        (observations(observation("2024-07-01", 5)), "observations:GDP", "changed_field"),
        (observations({"date": "2024-07-01", "GDP_20241030": "5"}), "observations:GDP", "changed_field"),
        (observations(observation("2024-07-32", "5")), "observations:GDP", "changed_field"),
        (observations(observation("2024-07-01", "5"), units="pc1"), "observations:GDP", "units"),
        (observations()[:-2], "observations:GDP", "truncated"),
        (b"", "sources", "truncated"),
        (b"<xml/>", "sources", "malformed"),
        (b"\xff", "sources", "binary"),
        (b"[" * 100_000, "sources", "malformed"),
    ],
)
def test_what_is_not_understood_is_rejected_with_its_reason(payload: bytes, channel: str, reason: str) -> None:
    found = parse(payload, channel=channel)
    assert found.kinds.tolist() == [Kind.REJECTED]
    if payload[:2] != b"[[":
        assert [reject.reason for reject in found.rejects] == [reason]
    assert len(found.rejects[0].detail) < 300


def error(message: str, code: int = 400, status: int | None = None, **headers: str) -> Answer:
    body = json.dumps({"error_code": code, "error_message": message}).encode()
    return Answer(code if status is None else status, {n.replace("_", "-"): v for n, v in headers.items()}, body, 0)


@pytest.mark.parametrize(
    ("given", "expected", "after"),
    [
        (error("Too Many Requests.  Exceeded Rate Limit", 429), RateLimited, 60),
        (error("Too Many Requests.  Exceeded Rate Limit", 429, status=200), RateLimited, 60),
        (error("Too Many Requests.  Exceeded Rate Limit", 429, retry_after="7"), RateLimited, 7),
        (Answer(429, {}, b"slow down", 0), RateLimited, 60),
        (error("Bad Request.  The value for variable api_key is not registered."), BadCredentials, None),
        (error("Bad Request.  Variable api_key is not set."), BadCredentials, None),
        (error("Bad Request.  The value for variable api_key is not a 32 character string."), BadCredentials, None),
        (error("Bad Request.  The series does not exist."), UnknownSymbol, None),
        (error("Not Found.  The series does not exist.", 404), UnknownSymbol, None),
        (error("Bad Request.  The series does not exist in ALFRED but may exist in FRED."), NoData, None),
        (error("Bad Request.  Variable realtime_end can not be after today's date, 2026-11-26."), NoData, None),
        (error("Bad Request.  Variable limit is not between 1 and 100000."), BadMessage, None),
        (error("Internal Server Error", 500), Unreachable, None),
        (
            Answer(400, {}, b'<error code="400" message="Bad Request. Variable api_key is not set." />', 0),
            BadCredentials,
            None,
        ),
        (Answer(200, {}, b'<error code="429" message="Too Many Requests" />', 0), RateLimited, 60),
        (Answer(200, {}, b'<?xml version="1.0"?><observations count="1"/>', 0), BadMessage, None),
        (Answer(200, {}, b"<html>log in to the network</html>", 0), Unreachable, None),
        (Answer(403, {}, b"<!DOCTYPE html><html>Access Denied</html>", 0), Unreachable, None),
        (Answer(503, {"retry-after": "5"}, b"", 0), Unreachable, 5),
        (Answer(200, {}, b"", 0), Unreachable, None),
        (Answer(403, {}, b"no", 0), BadCredentials, None),
        (Answer(404, {}, b"nothing here", 0), BadMessage, None),
        (Answer(200, {}, b"DATE,GDP", 0), BadMessage, None),
        (Answer(301, {}, b"{}", 0), BadMessage, None),
    ],
)
def test_an_answer_that_is_no_data_is_the_right_error(
    given: Answer, expected: type[Exception], after: float | None
) -> None:
    found = fred.open().classify(given)
    assert type(found) is expected
    assert str(found)
    if isinstance(found, Temporary):
        assert found.retry_after == after


def test_a_key_in_a_refusal_is_not_shown() -> None:
    found = fred.open().classify(error(f"Bad Request.  The key {'0f' * 16} is odd."))
    assert "0f0f" not in str(found)
    assert "is odd" in str(found)


@pytest.mark.parametrize("body", [observations(), b'{"categories":[]}', b' {"seriess":[]}'])
def test_data_is_no_error(body: bytes) -> None:
    assert fred.open().classify(Answer(200, {}, body, 0)) is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12) | st.just("."),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
odd_row = st.fixed_dictionaries(
    {"date": st.dates().map(str) | anything, "value": st.floats().map(str) | anything},
    optional={"realtime_start": st.dates().map(str) | anything},
)
odd_body = st.fixed_dictionaries(
    {"observations": st.lists(odd_row, max_size=4) | anything},
    optional={"units": st.just("lin") | anything, "count": anything, "error_code": anything, "error_message": anything},
)


@given(
    body=odd_body, mode=st.sampled_from(["", ":vintages", ":vintages:2000-01-01"]), status=st.sampled_from([200, 400])
)
@settings(max_examples=tried(150))
def test_whatever_stands_in_the_fields_gives_rows_or_reasons(body: dict[str, Any], mode: str, status: int) -> None:
    payload = json.dumps(body).encode()
    refused = fred.open().classify(Answer(status, {}, payload, 0))
    assert refused is None or isinstance(refused, TickhouseError)
    found = parse(payload, channel=f"observations:GDP{mode}")
    assert bool(rows(found)) == (found.kinds[0] == Kind.PARSED)
    assert bool(found.rejects) or found.kinds[0] != Kind.REJECTED
    for row in rows(found):
        assert row["value"] is None or abs(row["value"]) < float("inf")
