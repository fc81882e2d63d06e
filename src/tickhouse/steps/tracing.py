"""What stands behind a bar: its versions, its coverage, and the raw messages that it was made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from tickhouse.core.model import Query, interval_us
from tickhouse.core.times import microseconds
from tickhouse.steps.past import Past
from tickhouse.steps.preferred import Preferred

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tracing:
    """Traces bars of a house."""

    past: Past
    preferred: Preferred
    symbols: Callable[[], list[Row]]
    coverage: Callable[[Query], pa.Table]

    def trace(self, query: Query, limit: int) -> Row | None:
        """The bar of a symbol that holds the query's `start`, its versions, its coverage, and the raw messages behind it;
        None where there is no such bar.

        These are the messages of its ticks, and those that held a version of the bar, or of a shorter one that it was rolled up of,
        as a whole (`whole`), which are kept when there are more than `limit`.
        """
        assert query.start is not None and query.interval is not None
        symbol, length = query.symbols[0], interval_us(query.interval)
        begin = query.start - query.start % length
        query = replace(query, start=begin, end=begin + 1, versions=True)
        versions = self.preferred.rows(self.past.bars, query).to_pylist()
        if not versions:
            return None
        bar = versions[-1]
        versions = [version for version in versions if version["source"] == bar["source"]]
        first, last = min(one["first_raw"] for one in versions), max(one["last_raw"] for one in versions)
        ticks = self.past.ticks(bar["source"], symbol, begin, begin + length, last + 1, first)
        traded = {position for batch in ticks for position in batch.raw.tolist()}
        given = [*versions, *(self._parts(bar, length) if not traded else ())]
        whole = {one["first_raw"] for one in given if one["first_raw"] == one["last_raw"]} - traded
        positions = [*sorted(whole), *sorted(traded)]
        messages = [
            {"position": position, "channel": raw.channel, "lane": raw.lane, "received_at": int(raw.received_at[index]),
             "whole": position in whole, "payload": raw.payload(index).decode("utf-8", "replace")}
            for position, raw, index in self.past.messages(bar["source"], sorted(positions[:limit]))
        ]  # fmt: skip
        coverage = self.coverage(Query((symbol,), source=bar["source"], start=begin, end=begin + length)).to_pylist()
        return {
            "bar": bar, "versions": versions, "coverage": coverage, "ticks": sum(map(len, ticks)),
            "raw": {"count": len(positions), "shown": len(messages), "messages": messages},
        }  # fmt: skip

    def _parts(self, bar: Mapping[str, Any], length: int) -> list[Row]:
        """Every version of the shorter bars in the time of a bar without ticks."""
        begin, known = microseconds(bar["start"]), (row for row in self.symbols() if row["symbol"] == bar["symbol"])
        shorter = [
            text
            for row in known
            for text in row["intervals"]
            if row["source"] == bar["source"] and interval_us(text) < length
        ]
        query = Query((bar["symbol"],), source=bar["source"], start=begin, end=begin + length, versions=True)
        return [row for text in shorter for row in self.past.bars(replace(query, interval=text)).to_pylist()]
