"""Polled quotes as ticks: what identifies one, and how the day's volume becomes sizes."""

from datetime import date

import pyarrow as pa
import pytest

from tickhouse.core.batches import Entry, Parsed, RawBatch, every_kind
from tickhouse.core.model import ACTION, OBSERVATION, QUOTE, Ids, Kind
from tickhouse.core.plugins import open_url
from tickhouse.quality._suite import Suite
from tickhouse.steps.ingest import Ingest
from tickhouse.steps.lanes import Lanes
from tickhouse.steps.past import Past
from tickhouse.steps.quotes import Quotes

SECOND = 1_000_000
T0 = 1_767_225_600 * SECOND


def table(*rows):
    """Quotes of AAPL: (seconds, price, day volume)."""
    made = [
        {"symbol": "AAPL", "source": "x", "event_time": T0 + s * SECOND, "received_at": T0 + s * SECOND + 5, "price": p,
         "day_volume": v, "raw": i} for i, (s, p, v) in enumerate(rows)
    ]  # fmt: skip
    return pa.Table.from_pylist(made, schema=QUOTE)


def sizes(quotes, *rows):
    return quotes.ticks(table(*rows), "live")[0].size.tolist()


def test_the_change_of_the_days_volume_is_what_was_traded():
    quotes = Quotes(open_url("journal", "memory://"))
    assert sizes(quotes, (0, 10.0, 500.0), (60, 10.5, 800.0), (120, 10.5, 800.0)) == [0.0, 300.0, 0.0]
    assert sizes(quotes, (180, 11.0, 1000.0)) == [200.0]
    assert sizes(quotes, (90, 11.0, 900.0)) == [0.0], "an older quote adds nothing"
    assert sizes(quotes, (90_000, 12.0, 40.0)) == [40.0], "a new day begins at nothing"


def test_without_a_days_volume_a_tick_has_no_size_and_pairs_never_have_one():
    quotes = Quotes(open_url("journal", "memory://"))
    ticks, notes = quotes.ticks(table((0, 10.0, None)), "live")
    assert pa.array(ticks.size, from_pandas=True).to_pylist() == [None]
    assert notes == ()
    rolling = table((0, 10.0, 5.0)).set_column(0, "symbol", pa.array(["BTC-USD"]))
    assert quotes.ticks(rolling, "live")[1] == ()


def test_a_restart_goes_on_from_what_the_journal_noted(tmp_path):
    journal = open_url("journal", f"sqlite:///{tmp_path}/j.db")
    feeds = {"x": Polled([(0, 10.0, 500.0)])}
    lanes = Lanes(feeds, Past(journal, None, None))
    raw = RawBatch.of("x", "quote", [b"{}"], T0)
    Ingest(lanes, Suite(()), journal).take([raw])
    feeds["x"].rows = [(60, 10.5, 800.0)]
    Ingest(lanes, Suite(()), journal).take([raw])
    read = [record.ticks.size.tolist() for record in journal.read("ticks", 0)]
    assert read == [[0.0], [300.0]]
    journal.close()


def test_the_same_moment_and_price_is_the_same_quote_and_any_other_is_not():
    quotes = Quotes(open_url("journal", "memory://"))
    ticks, _ = quotes.ticks(table((0, 10.0, None), (0, 10.0, None), (0, 10.01, None), (1, 10.0, None)), "live")
    ids = ticks.last_id.tolist()
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert min(ids) >= 0


class Polled:
    """A feed whose messages each hold the quotes it is told to."""

    name, ids = "x", Ids.NONE

    def __init__(self, rows):
        self.rows = rows

    def parse(self, raw):
        """The quotes."""
        return Parsed(every_kind(len(raw), Kind.PARSED), quotes=table(*self.rows))


@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}/j.db"])
def test_tables_go_through_the_journal_with_positions(url, tmp_path):
    journal = open_url("journal", url.format(tmp_path))
    observed = pa.Table.from_pylist(
        [{"series": "GDP", "source": "fred", "date": date(2024, 7, 1), "value": None, "vintage": date(2024, 10, 30), "raw": 1}],
        schema=OBSERVATION,
    )  # fmt: skip
    split = [{"symbol": "AAPL", "source": "yahoo", "date": date(2020, 8, 31), "kind": "split", "value": 4.0, "raw": 0}]
    raw = RawBatch.of("fred", "observations", [b"a", b"b"], T0)
    kinds = every_kind(2, Kind.PARSED)
    journal.append([Entry(raw, kinds), Entry(raw, kinds, observations=observed)])
    journal.append([Entry(raw, kinds, actions=pa.Table.from_pylist(split, schema=ACTION))])
    journal.close() if url.startswith("sqlite") else None
    journal = open_url("journal", url.format(tmp_path)) if url.startswith("sqlite") else journal
    records = journal.read("ticks", 0)
    assert [r.observations is not None for r in records] == [False, True, False]
    assert records[1].observations.to_pylist()[0]["raw"] == 3
    assert records[2].actions.to_pylist() == [{**split[0], "raw": 4}]
    assert journal.verify().faults == ()
    journal.close()
