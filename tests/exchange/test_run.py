"""Starting an exchange: options in words, until told to stop, in a thread, and what the control tells."""

import asyncio
import io
import json

import httpx
import numpy as np
import pyarrow as pa
import pytest

from tests.exchange.talk import START, Script, ask, dial, hear, served, streams, tell
from tickhouse.core.clock import ManualClock, SystemClock
from tickhouse.core.errors import BadSetting, SettingsError
from tickhouse.exchange import run
from tickhouse.exchange.market import Market
from tickhouse.exchange.server import Exchange


async def test_serving_until_told_to_stop_tells_the_address_and_returns_the_counts():
    stop, said = asyncio.Event(), []

    def listening(exchange: Exchange) -> None:
        said.append(exchange.url)
        asyncio.get_running_loop().call_later(0.2, stop.set)

    counts = await run.serve({"port": 0, "rate": 100, "symbols": 4, "fault": "duplicates=0.5"}, stop, listening)
    assert said[0].startswith("http://127.0.0.1:") and counts["trades"] > 1000


def test_running_for_a_time_in_this_process(tmp_path):
    tape = tmp_path / "a.ndjson"
    tape.write_text('{"e":"trade","s":"AUSDT","t":1,"p":"1.5","q":"1","T":1700000000000,"m":false}\n')
    said: list[str] = []
    counts = run.run(
        run.Options(port=0, tape=tape, speed=0, shift=True), 0.1, lambda exchange: said.append(exchange.ws_url)
    )
    assert said[0].startswith("ws://") and counts["trades"] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rate": 0}, "rate"),
        ({"symbols": 0}, "symbols"),
        ({"speeed": 1}, "speeed"),
        ({"fault": "x=1"}, "fault"),
        ({"tape": "no.csv"}, "tape"),
    ],
)
def test_options_that_cannot_be_are_refused(options, words):
    with pytest.raises(BadSetting, match=words):
        run.open({"port": 0, **options})


async def test_a_dialect_can_be_ready_at_once_and_faults_may_be_of_one_alone():
    options = {"port": 0, "symbols": 3, "speak": "frankfurter", "fault": "slow_ms=1,frankfurter.server_errors=1"}
    async with run.open(options, ManualClock(START)) as exchange:
        assert exchange.dialects.made("/frankfurter/v2/rates") and not exchange.dialects.made("/yahoo/x")
        assert (await ask(exchange, "/frankfurter/v2/rates")).status_code >= 500
        assert (await ask(exchange, "/api/v3/ping")).status_code == 200
        assert exchange.faults.slow_ms == 1
    for wrong in ({"speak": "yaho"}, {"fault": "yaho.slow=1"}, {"fault": "yahoo.slw=1"}):
        with pytest.raises(SettingsError, match=r"yaho|slow"):
            run.open({"port": 0, **wrong})


