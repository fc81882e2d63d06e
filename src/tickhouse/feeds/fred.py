"""FRED, the economic series of the Federal Reserve Bank of St. Louis: what was believed when.

A value of a series is revised for years, so each observation has a vintage, the day from which it was believed. History asks for
every vintage. Of some series FRED keeps none: these are asked as they are believed today, at once when they are named in the
option `without_vintages`. All dates are days in St. Louis.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import msgspec

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import BadCredentials, BadMessage, BadSetting, NoData
from tickhouse.core.model import Hole, Ids, Want
from tickhouse.core.requests import About, Answer, Cost, Pace, Request, Subscription, Ways
from tickhouse.core.secrets import Secret, secret
from tickhouse.core.symbols import canonical
from tickhouse.feeds._decoding import day_of
from tickhouse.feeds._fred_answers import classify
from tickhouse.feeds._fred_rows import reader
from tickhouse.feeds._messages import each
from tickhouse.feeds._rounds import Asking, one_by_one

PAGE = 100_000
VINTAGES_A_PAGE = 10_000
VINTAGES_A_REQUEST = 1999
"""FRED refuses a real-time period with more than 2,000 vintage dates; one is left for a vintage that comes meanwhile."""
NEWEST = 100
"""How many observations a poll asks for: revisions reach back a few years."""
FIRST_DAY, LAST_DAY = "1776-07-04", "9999-12-31"
EVERY_SERIES = "*"
Params = dict[str, str | int]
Conversation = Generator[Request, Answer, Answer]


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of the feed. `without_vintages` are series whose history is asked as it is believed today, because FRED keeps
    no vintages of them (`*`: all of them). FRED has no sockets, so `ws_url` is not used."""

    channel: str = "observations"
    rest_url: str = "https://api.stlouisfed.org"
    ws_url: str = ""
    symbols: Sequence[str] = ()
    key: Secret | None = None
    without_vintages: Sequence[str] = ()


class Fred:
    """Observations of economic series with their vintages. A symbol is the id of a series, such as `GDP` or `DGS10`."""

    name = "fred"
    about = About(
        "FRED, Federal Reserve Bank of St. Louis", "required", "economic",
        "FRED's terms of use; some series belong to third parties and have terms of their own",
    )  # fmt: skip
    channels: Mapping[str, str] = {
        "observations": "values of a series: `observations:GDP`, with the vintages of history `observations:GDP:vintages`",
        "vintagedates": "the days on which a series was published or revised",
        "series": "title, units and frequency of a series",
        "series_release": "the release that a series belongs to",
        "series_search": "series found by words",
        "series_updates": "series that were updated lately",
        "releases": "all releases",
        "release_dates": "the days of one release",
        "sources": "who makes the series",
        "category_children": "the categories below one",
        "category_series": "the series of a category",
    }
    ways = Ways(polled=("observations",), history=("observations",), every=3600.0)
    ids = Ids.NONE
    pace = Pace(per_second=2, per_minute=120)

    def __init__(self, options: Options) -> None:
        self.options = options

    @property
    def channel(self) -> str:
        """The live channel that is taken where the settings name none."""
        return self.options.channel

    def subscriptions(self, want: Want) -> list[Subscription]:
        """None: FRED has no socket."""
        raise BadSetting("feeds.fred.channel", want.channel, "a feed with sockets; FRED is asked again and again")

    def poll(self, want: Want) -> Asking:
        """The newest observations of each series, one request a series, as they are believed now."""
        self._only_observations(want.channel)
        return one_by_one(want.symbols, self._newest)

    def _newest(self, series: str) -> Asking:
        params: Params = {"series_id": series, "sort_order": "desc", "limit": NEWEST}
        yield from self._asked("series/observations", f"observations:{series}", params)

    def history(self, want: Want) -> Asking:
        """Every vintage of the observations of [start, end), 100,000 rows a page, in as few real-time periods as FRED allows."""
        self._only_observations(want.channel)
        empty = want.start is not None and want.end is not None and want.start >= want.end
        return one_by_one(() if empty else want.symbols, lambda series: self._past(series, _range(want)))

    def cost(self, want: Want) -> Cost:
        """The vintages and a page of each series; a series that was revised more than 2,000 times takes more."""
        return Cost(2 * len(want.symbols), 2 * len(want.symbols))

    def _past(self, series: str, days: Params) -> Asking:
        params: Params = {"series_id": series, **days}
        try:
            vintages = yield from self._vintages(series)
        except NoData:
            yield from self._pages(f"observations:{series}", params)
            return
        for first, last, name in _periods(vintages):
            period: Params = {"realtime_start": first, "realtime_end": last}
            yield from self._pages(f"observations:{series}:{name}", params | period)

    def _pages(self, channel: str, params: Params) -> Asking:
        offset, count = 0, 1
        while offset < count:
            answer = yield from self._asked("series/observations", channel, params | {"limit": PAGE, "offset": offset})
            page = _page(answer, _Observations)
            if not page.observations:
                return
            offset, count = offset + len(page.observations), page.count

    def _vintages(self, series: str) -> Generator[Request, Answer, list[str]]:
        """All days on which the series was published, oldest first. Raises `NoData` where FRED keeps none."""
        if {series, EVERY_SERIES} & set(self.options.without_vintages):
            raise NoData(f"FRED keeps no vintages of {series}")
        found: list[str] = []
        count = 1
        while len(found) < count:
            params: Params = {"series_id": series, "limit": VINTAGES_A_PAGE, "offset": len(found)}
            page = _page((yield from self._asked("series/vintagedates", f"vintagedates:{series}", params)), _Vintages)
            if not page.vintage_dates:
                break
            found += [day.isoformat() for day in page.vintage_dates]
            count = page.count
        return found

    def _asked(self, path: str, channel: str, params: Params) -> Conversation:
        """The answer to a request. FRED refuses a good key now and then, so a refused one is tried once more."""
        url, key = f"{self.options.rest_url.rstrip('/')}/fred/{path}", self.options.key
        secret = {"api_key": key} if key else {}
        request = Request(url, channel, {"file_type": "json", **params}, secret_params=secret)
        try:
            return (yield request)
        except BadCredentials:
            if not key:
                raise
            return (yield request)

    def refill(self, hole: Hole) -> Asking:
        """Nothing: observations have no ids."""
        raise NoData("FRED has no history by id; ask for a range of days instead")

    def _only_observations(self, channel: str) -> None:
        if (channel or self.options.channel) != "observations":
            raise BadSetting("feeds.fred.channel", channel, "observations")

    def classify(self, answer: Answer) -> Exception | None:
        """The error that an answer stands for, None when it is data."""
        return classify(answer)

    def parse(self, raw: RawBatch) -> Parsed:
        """Observations as rows; the rest of FRED is control. The channel names the series, and how to read its vintages."""
        return each(raw, reader(raw.channel))


