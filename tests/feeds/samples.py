"""What a feed brings to the contract suite: some of its messages. The samples of feed `x` are in `samples_x.py`."""

from dataclasses import dataclass, field

from tickhouse.feeds import Feed


@dataclass(frozen=True)
class Samples:
    """Messages of one channel of a feed: with rows, without (control), and not to be understood (rejected)."""

    feed: Feed
    channel: str
    good: tuple[bytes, ...]
    control: tuple[bytes, ...] = ()
    bad: tuple[bytes, ...] = (b"\xff\xfe", b"{")
    received_at: int = 1_767_226_000_000_000
    nasty: tuple[bytes, ...] = field(
        default=(b'"', b",", b"\n", b"\0", b"\xff", b"9" * 25, b"-", b".", b"e", b"NaN", b"null", b"{}")
    )
    """Bytes that are put into messages to break them."""

    def __str__(self) -> str:
        return f"{self.feed.name}-{self.channel}"
