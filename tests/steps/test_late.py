"""A daily rate and the first snapshot of a session are not late in the ledger."""

import pytest

from tests.feeds.samples_frankfurter import RATES, body
from tickhouse.core.batches import RawBatch
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.times import instant
from tickhouse.steps.ledger import ledger

QUOTES = (
    b'{"quoteResponse":{"result":[{"symbol":"AAPL","quoteType":"EQUITY","currency":"USD","regularMarketPrice":271.5,'
    b'"regularMarketTime":1767128400,"regularMarketVolume":1000}],"error":null}}'
)


@pytest.mark.parametrize(
    ("source", "channel", "symbols", "payload", "rows"),
    [("frankfurter", "rates", ("EUR-USD", "EUR-JPY"), body(RATES), 2), ("yahoo", "quote", ("AAPL",), QUOTES, 1)],
)
def test_what_is_older_than_the_line_that_asked_for_it_is_accepted(house, source, channel, symbols, payload, rows):
    pipeline = house(feeds={source: {}})
    now, ingest = instant("2026-01-02T10:00", 0), pipeline.ingest()
    for n, event in enumerate((Event.CONNECTED, Event.ALIVE)):
        mark = Mark(event, now + n * 60_000_000, f"{source}-poll", channel, symbols)
        ingest.take([RawBatch.of(source, LINK, [mark.encode()], mark.at)])
    for minute in (1, 2):
        ingest.take([RawBatch.of(source, channel, [payload], now + minute * 60_000_000)])
    pipeline.process().catch_up()
    found = ledger(pipeline.journal, pipeline.warm)[source]
    assert (found["accepted"], found["duplicate"], found["late"]) == (rows, rows, 0)
    assert found["balanced"]
