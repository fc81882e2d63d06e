"""What is asked of Frankfurter, what its answers mean, and which errors they stand for."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.feeds.asking import DAY, NOW, answer, asked, quotes, read
from tests.feeds.samples_frankfurter import LATEST, RANGE, RATES
from tickhouse.core.errors import (
    BadMessage,
    BadSetting,
    NoData,
    RateLimited,
    SettingsError,
    Temporary,
    UnknownSymbol,
    Unreachable,
)
from tickhouse.core.model import Hole, Kind, Want
from tickhouse.core.requests import Answer, Request
from tickhouse.feeds import frankfurter

PAIRS = ("EUR-USD", "USD-JPY", "EUR-GBP", "EUR-USD")


def moment(date: str) -> int:
    """The microseconds of a date's first midnight UTC."""
    return int(datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()) * 1_000_000


def rates(request: Request) -> list[dict[str, Any]]:
    """One rate of every currency that is asked for."""
    return [RATES[0] | {"quote": quote} for quote in str(request.params["quotes"]).split(",")]


def test_one_call_a_base_currency() -> None:
    first, second = asked(frankfurter.open().poll(Want(PAIRS, "rates")), rates)
    assert (first.url, first.channel, first.weight) == ("https://api.frankfurter.dev/v2/rates", "rates", 1)
    assert first.params == {"base": "EUR", "quotes": "USD,GBP"}
    assert second.params == {"base": "USD", "quotes": "JPY"}


def test_the_older_interface_and_another_host_and_chosen_banks() -> None:
    feed = frankfurter.open(
        channel="latest", rest_url="http://127.0.0.1:9/", ws_url="ws://x", key="unused", symbols=PAIRS
    )
    first, _ = asked(
        feed.poll(Want(PAIRS, "")), lambda r: LATEST | {"rates": dict.fromkeys(str(r.params["symbols"]).split(","), 1)}
    )
    assert (first.url, first.channel) == ("http://127.0.0.1:9/v1/latest", "latest")
    assert first.params == {"base": "EUR", "symbols": "USD,GBP"}
    (request,) = asked(frankfurter.open(providers="ECB").poll(Want(("EUR-USD",), "")), rates)
    assert request.params["providers"] == "ECB"


@pytest.mark.parametrize("channel", ["rates", "latest"])
def test_currencies_that_are_silently_left_out_are_told_after_the_last_answer(channel: str) -> None:
    conversation = frankfurter.open().poll(Want(("EUR-USD", "EUR-XXX", "USD-JPY"), channel))
    next(conversation)
    conversation.send(answer(RATES if channel == "rates" else LATEST))
    with pytest.raises(UnknownSymbol, match=r"no rate of EUR-XXX$"):
        conversation.send(
            answer([RATES[0] | {"quote": "JPY"}] if channel == "rates" else LATEST | {"rates": {"JPY": 1}})
        )


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("2024-01-01", "2024-02-01", "2024-01-01", "2024-01-31"),
        ("2024-01-01T00:00:01", "2024-02-01T00:00:01", "2024-01-02", "2024-02-01"),
        ("1990-01-01", "1999-02-01", "1999-01-04", "1999-01-31"),
        ("2024-01-01", None, "2024-01-01", None),
    ],
)
def test_the_past_is_asked_for_by_the_days_that_begin_in_the_range(
    start: str, end: str | None, first: str, last: str | None
) -> None:
    span = {"start": moment(start), "end": moment(end) if end else None}
    (request,) = asked(frankfurter.open().history(Want(("EUR-USD",), "rates", **span)), rates)
    assert (request.params["from"], request.params.get("to")) == (first, last)
    (request,) = asked(frankfurter.open().history(Want(("EUR-USD",), "latest", **span)))
    assert request.url == f"https://api.frankfurter.dev/v1/{first}..{last or ''}"


