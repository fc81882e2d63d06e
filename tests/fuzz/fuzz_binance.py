"""Fuzz the Binance feed for as long as one likes: the scanner against the judge, the judge against Python's JSON.

    python tests/fuzz/fuzz_binance.py [--seconds 60] [--seed N]

With atheris installed it is guided by coverage and takes atheris' own options; without it, seeded mutations of real
messages are tried for that long. The first disagreement is printed with its bytes and ends the run with an error.
"""

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fuzz.guided import guarded, instrumented, main

with instrumented():
    from tests.feeds.binance_messages import CONTROL, WITH_TICKS, mutated, with_fields_changed, wrapped
    from tests.feeds.samples_binance import samples
    from tests.feeds.test_binance_fuzz import assert_json_agrees, assert_scanner_agrees
    from tickhouse.core.batches import RawBatch
    from tickhouse.core.model import Kind


def check(payload: bytes) -> None:
    """Everything that must hold for a message, on every channel."""
    assert_scanner_agrees([payload])
    assert_json_agrees(payload)
    for sample in SAMPLES:
        parsed = sample.feed.parse(RawBatch.of("binance", sample.channel, [payload], sample.received_at))
        assert parsed.count(Kind.PARSED) == int(parsed.ticks is not None or parsed.bars is not None)
        assert parsed.count(Kind.REJECTED) <= len(parsed.rejects)


def message(choose: random.Random) -> bytes:
    """A message like those that come, more or less damaged."""
    found = choose.choice((*WITH_TICKS, *WITH_TICKS, *CONTROL[:7]))
    if choose.random() < 0.1:
        found = choose.choice(choose.choice(SAMPLES).good)
    elif choose.random() < 0.4:
        found = with_fields_changed(found, choose)
    if choose.random() < 0.3:
        found = wrapped(found, choose.choice(("btcusdt@trade", "x", "é", "a" * 70)))
    return mutated(found, choose, choose.choice((0, 1, 1, 1, 2, 3, 8)))


def trial(choose: random.Random, count: int) -> int:
    """Try so many mutations; says how many the scanner took."""
    payloads = [message(choose) for _ in range(count)]
    recognised = guarded(lambda: assert_scanner_agrees(payloads), b"\n".join(payloads))
    for payload in payloads[::10]:
        guarded(lambda found=payload: check(found), payload)
    return recognised


SAMPLES = samples()

if __name__ == "__main__":
    main(check, trial, [*WITH_TICKS, *CONTROL, *(message for sample in SAMPLES for message in sample.good)])
