"""How values move: a market, its sectors and every asset by itself, with volatility that comes in clusters, and jumps."""

import math
from collections.abc import Sequence

import numpy as np

from tickhouse.exchange import F64
from tickhouse.exchange.instruments import Asset

DAY = 86_400.0
STEPS = 16
"""Steps of a path in one block; between them values move in a straight line."""
MARKET_DAILY, SECTOR_DAILY = 0.022, 0.012
CALM_AFTER, MARKET_CALM_AFTER = 1200.0, 7200.0
"""Seconds in which half of a rise in volatility is gone: of one asset, of the market."""
JUMPS_A_DAY, MARKET_JUMPS_A_DAY = 8.0, 3.0
PULL = 0.15
"""Share of the way back to its first value that a value is pulled in a day, so that no price ever leaves its scale."""


def daytime(us: int) -> float:
    """How busy the market is at a moment: 1 on the mean of a day, most in the afternoon of UTC, less at weekends.

    >>> daytime(15 * 3600 * 10**6) > 1.4, daytime(4 * 3600 * 10**6) < 0.8
    (True, True)
    """
    hour, day = us / 3.6e9 % 24, us // 86_400_000_000 % 7
    wave = 1 + 0.42 * math.cos(2 * math.pi * (hour - 15) / 24) + 0.13 * math.cos(4 * math.pi * (hour - 14.5) / 24)
    return wave * (0.75 if day in (2, 3) else 1.0)


class Paths:
    """The logarithm of the value of every asset, moved on block by block."""

    def __init__(self, assets: Sequence[Asset], random: np.random.Generator) -> None:
        self._random = random
        self._home: F64 = np.log([asset.value for asset in assets])
        self.values = self._home.copy()
        self._beta = np.array([asset.beta for asset in assets])
        self._own = np.array([asset.volatility for asset in assets])
        self._sector = np.array([asset.sector for asset in assets])
        self.heat = 0.3 * random.standard_normal(len(assets))
        self.market_heat = 0.25 * float(random.standard_normal())

    def advance(self, seconds: float, busy: float) -> F64:
        """Values at STEPS + 1 moments of the next `seconds`, shape (STEPS + 1, assets). `busy` scales the volatility."""
        random, count = self._random, len(self.values)
        step = math.sqrt(seconds / STEPS / DAY * busy)
        common = random.standard_normal(STEPS) * (MARKET_DAILY * math.exp(self.market_heat) * step)
        sectors = random.standard_normal((STEPS, 7)) * (SECTOR_DAILY * math.exp(self.market_heat) * step)
        sectors[:, 0] = 0.0
        own = random.standard_normal((STEPS, count)) * (self._own * np.exp(self.heat) * step)
        moves = common[:, None] * self._beta + sectors[:, self._sector] * self._beta + own
        self._jump(moves, seconds)
        path = np.empty((STEPS + 1, count))
        path[0] = self.values
        np.cumsum(moves, axis=0, out=path[1:])
        path[1:] += self.values
        path[1:] += (self._home - self.values) * np.linspace(0, PULL * seconds / DAY, STEPS + 1)[1:, None]
        self.values = path[-1].copy()
        self._cool(seconds)
        return path

    def _jump(self, moves: F64, seconds: float) -> None:
        """Sudden moves, of one asset or of all that follow the market; volatility rises with them."""
        random = self._random
        for _ in range(random.poisson(JUMPS_A_DAY * len(self.values) * seconds / DAY)):
            one = random.integers(len(self.values))
            size = np.clip(random.standard_t(3), -8, 8)
            moves[random.integers(STEPS), one] += 0.12 * self._own[one] * size
            self.heat[one] = min(self.heat[one] + 0.25 * abs(size), 2.0)
        for _ in range(random.poisson(MARKET_JUMPS_A_DAY * seconds / DAY)):
            size = np.clip(random.standard_t(3), -8, 8)
            moves[random.integers(STEPS)] += 0.1 * MARKET_DAILY * size * self._beta
            self.market_heat = min(self.market_heat + 0.2 * abs(size), 1.5)

    def _cool(self, seconds: float) -> None:
        """Heat fades slowly and is stirred: large moves are followed by large moves."""
        for_one, for_all = 0.5 ** (seconds / CALM_AFTER), 0.5 ** (seconds / MARKET_CALM_AFTER)
        noise = self._random.standard_normal(len(self.heat))
        self.heat = self.heat * for_one + 0.45 * math.sqrt(1 - for_one**2) * noise
        stir = float(self._random.standard_normal())
        self.market_heat = self.market_heat * for_all + 0.3 * math.sqrt(1 - for_all**2) * stir
