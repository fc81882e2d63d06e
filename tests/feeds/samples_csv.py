"""Lines of files of ticks and of bars."""

from tests.feeds.samples import Samples
from tickhouse.feeds import csv

COMMENTS = (b"# a comment", b"")
NASTY = (b",", b'"', b"\xff", b"9" * 25, b"-", b"1e308", b"NaN")


def samples() -> list[Samples]:
    """One a kind of file."""
    ticks = csv.open(kind="ticks", columns="time,symbol,price,size,id")
    bars = csv.open(kind="bars", columns="time,open,high,low,close,volume", symbol="AAPL", interval="1m")
    prints = (b"2026-01-01T00:00:01Z,AAPL,10.5,3,7", b"1767225602000,BRK.B,11,0.25,8")
    minutes = (b"2026-01-01T00:00:00Z,1,3,0.5,2,9", b"1767225660,2,2,2,2,0")
    return [
        Samples(ticks, "ticks", prints, COMMENTS, bad=(b"2026-01-01T00:00:01Z,AAPL,ten,3,9", b"\xff\xfe"), nasty=NASTY),
        Samples(bars, "bars", minutes, COMMENTS, bad=(b"yesterday,1,3,0.5,2,9", b"1767225660,1"), nasty=NASTY),
    ]