def test_a_long_past_of_many_currencies_comes_in_pieces_that_fit_together() -> None:
    codes = [f"{a}{b}X" for a in "ABCDE" for b in "ABCDEF"]
    want = Want(tuple(f"EUR-{code}" for code in codes), "rates", moment("1999-01-04"), moment("2026-01-01"))
    requests = asked(frankfurter.open().history(want), rates)
    spans = [(moment(str(r.params["from"])), moment(str(r.params["to"]))) for r in requests]
    assert len(requests) == 3
    assert (spans[0][0], spans[-1][1]) == (moment("1999-01-04"), moment("2025-12-31"))
    assert all(spans[i + 1][0] == spans[i][1] + DAY for i in range(2))
    assert all((last - first) // DAY * len(codes) < 100_000 for first, last in spans)


def test_an_empty_range_asks_nothing_and_one_without_a_start_for_the_newest() -> None:
    assert asked(frankfurter.open().history(Want(("EUR-USD",), "rates", NOW, NOW))) == []
    assert asked(frankfurter.open().history(Want(("EUR-USD",), "rates", NOW + 1, NOW + 5))) == []
    (request,) = asked(frankfurter.open().history(Want(("EUR-USD",), "")), rates)
    assert request.params == {"base": "EUR", "quotes": "USD"}


def test_what_frankfurter_has_not_is_a_settings_error_or_no_data_at_once() -> None:
    feed = frankfurter.open()
    for wrong in (
        lambda: feed.subscriptions(Want(("EUR-USD",), "rates")),
        lambda: feed.poll(Want(("EUR-USD",), "trade")),
        lambda: feed.history(Want(("EUR-USD",), "kline")),
        lambda: feed.poll(Want(("BTC-USDT",), "rates")),
        lambda: feed.poll(Want(("EUR-EUR",), "rates")),
        lambda: feed.history(Want(("AAPL",), "rates")),
        lambda: frankfurter.open(channel="trade"),
        lambda: frankfurter.open(symbols="AAPL"),
        lambda: frankfurter.open(speed=1),
    ):
        with pytest.raises(SettingsError):
            wrong()
    with pytest.raises(NoData, match="no trades"):
        feed.refill(Hole("frankfurter", "EUR-USD", 1, 2, 0, 1))


def test_a_rate_is_stamped_at_the_midnight_that_begins_its_date_weekends_too() -> None:
    sunday = {"date": "2026-09-13", "base": "EUR", "quote": "CHF", "rate": 0.94385}
    parsed = read(frankfurter.open(), "rates", [sunday, sunday | {"quote": "JPY", "rate": 170}], sunday)
    assert quotes(parsed, "symbol", "price", "event_time", "received_at", "raw") == [
        ("EUR-CHF", 0.94385, moment("2026-09-13"), NOW, 0),
        ("EUR-JPY", 170.0, moment("2026-09-13"), NOW, 0),
        ("EUR-CHF", 0.94385, moment("2026-09-13"), NOW, 1),
    ]
    assert quotes(parsed, "bid", "ask", "day_volume") == [(None, None, None)] * 3


def test_a_map_is_of_one_day_or_of_many_and_may_be_for_an_amount() -> None:
    parsed = read(frankfurter.open(), "latest", LATEST, RANGE, LATEST | {"amount": 10, "rates": {"USD": 11.5}})
    assert quotes(parsed, "symbol", "price", "event_time", "raw") == [
        ("EUR-USD", 1.146, moment("2025-12-30"), 0),
        ("EUR-TRY", 55.9077, moment("2025-12-30"), 0),
        ("EUR-USD", 1.1, moment("2025-12-29"), 1),
        ("EUR-USD", 2.0, moment("2025-12-30"), 1),
        ("EUR-USD", 1.15, moment("2025-12-30"), 2),
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"rate": 0}, "price"), ({"rate": -1}, "price"), ({"rate": None}, "changed_field"), ({"quote": "usd"}, "unknown_symbol"),
     ({"base": "EURO"}, "unknown_symbol"), ({"date": "soon"}, "time"), ({"date": "0001-01-01"}, "time"),
     ({"date": 5}, "changed_field")],
)  # fmt: skip
def test_a_rate_that_cannot_be_read_is_refused_alone(change: dict[str, Any], reason: str) -> None:
    parsed = read(frankfurter.open(), "rates", [RATES[0] | change, RATES[1]], [RATES[0] | change])
    assert [(r.index, r.reason) for r in parsed.rejects] == [(0, reason), (1, reason)]
    assert parsed.kinds.tolist() == [Kind.PARSED, Kind.REJECTED]
    assert quotes(parsed, "symbol") == [("EUR-JPY",)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"rates": {"USD": "x"}}, "changed_field"), ({"rates": {"usd": 1}}, "unknown_symbol"), ({"rates": {"USD": 0}}, "price"),
     ({"date": "soon"}, "time"), ({"amount": 0}, "changed_field"), ({"amount": 5e-324}, "price"),
     ({"base": None}, "changed_field")],
)  # fmt: skip
def test_a_map_that_cannot_be_read_is_refused(change: dict[str, Any], reason: str) -> None:
    parsed = read(frankfurter.open(), "latest", LATEST | change)
    assert {r.reason for r in parsed.rejects} == {reason}
    assert parsed.kinds.tolist() == [Kind.REJECTED]


