"""Every fault on every feed: what is understood is what was sent, and what is spoiled is a classified error or a reject."""

from collections import Counter

import numpy as np
import pytest

from tests.exchange.asking import DAY, NOON, house, sent, understood
from tests.exchange.test_finnhub import heard_trades
from tests.exchange.test_yahoo import snapshots
from tickhouse.core.errors import RateLimited, TickhouseError, Unreachable
from tickhouse.core.model import Want
from tickhouse.exchange.faults import Faults

POLLED = {
    "coingecko": Want(("BTC-USD", "ETH-USD"), "simple_price"), "yahoo": Want(("AAPL",), "chart"),
    "alpha_vantage": Want(("AAPL",), "global_quote"), "finnhub": Want(("AAPL",), "quote"), "fmp": Want(("AAPL",), "quote"),
    "fred": Want(("GDP",), "observations"), "frankfurter": Want(("EUR-USD",), "rates"),
}  # fmt: skip
HISTORY = {
    "binance": Want(("BTC-USDT",), "aggTrades", NOON - 3_600_000_000, NOON),
    "coingecko": Want(("BTC-USD",), "ohlc", NOON - DAY, NOON), "yahoo": Want(("AAPL",), "chart:1d", NOON - 30 * DAY, NOON),
    "alpha_vantage": Want(("AAPL",), "daily", NOON - 30 * DAY, NOON),
    "fmp": Want(("AAPL",), "historical", NOON - 30 * DAY, NOON), "fred": Want(("UNRATE",), "observations", NOON - 300 * DAY, NOON),
    "frankfurter": Want(("EUR-USD",), "latest", NOON - 30 * DAY, NOON),
}  # fmt: skip
CASES = [(name, "poll", want) for name, want in POLLED.items()] + [(n, "history", w) for n, w in HISTORY.items()]
cases = pytest.mark.parametrize(("name", "way", "want"), CASES, ids=[f"{name}-{way}" for name, way, _ in CASES])
REFUSALS = {
    ("alpha_vantage", "error_bodies"): TickhouseError, ("finnhub", "error_bodies"): RateLimited,
    ("fmp", "error_bodies"): RateLimited, ("binance", "error_bodies"): TickhouseError,
}  # fmt: skip
"""What else than a failure of its own a provider may say with status 200."""


async def outcome(here, name, way, want):
    """What a feed understood, or the error it came to."""
    feed = here.feed(name)
    try:
        return await here.asked(feed, getattr(feed, way)(want))
    except TickhouseError as error:
        return error


@cases
@pytest.mark.parametrize("kind", ["too_many", "server_errors", "error_bodies"])
async def test_a_server_in_trouble_is_a_classified_error(tmp_path, name, way, want, kind):
    expected = {"too_many": RateLimited, "server_errors": Unreachable}.get(kind) or REFUSALS.get(
        (name, kind), Unreachable
    )
    async with house(tmp_path, Faults(**{kind: 1.0}, seed=len(name))) as here:
        error = await outcome(here, name, way, want)
        assert isinstance(error, expected), error
        assert not here.exchange.sent.of(name) and here.exchange.account.counts[kind] >= 1


@cases
@pytest.mark.parametrize("kind", ["half_answers", "bad_answers", "changed_answers"])
async def test_a_spoiled_answer_is_an_error_or_a_reject_and_never_a_row(tmp_path, name, way, want, kind):
    async with house(tmp_path, Faults(**{kind: 1.0})) as here:
        for _ in range(3):
            pages = await outcome(here, name, way, want)
            if isinstance(pages, RateLimited | Unreachable):
                break  # some garbage is a web page, after which the host is left alone
            noticed = isinstance(pages, TickhouseError) or any(page.rejects for page in pages)
            assert noticed and here.exchange.account.counts[kind] >= 1
            if kind != "changed_answers" and not isinstance(pages, TickhouseError):
                assert not any(page.ticks or page.bars or page.quotes or page.observations for page in pages)
        assert not here.exchange.sent.of(name)


@cases
async def test_a_slow_answer_is_the_truth_all_the_same(tmp_path, name, way, want):
    async with house(tmp_path, Faults(slow=1.0, slow_ms=20)) as here:
        pages = await outcome(here, name, way, want)
        assert not isinstance(pages, TickhouseError), pages
        if name != "binance":
            found, said = understood(pages), sent(here.exchange, name)
            assert {k: sorted(v, key=str) for k, v in found.items()} == {k: sorted(v, key=str) for k, v in said.items()}
            assert any(found.values())


async def test_one_dialect_in_trouble_harms_no_other(tmp_path):
    async with house(tmp_path) as here:
        here.exchange.change(Faults(server_errors=1.0), "yahoo")
        for _ in range(7):
            assert isinstance(await outcome(here, "yahoo", "poll", POLLED["yahoo"]), Unreachable)
        pages = await outcome(here, "finnhub", "poll", POLLED["finnhub"])
        assert understood(pages)["quote"] == sent(here.exchange, "finnhub")["quote"] != []


def hit(exchange) -> set[tuple[int, int]]:
    """Instrument and id of every trade that a fault hit."""
    return {
        (row["symbol"], id_) for row in exchange.account.log if "first_id" in row
        for id_ in range(row["first_id"], row["last_id"] + 1)
    }  # fmt: skip


def trades_of(truth, spared=frozenset()) -> Counter:
    """Symbol, time and price of the trades of shares and coins that no fault hit, each as often as it was."""
    rows = zip(truth.code.tolist(), truth.id.tolist(), truth.time.tolist(), truth.price.tolist(), strict=True)
    return Counter((truth.symbols[code], time, price) for code, id_, time, price in rows if (code, id_) not in spared)


