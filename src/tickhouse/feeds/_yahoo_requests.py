"""What is asked of Yahoo: charts window by window, quotes with a cookie and a crumb."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from tickhouse.core.errors import BadCredentials, NoData, UnknownSymbol
from tickhouse.core.requests import Answer, Request
from tickhouse.core.secrets import Secret
from tickhouse.core.times import rfc3339
from tickhouse.feeds._rounds import Asking, one_by_one
from tickhouse.feeds._yahoo_answers import TOO_OLD, cookie_of
from tickhouse.feeds._yahoo_names import spelled

SECOND, DAY = 1_000_000, 86_400
SINCE_EVER, FOR_EVER = -2_208_988_800, 9_999_999_999
"""Before the first bar of any symbol, and after the last."""
SYMBOLS_A_REQUEST = 200
_CRUMB = re.compile(r"[\w./\\+=~-]{4,64}")


@dataclass(frozen=True, slots=True)
class Reach:
    """How many days of bars Yahoo keeps, a day of margin less than it says, and how many it gives at once."""

    kept: int
    at_once: int


REACH = {
    "1m": Reach(29, 8),
    "1h": Reach(729, 729),
    **{name: Reach(59, 59) for name in ("2m", "5m", "15m", "30m", "90m")},
}
SPELLED = {
    "1m": "1m",
    "2m": "2m",
    "5m": "5m",
    "15m": "15m",
    "30m": "30m",
    "1h": "1h",
    "90m": "90m",
    "1d": "1d",
    "1w": "1wk",
}
"""Our intervals in Yahoo's words. Those that are not in `REACH` it keeps for ever and gives at once."""


@dataclass
class Asker:
    """The requests of one feed, and the cookie and crumb that it was given, kept until they are refused."""

    rest_url: str
    cookie_url: str
    user_agent: str = ""
    extended: bool = False
    cookie: Secret | None = field(default=None, init=False)
    crumb: Secret | None = field(default=None, init=False)

    def quotes(self, symbols: Sequence[str]) -> Asking:
        """The quotes of all symbols. Raises after the last what was wrong with some."""
        problems: list[UnknownSymbol] = []
        for start in range(0, len(symbols), SYMBOLS_A_REQUEST):
            try:
                yield from self._quoted(symbols[start : start + SYMBOLS_A_REQUEST])
            except UnknownSymbol as problem:
                problems.append(problem)
        if problems:
            raise problems[0]

    def _quoted(self, symbols: Sequence[str]) -> Asking:
        """One request of quotes, with a new cookie and crumb when the old ones are refused, once."""
        fresh = self.crumb is None
        if self.crumb is None or self.cookie is None:
            yield from self._sign_in()
        try:
            yield self._quote_request(symbols)
        except BadCredentials:
            self.cookie = self.crumb = None
            if fresh:
                raise
            yield from self._sign_in()
            yield self._quote_request(symbols)

    def _quote_request(self, symbols: Sequence[str]) -> Request:
        assert self.cookie is not None and self.crumb is not None
        return Request(
            f"{self.rest_url}/v7/finance/quote", "quote", {"symbols": ",".join(map(spelled, symbols))}, self._headers(),
            secret_params={"crumb": self.crumb}, secret_headers={"Cookie": self.cookie},
        )  # fmt: skip

    def _sign_in(self) -> Asking:
        """A cookie and the crumb that belongs to it. Raises `BadCredentials` where Yahoo gives none."""
        answer = yield Request(self.cookie_url, "", headers=self._headers())
        value = cookie_of(answer)
        if value is None:
            raise BadCredentials("Yahoo gave no cookie, so it will give no quotes; charts and the stream need none")
        cookie = Secret(f"A3={value}")
        answer = yield Request(
            f"{self.rest_url}/v1/test/getcrumb", "", headers=self._headers(), secret_headers={"Cookie": cookie}
        )
        text = answer.body.decode("utf-8", "replace").strip()
        if answer.status != 200 or not _CRUMB.fullmatch(text):
            raise BadCredentials("Yahoo gave no crumb, so it will give no quotes; charts and the stream need none")
        self.cookie, self.crumb = cookie, Secret(text)

    def newest(self, symbols: Sequence[str], interval: str) -> Asking:
        """The chart of the last session of each symbol. Raises after the last what was wrong with some."""
        yield from one_by_one(symbols, lambda symbol: self._last_day(symbol, interval))

    def past(self, symbols: Sequence[str], interval: str, start: int | None, end: int | None) -> Asking:
        """The bars of a range (us) of each symbol. Raises after the last what was wrong with some, or could not be had."""
        begin = None if start is None else start // SECOND
        stop = None if end is None else -(-end // SECOND)
        if begin is not None and stop is not None and begin >= stop:
            return
        yield from one_by_one(symbols, lambda symbol: self._symbol(symbol, interval, begin, stop))

    def _last_day(self, symbol: str, interval: str) -> Asking:
        yield self._chart(symbol, interval, {"range": "1d"})

    def _symbol(self, symbol: str, interval: str, begin: int | None, stop: int | None) -> Asking:
        if interval not in REACH:
            first, last = SINCE_EVER if begin is None else begin, FOR_EVER if stop is None else stop
            yield self._chart(symbol, interval, {"period1": first, "period2": last})
        else:
            yield from self._windows(symbol, interval, begin, stop)

    def _windows(self, symbol: str, interval: str, begin: int | None, stop: int | None) -> Asking:
        """Windows of a range, the newest first, since only an answer says what time it is and so what Yahoo still keeps."""
        reach, now, empty, had, told = REACH[interval], None, None, False, begin is not None
        if stop is None:
            stop = now = seconds_of((yield self._chart(symbol, interval, {"range": "1d"})))
            had, begin = True, stop if begin is None else begin
        begin = stop - reach.at_once * DAY if begin is None else begin
        floor = begin
        while stop > floor:
            since = max(floor, stop - reach.at_once * DAY)
            try:
                now = seconds_of((yield self._chart(symbol, interval, {"period1": since, "period2": stop})))
                had, stop = True, since
            except NoData as nothing:
                empty = nothing
                if TOO_OLD not in nothing.sent:
                    stop = since
                elif now is not None:
                    raise
                else:
                    now = seconds_of((yield self._chart(symbol, interval, {"range": "1d"})))
            floor = floor if now is None else max(floor, now - reach.kept * DAY)
        if floor > begin and told:
            kept = rfc3339(floor * SECOND)
            raise NoData(f"Yahoo keeps bars of {interval} for {reach.kept} days: none before {kept} can be had")
        if empty is not None and not had:
            raise empty

    def _chart(self, symbol: str, interval: str, where: dict[str, str | int]) -> Request:
        params: dict[str, str | int] = {
            "interval": SPELLED[interval], **where, "includePrePost": "true" if self.extended else "false",
            "events": "div,splits,capitalGains",
        }  # fmt: skip
        path = f"{self.rest_url}/v8/finance/chart/{quote(spelled(symbol), safe='=')}"
        return Request(path, "chart", params, self._headers())

    def _headers(self) -> dict[str, str]:
        return {"User-Agent": self.user_agent} if self.user_agent else {}


def seconds_of(answer: Answer) -> int:
    """When an answer came."""
    return answer.received_at // SECOND
