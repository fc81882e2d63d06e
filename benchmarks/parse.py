"""From raw Binance trades to columns: the feed against JSON libraries on the same bytes, in one run.

    python -m benchmarks.parse [--messages 400000] [--symbols 100]

Prints one JSON object: messages a second of each (best of three), the ratios, and the time of small batches.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import orjson

from tickhouse.core.batches import RawBatch
from tickhouse.core.kernels.lines import PADDING, split_lines, unwrap
from tickhouse.feeds import binance

BATCH = 65_536


class Trade(msgspec.Struct):
    """What a strict decoder makes of a trade."""

    s: str
    t: int
    p: str
    q: str
    T: int


def trades(messages: int, symbols: int, wrapped: bool) -> Iterator[bytes]:
    """Messages as Binance sends them, with prices of many sizes."""
    choose = random.Random(1)
    names = [f"S{i:03d}USDT" for i in range(symbols)]
    for i in range(messages):
        symbol, at = choose.choice(names), 1_767_225_600_000 + i
        text = (
            f'{{"e":"trade","E":{at + 1},"s":"{symbol}","t":{745522877 + i},"p":"{choose.uniform(0.1, 60000):.8f}",'
            f'"q":"{choose.uniform(0, 10):.8f}","T":{at},"m":{choose.choice(("true", "false"))},"M":true}}'
        )
        yield (f'{{"stream":"{symbol.lower()}@trade","data":{text}}}' if wrapped else text).encode()


def best(run: Callable[[], object], times: int = 3) -> float:
    """The shortest of some runs, in seconds, after one that does not count."""
    run()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return min(taken)


def with_library(
    decode: Callable[[bytes], Any], field: Callable[[Any], tuple[str, str]]
) -> Callable[[list[bytes]], object]:
    """A plain loop that reads every message and keeps price and size as arrays."""

    def run(payloads: list[bytes]) -> object:
        pairs = [field(decode(payload)) for payload in payloads]
        return np.array([float(p) for p, _ in pairs]), np.array([float(q) for _, q in pairs])

    return run


def compared(payloads: list[bytes], wrapped: bool) -> dict[str, Any]:
    """Messages a second of the feed and of the libraries, and the ratios."""
    feed = binance.open()
    raw = RawBatch.of("binance", "trade", payloads, 0)
    cuts = [*range(0, len(raw), BATCH), len(raw)]

    def ours() -> None:
        for start, stop in pairwise(cuts):
            parsed = feed.parse(raw.take(start, stop))
            assert parsed.ticks is not None and len(parsed.ticks) == stop - start

    wrapper = msgspec.defstruct("Wrapper", [("data", Trade)])
    typed = msgspec.json.Decoder(wrapper if wrapped else Trade)
    plain = (lambda m: (m["data"]["p"], m["data"]["q"])) if wrapped else (lambda m: (m["p"], m["q"]))
    strict = (lambda m: (m.data.p, m.data.q)) if wrapped else (lambda m: (m.p, m.q))
    peers = {
        "json.loads": with_library(json.loads, plain),
        "orjson": with_library(orjson.loads, plain),
        "msgspec": with_library(typed.decode, strict),
    }
    rates = {"tickhouse": len(raw) / best(ours)}
    rates |= {name: len(raw) / best(lambda run=run: run(payloads), 2) for name, run in peers.items()}
    return {
        "bytes_per_message": round(raw.size / len(raw), 1),
        "messages_per_second": {name: round(rate) for name, rate in rates.items()},
        "times_as_fast_as": {name: round(rates["tickhouse"] / rates[name], 1) for name in peers},
    }


def small_batches(payloads: list[bytes]) -> dict[str, float]:
    """Microseconds a call of `parse` for batches as a socket gives them."""
    feed, found = binance.open(), {}
    for size in (1, 5, 20, 100):
        raw = RawBatch.of("binance", "trade", payloads[:size], 0)
        found[str(size)] = round(best(lambda raw=raw: [feed.parse(raw) for _ in range(1000)]) * 1000, 1)
    return found


def files(payloads: list[bytes]) -> dict[str, float]:
    """Gigabytes a second of splitting lines and of unwrapping capture lines."""
    found = {}
    captured = [b'{"recv":1767225600.123456,"raw":%s}' % json.dumps(p.decode()).encode() for p in payloads]
    for name, lines in (("plain", payloads), ("capture", captured)):
        text = b"\n".join(lines) + b"\n"
        data = np.frombuffer(text + bytes(PADDING), np.uint8)
        offsets, ends, _ = split_lines(data, len(text))
        assert len(offsets) == len(lines)
        found[f"split_{name}"] = round(len(text) / best(lambda d=data, t=text: split_lines(d, len(t))) / 1e9, 2)
        if name == "capture":
            found["unwrap"] = round(len(text) / best(lambda d=data, o=offsets, e=ends: unwrap(d, o, e)) / 1e9, 2)
    return found


def main() -> None:
    """Run everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=400_000)
    parser.add_argument("--symbols", type=int, default=100)
    given = parser.parse_args()
    bare = list(trades(given.messages, given.symbols, wrapped=False))
    answer = {"messages": given.messages, "symbols": given.symbols, "bare": compared(bare, wrapped=False)}
    answer["wrapped"] = compared(list(trades(given.messages, given.symbols, wrapped=True)), wrapped=True)
    answer["microseconds_per_small_batch"] = small_batches(bare)
    answer["gigabytes_per_second"] = files(bare)
    print(json.dumps(answer, indent=2))


if __name__ == "__main__":
    main()
