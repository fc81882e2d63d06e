"""Faults: every one happens, is counted, hits what the seed says, and leaves the truth whole."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.exchange.talk import START, Script, ask, data, dial, hear, served, streams, tell
from tickhouse.core.clock import ManualClock
from tickhouse.core.errors import BadSetting
from tickhouse.exchange import faults as f
from tickhouse.exchange.faults import ANSWER, MESSAGE, Faults, chosen, parse
from tickhouse.exchange.market import Market


async def run(faults: Faults, seconds: float = 8.0, rate: float = 200, extra: float = 11.0):
    """What one client hears of some seconds, and of the time after in which held messages come; and the exchange."""
    clock = ManualClock(START)
    async with served(Market(seed=3, symbols=3, rate=rate), clock, faults) as exchange, dial(streams(exchange)) as ws:
        clock.move(seconds)
        heard = await hear(ws)
        truth = exchange.truth()
        exchange.change(Faults(seed=faults.seed))
        if extra:
            clock.move(extra)
            heard += await hear(ws)
        return heard, exchange.counts()["faults"], truth, list(exchange.account.log)


def keys(heard) -> list[tuple[str, int]]:
    """Symbol and id of each message that is a good trade."""
    found = []
    for frame in heard:
        try:
            one = data(frame)
            float(one["p"])
            found.append((one["s"], one["t"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return found


def true_keys(truth) -> set[tuple[str, int]]:
    names = [name.replace("-", "") for name in truth.symbols]
    return {(names[code], int(id_)) for code, id_ in zip(truth.code, truth.id, strict=True)}


async def test_without_faults_the_client_hears_the_truth():
    heard, counts, truth, _ = await run(Faults(), extra=0)
    assert sorted(keys(heard)) == sorted(true_keys(truth)) and not any(counts.values())


async def test_duplicates_are_counted_and_nothing_is_missing():
    heard, counts, truth, _ = await run(Faults(duplicates=0.1))
    times = Counter(keys(heard))
    mine = {key: n for key, n in times.items() if key in true_keys(truth)}
    assert sum(mine.values()) - len(mine) == counts["duplicates"] > 50
    assert set(mine) == true_keys(truth) and max(mine.values()) == 2


async def test_disorder_is_local_and_nothing_is_missing():
    heard, counts, truth, _ = await run(Faults(disorder=0.1, disorder_ms=300))
    mine = [one for one in map(data, heard) if (one["s"], one["t"]) in true_keys(truth)]
    assert len(mine) == len(truth)
    times = np.array([one["T"] for one in mine])
    behind = np.maximum.accumulate(times) - times
    assert counts["disorder"] > 50 and (behind > 0).sum() > 20
    assert behind.max() <= 300


async def test_a_late_burst_holds_one_symbol_and_delivers_it_whole():
    heard, counts, truth, log = await run(Faults(late=0.002, late_ms=3000))
    assert counts["late"] >= 1 and counts["late_messages"] > 20
    mine = [one for one in map(data, heard) if (one["s"], one["t"]) in true_keys(truth)]
    assert {(one["s"], one["t"]) for one in mine} == true_keys(truth) and len(mine) == len(truth)
    assert {row["fault"] for row in log} == {"late"}


async def test_a_gap_is_left_out_of_the_stream_and_kept_in_rest():
    clock = ManualClock(START)
    async with served(clock=clock, faults=Faults(gaps=0.01, gap_trades=10)) as exchange, dial(streams(exchange)) as ws:
        clock.move(8)
        heard = set(keys(await hear(ws)))
        missing = true_keys(exchange.truth()) - heard
        counts = exchange.account.counts
        assert counts["gaps"] > 5 and len(missing) == counts["gap_trades"] > counts["gaps"]
        symbol, id_ = sorted(missing)[0]
        rest = (await ask(exchange, "/api/v3/historicalTrades", symbol=symbol, fromId=id_, limit=1)).json()
        assert rest[0]["id"] == id_


async def test_a_mute_symbol_is_silent_while_others_flow_and_comes_back_when_subscribed_anew():
    clock = ManualClock(START)
    rows = [(n % 2, n // 2 + 1, 100, 1, n * 10, 0, n) for n in range(2000)]
    async with served(Script(rows), clock) as exchange, dial(streams(exchange)) as ws:
        clock.move(1)
        await hear(ws)
        await tell(exchange, "faults", mutes=0.5, mute_ms=3_600_000, seed=2)
        clock.move(0.1)
        await hear(ws)
        exchange.change(exchange.faults.changed(mutes=0.0))
        clock.move(1)
        assert await hear(ws) == [] and exchange.account.counts["mutes"] == 2
        await ws.send(json.dumps({"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}))
        await ws.send(json.dumps({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 2}))
        await hear(ws)
        clock.move(1)
        assert {data(frame)["s"] for frame in await hear(ws)} == {"BTCUSDT"}
        assert exchange.account.counts["mute_messages"] > 100


async def test_a_mute_ends_by_itself():
    heard, counts, truth, log = await run(Faults(mutes=0.01, mute_ms=500), extra=0)
    missing = true_keys(truth) - set(keys(heard))
    assert len(missing) == counts["mute_messages"] > counts["mutes"] == len(log) > 3


@pytest.mark.parametrize("kind", ["malformed", "half_frames", "changed_fields", "bad_values"])
async def test_a_spoiled_message_takes_the_place_of_its_trade(kind):
    heard, counts, truth, log = await run(Faults(**{kind: 0.1}), extra=0)
    assert len(heard) == len(truth) and counts[kind] == len(log) > 50
    good = [frame for frame in heard if _perfect(frame)]
    assert len(good) == len(truth) - counts[kind]
    broken = {bytes(frame) for frame in heard} - set(good)
    assert len(broken) > 10


def _perfect(frame: bytes) -> bool:
    try:
        one = json.loads(frame)["data"]
        return (
            list(one) == ["e", "E", "s", "t", "p", "q", "T", "m", "M"]
            and isinstance(one["p"], str)
            and 0 < float(one["p"]) < 1e9
        )
    except (ValueError, KeyError, TypeError):
        return False


async def test_disconnects_break_the_line_without_a_word():
    clock = ManualClock(START)
    async with served(clock=clock, faults=Faults(disconnects=0.005)) as exchange:
        for round_ in range(3):
            async with dial(streams(exchange)) as ws:
                while not ws.close_code:
                    clock.move(1)
                    await hear(ws, 0.05)
                assert ws.close_code == 1006
            assert exchange.account.counts["disconnects"] == exchange.stats["broken"] == round_ + 1


async def test_faults_hit_the_same_trades_whoever_listens_and_however_time_passes():
    mixture = Faults(duplicates=0.05, disorder=0.05, malformed=0.05, gaps=0.01, seed=4)
    clock = ManualClock(START)
    market = Market(seed=3, symbols=3, rate=200)
    async with (
        served(market, clock, mixture) as exchange,
        dial(streams(exchange)) as one,
        dial(streams(exchange)) as two,
    ):
        for _ in range(16):
            clock.move(0.5)
            await hear(one, 0.02)
        await hear(two)
        stepped = list(exchange.account.log)
    _, _, _, leapt = await run(mixture, extra=0)

    def pick(log: list, number: int) -> list:
        return [(row["fault"], row["symbol"], row["first_id"]) for row in log if row["connection"] == number]

    assert pick(stepped, 1) == pick(stepped, 2) == pick(leapt, 1)
    _, _, _, other = await run(mixture.changed(seed=5), extra=0)
    assert pick(other, 1) != pick(leapt, 1)


async def test_aggregate_trades_have_faults_too_and_a_gap_counts_the_trades_in_it():
    clock = ManualClock(START)
    async with served(clock=clock, faults=Faults(gaps=0.02, duplicates=0.02)) as exchange:
        async with dial(streams(exchange, "aggTrade")) as ws:
            clock.move(8)
            heard = [data(frame) for frame in await hear(ws)]
        covered = {(one["s"], id_) for one in heard for id_ in range(one["f"], one["l"] + 1)}
        assert len(true_keys(exchange.truth()) - covered) == exchange.account.counts["gap_trades"] > 10


@pytest.mark.parametrize("kind", ANSWER)
async def test_each_fault_of_answers_happens_and_is_counted(kind):
    async with served(faults=Faults(**{kind: 1.0}, slow_ms=30)) as exchange:
        answers = [await ask(exchange, "/api/v3/trades", symbol="BTCUSDT") for _ in range(4)]
        assert exchange.account.counts[kind] == 4
        about = await ask(exchange, "/_control/about")
        assert about.status_code == 200
    statuses = {answer.status_code for answer in answers}
    if kind == "error_bodies":
        assert statuses == {200} and all(answer.json()["code"] < 0 for answer in answers)
    elif kind == "too_many":
        assert statuses == {429} and answers[0].headers["Retry-After"] == "1"
    elif kind == "server_errors":
        assert statuses <= {500, 502, 503, 504}
    else:
        assert statuses == {200}
    assert all(answer.headers["X-Tickhouse-Simulated"] == "1" for answer in answers)


async def test_half_answers_are_no_json():
    async with served(faults=Faults(half_answers=1.0)) as exchange:
        answer = await ask(exchange, "/api/v3/exchangeInfo")
        with pytest.raises(ValueError):
            answer.json()


async def test_faults_of_answers_follow_the_seed():
    async def statuses(seed: int) -> list[int]:
        async with served(faults=Faults(server_errors=0.3, too_many=0.3, seed=seed)) as exchange:
            return [(await ask(exchange, "/api/v3/ping")).status_code for _ in range(12)]

    first = await statuses(1)
    assert first == await statuses(1) != await statuses(2)


async def test_faults_are_changed_and_seen_while_it_runs():
    clock = ManualClock(START)
    async with served(clock=clock) as exchange, dial(streams(exchange)) as ws:
        clock.move(2)
        await hear(ws)
        assert not any(exchange.account.counts.values())
        changed = await tell(exchange, "faults", text="malformed=0.5")
        assert changed.json()["malformed"] == 0.5
        clock.move(2)
        await hear(ws)
        seen = (await ask(exchange, "/_control/faults")).json()
        assert (
            seen["counts"]["malformed"] > 50
            and seen["log"][0]["fault"] == "malformed"
            and seen["log"][0]["symbol"].endswith("T")
        )
        assert (await tell(exchange, "faults")).json()["malformed"] == 0
        wrong = await tell(exchange, "faults", duplicate=0.5)
        assert wrong.status_code == 400 and "duplicates" in wrong.json()["error"]


async def test_a_mute_and_a_gap_of_one_symbol_can_be_asked_for():
    clock = ManualClock(START)
    async with served(clock=clock) as exchange, dial(streams(exchange)) as ws:
        clock.move(1)
        await hear(ws)
        assert (await tell(exchange, "mute", symbol="ETHUSDT", ms=3000)).json() == {"muted": 1}
        gap = (await tell(exchange, "gap", symbol="BTC-USDT", trades=7)).json()
        clock.move(2)
        heard = keys(await hear(ws))
        ids = [id_ for symbol, id_ in heard if symbol == "BTCUSDT"]
        assert ids[0] == gap["last_id"] + 1 == gap["first_id"] + 7
        assert "ETHUSDT" not in {symbol for symbol, _ in heard}
        clock.move(2)
        assert "ETHUSDT" in {symbol for symbol, _ in keys(await hear(ws))}
        counts = exchange.account.counts
        assert (counts["mutes"], counts["gaps"], counts["gap_trades"]) == (1, 1, 7)
        assert (await tell(exchange, "gap", symbol="NOPE")).status_code == 400


def test_faults_are_read_from_text():
    assert parse("duplicates=0.01,disconnects=0.001") == Faults(duplicates=0.01, disconnects=0.001)
    assert parse("") == Faults()
    assert parse("storm=0.3, gaps=0").gaps == 0


@pytest.mark.parametrize(
    "text",
    [
        "duplicates",
        "dupes=0.1",
        "duplicates=2",
        "gaps=-1",
        "gaps=0.6,mutes=0.6",
        "gap_trades=0",
        "slow=x",
        "gap_trades=1.5",
    ],
)
def test_faults_that_cannot_be_are_refused(text):
    with pytest.raises(BadSetting):
        parse(text)


@settings(max_examples=tried(40), deadline=None)
@given(st.lists(st.floats(0, 0.1), min_size=len(MESSAGE), max_size=len(MESSAGE)), st.integers(0, 2**31))
def test_each_fault_has_its_share(shares, seed):
    faults = Faults(**dict(zip(MESSAGE, shares, strict=True)), seed=seed)
    ids = np.arange(40_000)
    kinds, _ = chosen(faults, ids % 7, ids // 7)
    for number, share in enumerate(shares, 1):
        assert (kinds == number).mean() == pytest.approx(share, abs=0.01)
    assert kinds.min() >= f.NONE


def test_a_block_in_parts_has_the_faults_of_the_whole():
    faults, ids = Faults.storm(0.5), np.arange(1000)
    whole, bits = chosen(faults, ids % 5, ids)
    first, second = chosen(faults, ids[:300] % 5, ids[:300]), chosen(faults, ids[300:] % 5, ids[300:])
    assert np.array_equal(whole, np.concatenate([first[0], second[0]])) and np.array_equal(
        bits, np.concatenate([first[1], second[1]])
    )


async def test_a_storm_spoils_its_share_and_rest_still_has_the_truth():
    clock = ManualClock(START)
    async with (
        served(clock=clock, faults=Faults.storm(0.3, seed=1).changed(disconnects=0)) as exchange,
        dial(streams(exchange)) as ws,
    ):
        clock.move(10)
        await hear(ws)
        counts = exchange.account.counts
        made = len(exchange.truth())
        assert sum(counts[kind] for kind in MESSAGE) == pytest.approx(0.3 * made, rel=0.25)
        await tell(exchange, "faults")
        rest = (await ask(exchange, "/api/v3/historicalTrades", symbol="BTCUSDT", fromId=0, limit=1000)).json()
        ids = exchange.truth().of("BTC-USDT").id.tolist()
        assert [one["id"] for one in rest] == ids[:1000]
