"""The way in for tests and people: change faults and limits, ask for the truth. From this machine only."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import numpy as np

from tickhouse.core.errors import SettingsError, UnknownName
from tickhouse.exchange import MS, Request, Response
from tickhouse.exchange.dialects import NAMES
from tickhouse.exchange.faults import Faults, parse
from tickhouse.exchange.history import Truth

if TYPE_CHECKING:
    from tickhouse.exchange.server import Exchange

ROWS = 100_000
"""Trades of one answer in JSON, at most; `fromId` goes on."""


class Control:
    """`/_control/...`: about, symbols, counts, faults, limits, terms, truth, sent, bars, mute, gap, disconnect, shutdown,
    forgive."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange
        self._ways: dict[tuple[str, str], Callable[[dict[str, str], Any], Any]] = {
            ("GET", "about"): self._about,
            ("GET", "symbols"): self._symbols,
            ("GET", "counts"): lambda *_: self._exchange.counts(),
            ("GET", "faults"): self._faults,
            ("POST", "faults"): self._set_faults,
            ("GET", "limits"): lambda *_: asdict(self._exchange.doorman.limits),
            ("POST", "limits"): self._set_limits,
            ("GET", "terms"): self._terms,
            ("POST", "terms"): self._set_terms,
            ("GET", "truth"): self._truth,
            ("GET", "sent"): lambda params, _: exchange.sent.of(params.get("dialect"), params.get("kind")),
            ("GET", "bars"): self._bars,
            ("POST", "mute"): self._mute,
            ("POST", "gap"): self._gap,
            ("POST", "disconnect"): self._disconnect,
            ("POST", "shutdown"): self._shutdown,
            ("POST", "forgive"): self._forgive,
        }

    def answer(self, request: Request, local: bool) -> Response:
        """Answer, or say what is wrong in one sentence."""
        if not local:
            return _said(403, {"error": "the control of the exchange is for this machine only"})
        name = request.path.removeprefix("/_control/")
        way = self._ways.get((request.method, name))
        if way is None:
            known = ", ".join(sorted(f"{method} {one}" for method, one in self._ways))
            return _said(404, {"error": f"no {request.method} {name}; there are {known}"})
        try:
            body = json.loads(request.body) if request.body else {}
            answer = way(dict(parse_qsl(request.query)), body)
        except (SettingsError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            return _said(400, {"error": str(error)})
        return answer if isinstance(answer, Response) else _said(200, answer)

    def _about(self, *_: Any) -> dict[str, Any]:
        exchange = self._exchange
        return {
            "simulated": True, "speaks": exchange.dialects.root.name, "dialects": [exchange.dialects.root.name, *NAMES],
            "url": exchange.url, "ws_url": exchange.ws_url, **exchange.source.about(), "faults": asdict(exchange.faults),
        }  # fmt: skip

    def _symbols(self, params: dict[str, str], _: Any) -> list[str]:
        """Canonical symbols of `market`, coins where none is named."""
        market = params.get("market", "crypto")
        return [one.name for one in self._exchange.history.instruments if one.market == market]

    def _faults(self, *_: Any) -> dict[str, Any]:
        exchange = self._exchange
        names = [one.symbol for one in exchange.history.instruments]
        log = [{**row, "symbol": names[row["symbol"]]} if "symbol" in row else row for row in exchange.account.log]
        special = {name: asdict(faults) for name, faults in exchange.special.items()}
        counts = dict(exchange.account.counts)
        return {"faults": asdict(exchange.faults), "special": special, "counts": counts, "log": log}

    def _set_faults(self, params: dict[str, str], body: Any) -> dict[str, Any]:
        """`{"duplicates": 0.1}` changes some; `{"text": "storm=0.3"}` sets all; `{}` ends all; of one `dialect` where named."""
        if not isinstance(body, dict):
            raise ValueError('expected an object such as {"duplicates": 0.1}')
        exchange, dialect, text = self._exchange, self._named(params), body.pop("text", None)
        now = exchange.faults if dialect is None else exchange.faults_of(dialect)
        base = now if body and text is None else Faults(seed=now.seed)
        faults = parse(str(text)).changed(**body) if text is not None else base.changed(**body)
        exchange.change(faults, dialect)
        return asdict(faults)

    def _named(self, params: dict[str, str]) -> str | None:
        """The dialect that a request names. Raises `UnknownName`."""
        name, known = params.get("dialect"), [self._exchange.dialects.root.name, *NAMES]
        if name is not None and name not in known:
            raise UnknownName("dialect", name, known)
        return name

    def _terms(self, *_: Any) -> dict[str, Any]:
        """Quota and plan of every dialect that was spoken to."""
        return {name: asdict(clerk.terms) for name, clerk in self._exchange.world.clerks.items()}

    def _set_terms(self, params: dict[str, str], body: Any) -> dict[str, Any]:
        """`{"per_day": 25, "plan": "paid"}` changes those of `dialect`; `{"revoke": "key"}` shuts a key out, `*` all."""
        name = self._named(params)
        if name is None or not isinstance(body, dict):
            raise ValueError('expected ?dialect=... and an object such as {"per_day": 25}')
        dialect = self._exchange.dialects[name]
        clerk = self._exchange.world.clerks[dialect.name]
        if "revoke" in body:
            clerk.revoke(str(body.pop("revoke")))
        clerk.terms = clerk.terms.changed(**body)
        return asdict(clerk.terms)

    def _set_limits(self, _: Any, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict):
            raise ValueError('expected an object such as {"lifetime": 5}')
        self._exchange.doorman.limits = self._exchange.doorman.limits.changed(**body)
        return asdict(self._exchange.doorman.limits)

    def _truth(self, params: dict[str, str], _: Any) -> Any:
        """Sums per symbol; the trades of one with `symbol` (and `fromId`, `limit`); all as Arrow with `format=arrow`."""
        if params.get("format") == "arrow":
            return Response(200, arrow(self._exchange.truth()), "application/vnd.apache.arrow.stream")
        if "symbol" in params:
            return self._trades(params)
        history, found = self._exchange.history, {}
        for code, one in enumerate(history.instruments):
            trades = history.columns(code)
            if len(trades):
                volume = int(trades.quantity.sum()) / 10**one.quantity_decimals
                ends = {"first_id": int(trades.id[0]), "last_id": int(trades.id[-1])}
                found[one.symbol] = {"trades": len(trades), **ends, "volume": volume}
        faults = dict(self._exchange.account.counts)
        return {"symbols": found, "trades": sum(one["trades"] for one in found.values()), "faults": faults}

    def _trades(self, params: dict[str, str]) -> dict[str, Any]:
        history = self._exchange.history
        code = history.code(params["symbol"])
        one, trades = history.instruments[code], history.columns(code)
        first = int(np.searchsorted(trades.id, int(params.get("fromId", 0))))
        part = trades[first : first + min(int(params.get("limit", ROWS)), ROWS)]
        return {
            "symbol": one.symbol, "id": part.id.tolist(), "price": (part.price / 10.0**one.price_decimals).tolist(),
            "quantity": (part.quantity / 10.0**one.quantity_decimals).tolist(), "time": part.time.tolist(),
        }  # fmt: skip

    def _bars(self, params: dict[str, str], _: Any) -> list[dict[str, Any]]:
        """`symbol`, `interval`, `start` and `end` in us."""
        start, end = int(params.get("start", 0)), int(params.get("end", self._exchange.history.visible + 1))
        symbol = params["symbol"]
        code = self._exchange.history.code(symbol)
        times = self._exchange.history.columns(code).time
        start = max(start, int(times[0]) - 31 * 86_400 * 10**6) if len(times) else end
        return self._exchange.history.bars(symbol, params.get("interval", "1m"), start, end)

    def _mute(self, _: Any, body: Any) -> dict[str, int]:
        """`symbol` is silent for every client from now on, for `ms` or until it is subscribed anew."""
        exchange, code = self._exchange, self._exchange.history.code(str(body["symbol"]))
        until = exchange.history.visible + round(float(body.get("ms", exchange.faults.mute_ms)) * MS)
        for client in exchange.clients.values():
            client.delivery.silence(code, until)
        return {"muted": len(exchange.clients)}

    def _gap(self, _: Any, body: Any) -> dict[str, int]:
        """The next `trades` of `symbol` are sent to no client; REST has them."""
        exchange, code = self._exchange, self._exchange.history.code(str(body["symbol"]))
        ids, count = exchange.history.columns(code).id, int(body.get("trades", exchange.faults.gap_trades))
        if not len(ids) or count < 1:
            raise ValueError("a gap needs one trade or more, after a first trade of the symbol")
        first = int(ids[-1]) + 1
        for client in exchange.clients.values():
            client.delivery.leave_out(client.masks(), code, first + count - 1)
        return {"first_id": first, "last_id": first + count - 1}

    def _disconnect(self, *_: Any) -> dict[str, int]:
        clients = list(self._exchange.clients.values())
        for client in clients:
            self._exchange.account.note("disconnects", connection=client.number, asked=True)
            client.cut_off("broken")
        return {"disconnected": len(clients)}

    def _shutdown(self, _: Any, body: Any) -> dict[str, int]:
        """Announce the end of every connection, as before its age is reached; `limits` say when that is."""
        clients = list(self._exchange.clients.values())
        for client in clients:
            client.part()
            if body.get("close"):
                client.socket.close(1001, "the exchange goes down")
        return {"told": len(clients)}

    def _forgive(self, *_: Any) -> dict[str, bool]:
        self._exchange.doorman.forgive()
        for clerk in self._exchange.world.clerks.values():
            clerk.forgive()
        return {"forgiven": True}


def arrow(truth: Truth) -> bytes:
    """The truth as an Arrow stream: symbol, id, price, quantity, time."""
    import pyarrow as pa

    symbols = pa.DictionaryArray.from_arrays(pa.array(truth.code, pa.int32()), pa.array(truth.symbols))
    time = pa.array(truth.time, pa.timestamp("us", "UTC"))
    table = pa.table(
        {"symbol": symbols, "id": truth.id, "price": truth.price, "quantity": truth.quantity, "time": time}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream


def _said(status: int, value: Any) -> Response:
    return Response(status, json.dumps(value).encode() + b"\n", "application/json")
