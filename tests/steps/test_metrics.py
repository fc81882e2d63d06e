"""Metrics: every one that is declared is told where it happens, and a process without pages can serve them."""

import re
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

import tickhouse
from tests.end_to_end.tape import BEGAN
from tickhouse.core import observe
from tickhouse.core.batches import LIVE, RawBatch
from tickhouse.core.clock import ManualClock
from tickhouse.core.errors import BadSetting
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.secrets import Secret
from tickhouse.core.settings import MetricsSettings, load
from tickhouse.pipeline import Pipeline
from tickhouse.steps.measure import Measure
from tickhouse.targets.metrics import serving

DECLARED = {**observe._COUNTERS, **observe._GAUGES, **observe._HISTOGRAMS}


def values() -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels, in order."""
    families = text_string_to_metric_families(observe.exposition().decode())
    return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}


def trade(id_: int, second: float, price: str = "5.0", symbol: str = "METUSDT") -> bytes:
    at = BEGAN + round(second * 1000)
    return (
        f'{{"e":"trade","E":{at},"s":"{symbol}","t":{id_},"p":"{price}","q":"1.0","T":{at},"m":true,"M":true}}'.encode()
    )


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_every_metric_that_is_declared_is_told_somewhere(name):
    told = {"count": observe._COUNTERS, "gauge": observe._GAUGES, "timing": observe._HISTOGRAMS}
    verb = next(verb for verb, names in told.items() if name in names)
    sources = [path.read_text() for path in Path(tickhouse.__file__).parent.rglob("*.py")]
    direct = re.compile(rf'observe\.{verb}\(\s*"{name}"')
    indirect = re.compile(rf'(_rows\("{name}"|: "{name}"[,}}])')
    assert any(direct.search(text) or ("observe.count" in text and indirect.search(text)) for text in sources)


def test_the_pipeline_tells_what_happens_to_ticks_bars_and_the_lake(tmp_path):
    pipeline = Pipeline(load(None, tmp_path / "house", process__detectors=["returns(3,1)"]), ManualClock())
    try:
        ingest, process, archive = pipeline.ingest(), pipeline.process(), pipeline.archive()
        before = values()

        def take(*payloads: bytes, second: float, channel: str = "trade") -> None:
            at = 1000 * (BEGAN + round(second * 1000))
            ingest.take([RawBatch.of("binance", channel, list(payloads), [at] * len(payloads), LIVE)])
            process.step(0)

        mark = Mark(Event.CONNECTED, 1000 * BEGAN, "binance-0", "trade", ("MET-USDT",))
        take(mark.encode(), second=0, channel=LINK)
        prices = ["5.0", "5.1", "5.0", "5.1", "5.0", "9.0", "9.0"]
        for minute, price in enumerate(prices):
            take(trade(minute, 60 * minute + 1, price), second=60 * minute + 1)
        take(trade(3, 181), second=421)
        take(trade(10, 421, "-1"), trade(9, 422), trade(11, 423, "400"), second=423)
        take(trade(7, 61), second=424)
        take(trade(12, 600), second=600)
        process.catch_up()
        archive.catch_up()
        measure = Measure(pipeline)
        pipeline.clock.move(60)
        measure.step()
        process._told = -1e9
        process._keep(None)
    finally:
        pipeline.close()
    after = values()
    rose = {key for key, value in after.items() if value > before.get(key, 0)}
    for key in (
        ("tickhouse_messages_total", "binance", "parsed"),
        ("tickhouse_ticks_total", "binance"),
        ("tickhouse_invalid_total", "binance"),
        ("tickhouse_duplicates_total", "binance"),
        ("tickhouse_late_total", "binance"),
        ("tickhouse_bars_total", "binance", "1m"),
        ("tickhouse_bars_total", "binance", "5m"),
        ("tickhouse_corrections_total", "binance", "1m"),
        ("tickhouse_anomalies_total", "binance", "returns(3,1)"),
        ("tickhouse_findings_total", "binance", "ranges"),
        ("tickhouse_holes_total", "binance", "found"),
        ("tickhouse_lake_objects_total", "bronze"),
        ("tickhouse_lake_objects_total", "ticks"),
        ("tickhouse_append_seconds_count",),
        ("tickhouse_process_seconds_count",),
        ("tickhouse_lag_seconds_count", "binance"),
    ):
        assert (key[0], *sorted(key[1:])) in rose, key
    end = after["tickhouse_journal_end",]
    assert after["tickhouse_journal_position", "process"] == after["tickhouse_journal_position", "archive"] == end
    assert after["tickhouse_journal_bytes",] > 0
    assert after["tickhouse_watermark", "binance"] == pytest.approx(BEGAN / 1000 + 600, abs=10)


def test_a_restart_counts_nothing_twice(tmp_path):
    settings = load(None, tmp_path / "house")

    def duplicates() -> float:
        return values().get(("tickhouse_duplicates_total", "binance"), 0.0)

    began = duplicates()
    for number in range(2):
        pipeline = Pipeline(settings, ManualClock())
        try:
            ingest, process = pipeline.ingest(), pipeline.process()
            payloads = [trade(5 + number, 1 + number), trade(5 + number, 1 + number)]
            ingest.take([RawBatch.of("binance", "trade", payloads, [1000 * BEGAN] * 2, LIVE)])
            process.catch_up()
        finally:
            pipeline.close()
    assert duplicates() - began == 2


def test_a_process_without_pages_serves_its_metrics():
    with serving(MetricsSettings()) as address:
        assert address is None
    with serving(MetricsSettings(port=0)) as address:
        observe.count("ticks", 3, source="served")
        answer = httpx.get(address)
        assert answer.headers["content-type"] == observe.CONTENT_TYPE
        assert 'tickhouse_ticks_total{source="served"} 3.0' in answer.text
        assert httpx.get(address.replace("/metrics", "/")).status_code == 404
        with pytest.raises(BadSetting, match=r"metrics.port: got '127.0.0.1:\d+', expected an address that is free"):
            serving(MetricsSettings(port=int(address.split(":")[2].split("/")[0]))).__enter__()
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)


def test_a_process_tells_whether_its_roles_are_at_work(monkeypatch):
    monkeypatch.setattr(observe, "_beats", {})
    with serving(MetricsSettings(port=0, key=Secret("k"))) as address:
        health = address.replace("/metrics", "/health")
        observe.beat("process")
        well = httpx.get(health)
        assert (
            well.status_code == 200 and well.json()["ok"] and 0 <= well.json()["seconds_since_at_work"]["process"] < 60
        )
        observe._beats["archive"] = time.monotonic() - 90
        ill = httpx.get(health)
        assert ill.status_code == 503 and ill.json()["seconds_since_at_work"]["archive"] >= 90
        assert httpx.get(address).status_code == 401, "metrics need the key all the same"


def test_metrics_that_others_can_reach_need_a_key():
    with pytest.raises(BadSetting, match=r"metrics.key: got None, expected a key, because others can reach"):
        serving(MetricsSettings(port=0, host="0.0.0.0")).__enter__()
    with serving(MetricsSettings(port=0, host="127.0.0.1", key=Secret("hush"))) as address:
        assert httpx.get(address).status_code == 401
        assert httpx.get(address, headers={"Authorization": "Bearer other"}).status_code == 401
        assert httpx.get(address, headers={"Authorization": "Bearer hush"}).status_code == 200