def test_a_channel_that_is_not_there_is_said() -> None:
    (reject,) = read(frankfurter.open(), "trade", RATES).rejects
    assert (reject.reason, reject.detail) == ("unknown_channel", "frankfurter has no channel 'trade'")


@pytest.mark.parametrize(
    ("given", "error", "after"),
    [
        (answer({"status": 422, "message": "invalid currency: XXX"}, 422), UnknownSymbol, None),
        (answer({"status": 422, "message": "invalid currency: XXX"}, 200), UnknownSymbol, None),
        (answer({"status": 422, "message": "unknown parameter"}, 422), BadMessage, None),
        (answer({"message": "not found"}, 404), NoData, None),
        (answer({"message": "not found"}, 200), NoData, None),
        (answer({"status": 429, "message": "slow down"}, 200), RateLimited, 60),
        (answer({"message": "slow down"}, 429, retry_after="9"), RateLimited, 9),
        (answer(b"error code: 1015", 429), RateLimited, 60),
        (answer({"status": 500, "message": "oops"}, 200), Unreachable, None),
        (answer(b"<html>502</html>", 502), Unreachable, None),
        (answer(b"<html>log in to the network</html>"), Unreachable, None),
        (answer(b'<?xml version="1.0"?><Cube/>'), BadMessage, None),
        (answer(b"date,base,quote,rate"), BadMessage, None),
        (answer(LATEST | {"rates": {}}), UnknownSymbol, None),
        (answer([]), NoData, None),
        (answer({}), NoData, None),
        (answer(b""), BadMessage, None),
        (answer(b"", 451), BadSetting, None),
    ],
)
def test_an_answer_that_is_no_data_is_the_right_error(
    given: Answer, error: type[Exception], after: float | None
) -> None:
    found = frankfurter.open().classify(given)
    assert type(found) is error
    if isinstance(found, Temporary):
        assert found.retry_after == after
    assert str(found)


def test_the_currency_that_is_not_known_is_named() -> None:
    found = frankfurter.open().classify(answer({"status": 422, "message": "invalid currency: XXX"}, 422))
    assert str(found) == "Frankfurter does not know the currency XXX"


@pytest.mark.parametrize("body", [RATES, RATES[0], LATEST, RANGE])
def test_data_is_no_error(body: Any) -> None:
    assert frankfurter.open().classify(answer(body)) is None


def test_the_redirect_of_the_old_host_is_left_to_the_transport() -> None:
    assert frankfurter.open().classify(answer(b"<html>moved</html>", 301)) is None
