"""What a feed may leave out is filled in, whoever opens it; keys may come as plain text."""

import re
from pathlib import Path

import pytest

from tickhouse.core.errors import NoData
from tickhouse.core.model import Want
from tickhouse.core.plugins import load, names
from tickhouse.core.requests import Cost, Request, Ways
from tickhouse.core.secrets import Secret
from tickhouse.feeds._whole import whole

ADDING = Path(__file__).parents[2] / "docs" / "adding.md"


def documented() -> object:
    """The feed of the documentation, which has neither ways nor a channel nor a cost."""
    scope: dict[str, object] = {"__name__": "outside"}
    exec(re.search(r"```python\n(.*?)```", ADDING.read_text(), re.DOTALL)[1], scope)  # type: ignore[index]
    return scope["open"]()  # type: ignore[operator]


def test_a_feed_that_lacks_the_optional_parts_gets_them_and_one_that_has_them_stays_itself():
    bare = documented()
    feed = whole(bare, "outside.myfeed")
    assert (feed.name, feed.channel, feed.ways) == ("outside.myfeed", "latest", Ways(polled=("latest",)))
    assert [request.url for request in feed.poll(Want(("USD-EUR",), "latest"))] == [
        "https://open.er-api.com/v6/latest/USD"
    ]
    with pytest.raises(NoData, match="no past"):
        feed.cost(Want(("USD-EUR",), "latest"))
    bare.history = lambda want: iter([Request("http://x", "latest", weight=3), Request("http://x", "latest")])
    assert feed.cost(Want(("USD-EUR",), "latest")) == Cost(1, 3)
    complete = load("feeds", "binance").open()
    assert whole(complete, "binance") is complete


@pytest.mark.parametrize("name", sorted(set(names("feeds")) - {"csv", "binance", "yahoo", "frankfurter"}))
def test_a_key_may_come_as_plain_text(name):
    """As a person opens it in Python; from the settings it comes as a secret."""
    channel = {"fred": "observations", "coingecko": "simple_price", "alpha_vantage": "global_quote"}.get(name, "quote")
    symbols = ("BTC-USD",) if name == "coingecko" else ("GDP",) if name == "fred" else ("AAPL",)
    for key in ("hush-hush", Secret("hush-hush")):
        request = next(load("feeds", name).open(key=key).poll(Want(symbols, channel)))
        (secret,) = {**request.secret_params, **request.secret_headers}.values()
        assert secret.reveal() == "hush-hush" and "hush-hush" not in repr(request)