WANTED = ("AAPL", "TSLA", "EUR-USD", "ETH-USDT")


async def streamed(tmp_path, faults, seconds=25):
    """What Finnhub's feed hears of the truth under faults, from the first trade of each symbol that it heard of on."""
    async with house(tmp_path, faults) as here:
        feed = here.feed("finnhub")
        batches = await here.heard(feed, Want(WANTED, "trade"), seconds)
        parsed = [feed.parse(batch) for batch in batches]
        rows = [
            (r["symbol"], round(r["event_time"].timestamp() * 1e6), r["price"])
            for page in parsed if page.ticks is not None for r in page.ticks.to_arrow().to_pylist()
        ]  # fmt: skip
        rejects = sum(len(page.rejects) for page in parsed)
        truth = here.exchange.truth()
        kept = np.isin(truth.code, [truth.symbols.index(name) for name in WANTED]) & (truth.time > NOON)
        columns = (column[kept] for column in (truth.code, truth.id, truth.price, truth.quantity, truth.time))
        return (
            Counter(rows),
            rejects,
            type(truth)(truth.symbols, *columns),
            hit(here.exchange),
            dict(here.exchange.account.counts),
        )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["duplicates", "disorder", "late"])
async def test_finnhubs_trades_come_all_when_they_come_twice_or_later(tmp_path, kind):
    faults = Faults(**{kind: 0.02 if kind == "late" else 0.2}, disorder_ms=200, late_ms=3000)
    rows, rejects, truth, hits, counts = await streamed(tmp_path, faults)
    true = trades_of(truth)
    assert counts[kind] and not rejects
    if kind == "duplicates":
        twice = true - trades_of(truth, hits)
        assert not true - rows and not (rows - true) - twice
    else:
        assert not rows - true and sum((true - rows).values()) < 25


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["malformed", "half_frames", "changed_fields", "gaps"])
async def test_finnhubs_spoiled_messages_are_rejected_and_no_other(tmp_path, kind):
    rows, rejects, truth, hits, counts = await streamed(tmp_path, Faults(**{kind: 0.1}, gap_trades=1))
    assert counts[kind] > 5 and (rejects >= counts[kind] or kind == "gaps")
    assert rows == trades_of(truth, hits)


@pytest.mark.slow
async def test_finnhubs_bad_prices_are_those_of_the_messages_that_were_hit(tmp_path):
    rows, _, truth, hits, counts = await streamed(tmp_path, Faults(bad_values=0.2))
    bad = {row: n for row, n in rows.items() if row[2] in (0.0, -1.0, 1e308)}
    good = rows - Counter(bad)
    assert counts["bad_values"] > 5 and bad and good == trades_of(truth, hits)


async def test_finnhubs_mute_symbol_is_silent_until_it_is_subscribed_anew(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("finnhub")
        (subscription,) = feed.subscriptions(Want(("AAPL", "TSLA"), "trade"))
        from tests.exchange.asking import KEY
        from tests.exchange.talk import dial, hear, tell
        from tickhouse.core.batches import RawBatch

        def symbols(frames):
            return (
                {row[0] for row in heard_trades(feed, [RawBatch.of("finnhub", "trade", frames, NOON)])}
                if frames
                else set()
            )

        async with dial(f"{subscription.url}?token={KEY}") as ws:
            for frame in subscription.hello:
                await ws.send(frame)
            await hear(ws)
            here.clock.move(10)
            assert symbols(await hear(ws)) == {"AAPL", "TSLA"}
            await tell(here.exchange, "mute", symbol="AAPL", ms=3_000_000)
            here.clock.move(10)
            assert symbols(await hear(ws)) == {"TSLA"}
            for frame in subscription.renew["AAPL"]:
                await ws.send(frame)
            await hear(ws)
            here.clock.move(10)
            assert symbols(await hear(ws)) == {"AAPL", "TSLA"}


@pytest.mark.slow
async def test_a_broken_line_of_finnhub_is_dialled_again_and_says_nothing_untrue(tmp_path):
    rows, rejects, truth, _, counts = await streamed(tmp_path, Faults(disconnects=0.02))
    assert counts["disconnects"] >= 1 and not rejects and not rows - trades_of(truth) and sum(rows.values()) > 50


@pytest.mark.parametrize("kind", ["malformed", "half_frames", "changed_fields", "bad_values", "duplicates"])
async def test_yahoos_spoiled_frames_are_rejected_and_no_other(tmp_path, kind):
    async with house(tmp_path, Faults(**{kind: 0.2})) as here:
        feed, symbols = here.feed("yahoo"), ("AAPL", "TSLA", "EUR-USD", "BTC-USD")
        batches = await here.heard(feed, Want(symbols, "stream"), 25)
        parsed, truth = [feed.parse(batch) for batch in batches], here.exchange.truth()
        rows = [row for page in parsed if page.quotes is not None for row in page.quotes.to_pylist()]
        spoiled, counts = sum(len(page.rejects) for page in parsed), here.exchange.account.counts
        for symbol in symbols:
            _, *mine = [row for row in rows if row["symbol"] == symbol]
            true = snapshots(truth, symbol)
            assert all(
                row["price"] == pytest.approx(true[round(row["event_time"].timestamp())], rel=1e-6) for row in mine
            )
        total = sum(len(snapshots(truth, symbol)) for symbol in symbols)
        heard = len(rows) - len(symbols)
        assert counts[kind] > 5
        if kind == "duplicates":
            assert heard == total + counts[kind] and not spoiled
        else:
            assert heard == total - counts[kind] and spoiled == counts[kind]