async def test_terms_faults_and_what_was_sent_are_told_and_changed_while_it_runs():
    async with served(clock=ManualClock(START)) as exchange:
        assert (await tell(exchange, "terms?dialect=frankfurter", per_minute=2)).json()["per_minute"] == 2
        answers = [await ask(exchange, "/frankfurter/v2/rates", quotes="USD") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert all(answer.headers["X-Tickhouse-Simulated"] == "1" for answer in answers)
        said = (await ask(exchange, "/_control/sent", dialect="frankfurter")).json()
        assert [row["symbol"] for row in said] == ["EUR-USD"] * 2 and said[0]["price"] == answers[0].json()[0]["rate"]
        assert (await ask(exchange, "/_control/sent", dialect="yahoo")).json() == []
        await tell(exchange, "forgive")
        assert (await ask(exchange, "/frankfurter/v2/rates")).status_code == 200
        await tell(exchange, "faults?dialect=frankfurter", server_errors=1)
        assert (await ask(exchange, "/frankfurter/v2/rates")).status_code >= 500
        assert (await ask(exchange, "/api/v3/ping")).status_code == 200
        assert "frankfurter" in (await ask(exchange, "/_control/faults")).json()["special"]
        for wrong in ("terms?dialect=nope", "faults?dialect=nope", "terms"):
            assert (await tell(exchange, wrong, per_minute=2)).status_code == 400
        assert (await tell(exchange, "terms?dialect=frankfurter", plan="gold")).status_code == 400
        assert "frankfurter" in (await ask(exchange, "/_control/terms")).json()


def test_a_thread_serves_a_caller_without_an_event_loop():
    with run.running(Exchange(Market(symbols=3), SystemClock())) as exchange:
        assert httpx.get(f"{exchange.url}/_control/about").json()["speaks"] == "binance"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{exchange.url}/_control/about")


def test_a_thread_that_cannot_start_tells_why():
    from tickhouse.core.errors import SettingsError

    def second(port: int) -> None:
        with run.running(Exchange(Market(symbols=1), SystemClock(), port=port)):
            pass

    with (
        run.running(Exchange(Market(symbols=1), SystemClock())) as first,
        pytest.raises(SettingsError, match="another port"),
    ):
        second(first.port)


async def test_the_truth_by_control_is_the_truth():
    clock = ManualClock(START)
    async with served(clock=clock) as exchange, dial(streams(exchange)) as ws:
        clock.move(70)
        await hear(ws)
        truth = exchange.truth()
        sums = (await ask(exchange, "/_control/truth")).json()
        assert sums["trades"] == len(truth) == (await ask(exchange, "/_control/counts")).json()["trades"]
        mine = truth.of("BTC-USDT")
        one = (await ask(exchange, "/_control/truth", symbol="BTCUSDT")).json()
        assert (one["id"], one["price"], one["quantity"], one["time"]) == tuple(
            column.tolist() for column in (mine.id, mine.price, mine.quantity, mine.time)
        )
        part = (await ask(exchange, "/_control/truth", symbol="BTC-USDT", fromId=int(mine.id[5]), limit=2)).json()
        assert part["id"] == mine.id[5:7].tolist()
        table = pa.ipc.open_stream(
            io.BytesIO((await ask(exchange, "/_control/truth", format="arrow")).content)
        ).read_all()
        assert table.num_rows == len(truth) and table["symbol"][0].as_py() == "BTC-USDT"
        assert np.array_equal(table["price"].to_numpy(), truth.price)
        bars = (await ask(exchange, "/_control/bars", symbol="BTCUSDT")).json()
        assert len(bars) == 2 and bars == exchange.history.bars("BTC-USDT", "1m", START, START + 120_000_000)
        assert sum(bar["trades"] for bar in bars) == len(mine)


async def test_the_control_refuses_what_it_does_not_know():
    async with served(Script([])) as exchange:
        assert (await ask(exchange, "/_control/symbols")).json() == ["BTC-USDT", "ETH-USDT"]
        assert (await ask(exchange, "/_control/what")).status_code == 404
        assert (await ask(exchange, "/_control/truth", symbol="NOPE")).status_code == 400
        assert (await ask(exchange, "/_control/bars")).status_code == 400
        assert (await ask(exchange, "/_control/bars", symbol="BTCUSDT", interval="7x")).status_code == 400
        assert (await tell(exchange, "limits", lifetime=-1)).status_code == 400
        async with httpx.AsyncClient(base_url=exchange.url, verify=False) as http:
            for content in (b"[1]", b"{", b"7"):
                assert (await http.post("/_control/faults", content=content)).status_code == 400
        assert (await tell(exchange, "forgive")).json() == {"forgiven": True}


async def test_the_control_is_for_this_machine_only():
    from tickhouse.exchange import Request

    async with served(Script([])) as exchange:
        for peer in ("10.0.0.9", "2001:db8::1"):
            answer = await exchange.answer(Request("POST", "/_control/faults", peer=peer, body=b"{}"))
            assert answer.status == 403 and b"this machine only" in answer.body
        assert (await exchange.answer(Request("GET", "/_control/about", peer="::1"))).status == 200


def test_the_command_prints_what_about_says():
    about = run.open({"port": 0, "symbols": 2}).source.about()
    assert json.loads(json.dumps(about)) == {"source": "market", "seed": 7, "symbols": 2, "rate": 200.0}