class _Observations(msgspec.Struct):
    count: int
    observations: list[msgspec.Raw]


class _Vintages(msgspec.Struct):
    count: int
    vintage_dates: list[date]


def _page(answer: Answer, kind: Any) -> Any:
    """What the paging needs of a page."""
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"a page of FRED is not understood: {error}", sent=answer.body[:4096]) from error


def _periods(vintages: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Real-time periods that hold every vintage: first day, last day, and what to call them.

    A period after the first begins with the last vintage of the one before. FRED gives everything believed on that day the
    day as its `realtime_start`; the name says the day, so that the parser leaves out what was told before.

    >>> list(_periods(["2024-01-25", "2024-02-28"]))
    [('1776-07-04', '9999-12-31', 'vintages')]
    """
    first, name, step = FIRST_DAY, "vintages", VINTAGES_A_REQUEST - 1
    for last in vintages[step : len(vintages) - 1 : step]:
        yield first, last, name
        first, name = last, f"vintages:{last}"
    yield first, LAST_DAY, name


def _range(want: Want) -> Params:
    """The days of a range. A date stands for the period that begins with it."""
    found: Params = {}
    if want.start is not None:
        found["observation_start"] = day_of(want.start).isoformat()
    if want.end is not None:
        found["observation_end"] = day_of(want.end - 1).isoformat()
    return found


def open(**options: Any) -> Fred:
    """The feed of a section of the settings. Raises `BadSetting` for an option that is not of `Options`.

    >>> next(open(rest_url="http://127.0.0.1:9000").poll(Want(("GDP",), "observations"))).channel
    'observations:GDP'
    """
    known = [option.name for option in fields(Options)]
    for name, value in options.items():
        if name not in known:
            raise BadSetting(f"feeds.fred.{name}", value, f"one of the options {', '.join(known)}")
    if options.get("channel", "observations") != "observations":
        raise BadSetting("feeds.fred.channel", options["channel"], "observations")
    lists = {
        name: tuple(one if one == EVERY_SERIES else canonical(one) for one in _listed(options.get(name, ())))
        for name in ("symbols", "without_vintages")
    }
    return Fred(Options(**{**options, **lists, "key": secret(options.get("key"))}))


def _listed(given: str | Sequence[str]) -> Sequence[str]:
    return given.replace(",", " ").split() if isinstance(given, str) else given
