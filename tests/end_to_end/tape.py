"""A tape of raw Binance messages made from a seed, with what must come of it, worked out another way.

The truth is a plain loop over dictionaries with `math.fsum`: it shares no code with the engine.
"""

import math
import random
from dataclasses import dataclass
from pathlib import Path

MINUTE = 60_000
BEGAN = 1_767_225_600_000


@dataclass(frozen=True)
class Tape:
    """A file of messages, and what it holds."""

    path: Path
    messages: int
    trades: int
    duplicates: int
    malformed: int
    bars: dict[tuple[str, int], dict[str, float]]


def write(path: Path, trades: int = 20_000, symbols: int = 5, rate: float = 50.0, seed: int = 1) -> Tape:
    """Trades in order of their time but for two seconds, some twice, some broken; gapless ids per symbol."""
    random_ = random.Random(seed)
    ids, prices = [1000] * symbols, [100.0 * (n + 1) for n in range(symbols)]
    rows = []
    for number in range(trades):
        n = random_.randrange(symbols)
        ids[n] += 1
        prices[n] = round(prices[n] * (1 + random_.gauss(0, 0.0004)), 2)
        at = BEGAN + int(number * 1000 / rate)
        rows.append(
            (
                at + (random_.randrange(2000) if random_.random() < 0.1 else 0),
                at,
                n,
                ids[n],
                prices[n],
                round(random_.uniform(0.01, 3), 4),
            )
        )
    rows.sort(key=lambda row: row[0])
    lines, duplicates, malformed = [], 0, 0
    for arrival, at, n, id_, price, size in rows:
        line = (
            f'{{"e":"trade","E":{arrival},"s":"SYM{n}USDT","t":{id_},"p":"{price:.2f}","q":"{size:.4f}",'
            f'"T":{at},"m":false,"M":true}}'
        )
        lines.append(line)
        if random_.random() < 0.002:
            lines.append(line)
            duplicates += 1
        if random_.random() < 0.0005:
            lines.append(line[: len(line) // 2])
            malformed += 1
    path.write_text("\n".join(lines) + "\n")
    return Tape(path, len(lines), trades, duplicates, malformed, truth(rows))


def stamped(path: Path, rate: float) -> list[str]:
    """The lines of a tape with the time at which each came, so many a second; each ends its line."""
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"') for line in path.read_text().splitlines())
    return [f'{{"recv": {BEGAN / 1000 + n / rate:.6f}, "raw": "{line}"}}\n' for n, line in enumerate(escaped)]


def truth(rows: list[tuple[int, int, int, int, float, float]]) -> dict[tuple[str, int], dict[str, float]]:
    """The one-minute bars of the trades, by (symbol, start in ms)."""
    windows: dict[tuple[str, int], list[tuple[int, int, float, float]]] = {}
    for _, at, n, id_, price, size in rows:
        windows.setdefault((f"SYM{n}-USDT", at - at % MINUTE), []).append((at, id_, price, size))
    bars = {}
    for key, trades in windows.items():
        trades.sort()
        volume = math.fsum(size for *_, size in trades)
        bars[key] = {
            "open": trades[0][2], "high": max(t[2] for t in trades), "low": min(t[2] for t in trades), "close": trades[-1][2],
            "volume": volume, "vwap": math.fsum(p * s for _, _, p, s in trades) / volume, "trades": len(trades),
        }  # fmt: skip
    return bars
