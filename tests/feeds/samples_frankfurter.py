"""Answers of Frankfurter for every channel."""

import json

from tests.feeds.samples import Samples
from tickhouse.feeds import frankfurter

RATES = [
    {"date": "2025-12-30", "base": "EUR", "quote": code, "rate": rate} for code, rate in (("USD", 1.16), ("JPY", 170))
]
LATEST = {"amount": 1.0, "base": "EUR", "date": "2025-12-30", "rates": {"USD": 1.146, "TRY": 55.9077}}
RANGE = LATEST | {
    "date": None,
    "start_date": "2025-12-29",
    "rates": {"2025-12-29": {"USD": 1.1}, "2025-12-30": {"USD": 2}},
}
REFUSED, MISSING = b'{"status":422,"message":"invalid currency: XXX"}', b'{"message":"not found"}'
NASTY = (b'"', b",", b"{", b"}", b"[", b"]", b"0", b"null", b"-", b"1e400", b'"USD"', b"2025", b"\xff", b"\0", b"99")


def body(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def samples() -> list[Samples]:
    """One a channel."""
    feed = frankfurter.open()
    lists = (body(RATES), body(RATES[:1]), body(RATES[0]), body([*RATES, {"date": 5}]))
    bad_lists = (body([RATES[0] | {"rate": 0}]), body([RATES[0] | {"quote": "usd"}]), body(LATEST), b'"x"', b"\xff")
    bad_maps = (body(RATES), body(LATEST | {"amount": 0}), body(LATEST | {"date": "soon"}), b"{}", b"{")
    return [
        Samples(feed, "rates", lists, (b"[]", REFUSED, MISSING), bad_lists, nasty=NASTY),
        Samples(
            feed, "latest", (body(LATEST), body(RANGE)), (body(LATEST | {"rates": {}}), REFUSED), bad_maps, nasty=NASTY
        ),
    ]
