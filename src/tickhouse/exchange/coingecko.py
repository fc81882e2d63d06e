"""CoinGecko's words: prices of coins in any currency out of a cache of a minute, charts and candles of a year, and its refusals."""

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tickhouse.core.clock import SECOND
from tickhouse.exchange import Request, Response
from tickhouse.exchange._coingecko_coins import Coin
from tickhouse.exchange._coingecko_prices import Prices, Refused, Said, iso, price_of, status, too_fast
from tickhouse.exchange._polled import TEXT, Params, Polled, given, in_trouble, number, quote_row, said
from tickhouse.exchange.floor import DAY, MINUTE
from tickhouse.exchange.terms import Clerk, Terms

_COIN = re.compile(r"/api/v3/coins/([\w-]+)/(market_chart|market_chart/range|ohlc|history)")


class CoinGecko(Polled):
    """The dialect of CoinGecko."""

    name = "coingecko"
    TERMS = Terms(per_minute=15)
    """Of an address without a key; keys may do `KEYED`."""
    KEYED = Terms(per_minute=100)
    CHANGES = (
        (b'"current_price":', b'"price":'), (b'"prices":', b'"values":'), (b'"last_updated_at":', b'"usd":null,"at":'),
        (b"[[", b"[{},["), (b'"usd":', b'"usd":"a":'),
    )  # fmt: skip

    @property
    def keyed(self) -> Clerk:
        """Who counts the requests with a key."""
        return self.world.clerk("coingecko:key", self.KEYED)

    @cached_property
    def prices(self) -> Prices:
        """The coins and their past."""
        return Prices(self.chronicle, self.now, lambda: not self.clerk.paid)

    def answer(self, request: Request) -> Response:
        """Everything below `/api/v3`."""
        params = given(request)
        try:
            self._admit(request, params)
            value, rows = self._served(request.path, params)
        except Refused as refused:
            return said(refused.body, status=refused.status)
        return said(value, rows, headers={"cache-control": "max-age=30,public,must-revalidate,s-maxage=60"})

    def refusal(self, kind: str, variant: int) -> Response:
        """Too fast in its three ways, a failure told with 200, or a proxy in trouble."""
        if kind == "error_bodies":
            return said({"status": 500, "error": "Internal Server Error"})
        if kind != "too_many":
            return in_trouble(variant)
        if variant % 3 == 0:
            return Response(429, b"Throttled\n", TEXT, {"Retry-After": "1"})
        if variant % 3 == 1:
            return Response(429, b"error code: 1015", TEXT, {"Retry-After": "1"})
        return said(too_fast(), status=429, headers={"Retry-After": "1"})

    def _admit(self, request: Request, params: Params) -> None:
        """Raises `Refused` for a key that is not good, and for one request too many."""
        demo = request.headers.get("x-cg-demo-api-key") or params.get("x_cg_demo_api_key", "")
        pro = request.headers.get("x-cg-pro-api-key") or params.get("x_cg_pro_api_key", "")
        if pro and not self.clerk.paid:
            raise Refused(400, status(10011, "If you are using Demo API key, please change your root URL."))
        key = demo or pro
        if key and not self.clerk.knows(key):
            raise Refused(
                401, status(10002, "API Key Missing. Please make sure you use the right authentication method.")
            )
        if (self.keyed.spend(key) if key else self.clerk.spend(request.peer)) is not None:
            raise Refused(429, too_fast())

    def _served(self, path: str, params: Params) -> Said:
        ways: dict[str, Callable[[Params], Said]] = {
            "/api/v3/ping": lambda _: ({"gecko_says": "(V3) To the Moon!"}, ()), "/api/v3/simple/price": self._simple,
            "/api/v3/coins/markets": self._markets, "/api/v3/coins/list": self._list,
        }  # fmt: skip
        if path in ways:
            return ways[path](params)
        found = _COIN.fullmatch(path)
        if not found:
            raise Refused(404, {"error": "Incorrect path. Please check https://www.coingecko.com/api/"})
        coin = next((one for one in self.prices.coins() if one.id == found[1]), None)
        if coin is None:
            raise Refused(404, {"error": "coin not found"})
        told = {"ohlc": self.prices.candles, "history": self.prices.midnight}.get(found[2], self.prices.chart)
        return told(coin, params)

    def _list(self, _: Params) -> Said:
        return [{"id": one.id, "symbol": one.symbol.lower(), "name": one.name} for one in self.prices.coins()], ()

    def _simple(self, params: Params) -> Said:
        """Coins and currencies that are not known are left out, as is what follows a space."""
        for name in ("ids", "vs_currencies"):
            if not params.get(name):
                raise Refused(422, {"error": f"Missing parameter {name}"})
        ids, currencies = _listed(params["ids"]), _listed(params["vs_currencies"])
        coins = [one for one in self.prices.coins() if one.id in ids]
        found = {coin.id: self._entry(coin, currencies, params) for coin in coins}
        rows = [
            quote_row(f"{coin.symbol}-{currency.upper()}", self.prices.cached(), found[coin.id][currency])
            for coin in coins for currency in currencies if currency in found[coin.id]
        ]  # fmt: skip
        return found, rows

    def _entry(self, coin: Coin, currencies: Sequence[str], params: Params) -> dict[str, Any]:
        """One coin of `simple/price`."""
        at, entry = self.prices.cached(), dict[str, Any]()
        for currency in currencies:
            prices = self.prices.prices(coin, currency, np.array([at - DAY, at]))
            if prices is not None:
                before, entry[currency] = (price_of(value) for value in prices.tolist())
                if params.get("include_24hr_change") == "true":
                    entry[f"{currency}_24h_change"] = 100.0 * (entry[currency] - before) / before
        if params.get("include_last_updated_at") == "true" and entry:
            entry["last_updated_at"] = at // SECOND
        return entry

    def _markets(self, params: Params) -> Said:
        currency = params.get("vs_currency", "")
        if not currency:
            raise Refused(422, {"error": "Missing parameter vs_currency"})
        wanted = [one.strip() for one in params.get("ids", "").split(",") if one.strip()]
        coins = [one for one in self.prices.coins() if not wanted or one.id in wanted]
        size = min(number(params, "per_page", 100), 250)
        first = (max(number(params, "page", 1), 1) - 1) * size
        found = [self._market(coin, currency) for coin in coins[first : first + size]]
        rows = [
            quote_row(f"{coin.symbol}-{currency.upper()}", self.prices.cached(), float(one["current_price"]))
            for coin, one in zip(coins[first : first + size], found, strict=True)
        ]  # fmt: skip
        return found, rows

    def _market(self, coin: Coin, currency: str) -> dict[str, Any]:
        at = self.prices.cached()
        times = np.arange(at - DAY, at + 1, 5 * MINUTE, dtype=np.int64)
        prices = self.prices.known(self.prices.prices(coin, currency, times))
        price, before = price_of(float(prices[-1])), price_of(float(prices[0]))
        cap, volume = price * coin.supply, price * coin.supply * 0.03
        text = iso(at)
        return {
            "id": coin.id, "symbol": coin.symbol.lower(), "name": coin.name, "image": "http://localhost/simulated.png",
            "current_price": price, "market_cap": round(cap), "market_cap_rank": 1 + self.prices.coins().index(coin),
            "fully_diluted_valuation": round(cap), "total_volume": round(volume), "high_24h": price_of(float(prices.max())),
            "low_24h": price_of(float(prices.min())), "price_change_24h": price - before,
            "price_change_percentage_24h": round(100.0 * (price - before) / before, 5), "market_cap_change_24h": 0.0,
            "market_cap_change_percentage_24h": 0.0, "circulating_supply": coin.supply, "total_supply": coin.supply,
            "max_supply": coin.supply, "ath": price, "ath_change_percentage": 0.0, "ath_date": text, "atl": price,
            "atl_change_percentage": 0.0, "atl_date": text, "roi": None, "last_updated": text,
        }  # fmt: skip


def _listed(text: str) -> list[str]:
    """The names in a parameter; a space after a comma hides it and all that follow."""
    found = text.split(",")
    hidden = next((place for place, one in enumerate(found) if one.startswith(" ")), len(found))
    return found[:hidden]


def open() -> CoinGecko:
    """The dialect."""
    return CoinGecko()
