"""Fuzz the Binance feed for as long as one likes: the scanner against the judge, the judge against Python's JSON.

    python tests/fuzz/fuzz_binance.py [--seconds 60] [--seed N]

With atheris installed it is guided by coverage and takes atheris' own options; without it, seeded mutations of real
messages are tried for that long. The first disagreement is printed with its bytes and ends the run with an error.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.feeds.binance_messages import CONTROL, WITH_TICKS, mutated, with_fields_changed, wrapped
from tests.feeds.samples_binance import samples
from tests.feeds.test_binance_fuzz import assert_json_agrees, assert_scanner_agrees
from tickhouse.core.batches import RawBatch
from tickhouse.core.model import Kind

BATCH = 200


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


def run(seconds: float, seed: int) -> dict[str, int]:
    """Try mutations until the time is over; says how many, and how many of them the scanner took."""
    choose, end = random.Random(seed), time.monotonic() + seconds
    tried = recognised = 0
    while time.monotonic() < end:
        payloads = [message(choose) for _ in range(BATCH)]
        recognised += guarded(lambda found=payloads: assert_scanner_agrees(found), b"\n".join(payloads))
        for payload in payloads[:: BATCH // 20]:
            guarded(lambda found=payload: check(found), payload)
        tried += BATCH
    return {"seed": seed, "tried": tried, "recognised": recognised}


def guarded(body: Callable[[], int | None], shown: bytes) -> int:
    """The result of a check; the bytes that failed it are printed first."""
    try:
        return body() or 0
    except BaseException:
        sys.stderr.write(f"fails on {shown!r}\n")
        raise


def main() -> None:
    """By coverage where atheris is there, else by chance."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    given, rest = parser.parse_known_args()
    if find_spec("atheris"):
        import atheris

        atheris.instrument_all()
        atheris.Setup([sys.argv[0], f"-max_total_time={int(given.seconds)}", *rest], check)
        atheris.Fuzz()
        return
    sys.stdout.write(json.dumps(run(given.seconds, given.seed)) + "\n")


SAMPLES = samples()

if __name__ == "__main__":
    main()
