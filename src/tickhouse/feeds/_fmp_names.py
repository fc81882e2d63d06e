"""FMP's spelling of a symbol or an economic series, and ours.

Shares of a class are `BRK-B` there and `BRK.B` here, pairs `EURUSD` and `EUR-USD`, series `realGDP` and `REALGDP`. What the
rules get wrong is given exactly, in the option `spellings`: `MKC.V=MKC-V, CDRATE=3MonthOr90DayRatesAndYieldsCertificatesOfDeposit`.
"""

import re
from collections.abc import Iterable, Mapping

from tickhouse.core.errors import BadSetting
from tickhouse.core.symbols import CANONICAL, canonical
from tickhouse.feeds._currencies import CURRENCIES
from tickhouse.feeds._messages import NotUnderstood

SERIES = (
    "GDP", "realGDP", "nominalPotentialGDP", "realGDPPerCapita", "federalFunds", "CPI", "inflationRate", "inflation",
    "retailSales", "consumerSentiment", "durableGoods", "unemploymentRate", "totalNonfarmPayroll", "initialClaims",
    "industrialProductionTotalIndex", "totalVehicleSales", "retailMoneyFunds", "smoothedUSRecessionProbabilities",
    "30YearFixedRateMortgageAverage", "15YearFixedRateMortgageAverage",
)  # fmt: skip
"""Economic series as FMP writes them, which tells capital letters from small ones."""
_CLASS_THERE = re.compile(r"([A-Z]{1,5})-([A-C])")
_CLASS_HERE = re.compile(r"([A-Z]{1,5})\.([A-C])")
_PAIR_HERE = re.compile(r"([^-]+)-([^-]{3,})")
_IN_DOLLARS = re.compile(r"([A-Z0-9]{3,})USD")


class Names:
    """Both ways between FMP's names and ours: exactly as given or asked for, else by the rules.

    >>> names = Names({"MKC.V": "MKC-V"})
    >>> [names.spelled(one) for one in ("BRK.B", "EUR-USD", "MKC.V", "VOD.L")]
    ['BRK-B', 'EURUSD', 'MKC-V', 'VOD.L']
    >>> [names.of(one) for one in ("BRK-B", "EURUSD", "MKC-V", "1INCHUSD")]
    ['BRK.B', 'EUR-USD', 'MKC.V', '1INCH-USD']
    """

    def __init__(self, spellings: Mapping[str, str]) -> None:
        self._there = {name.upper(): name for name in SERIES} | dict(spellings)
        self._here = {spelling: symbol for symbol, spelling in self._there.items()}

    def learn(self, symbols: Iterable[str]) -> None:
        """Remember symbols that are asked for, so that their spelling is read back as they were written."""
        for symbol in symbols:
            self._here.setdefault(self.spelled(symbol), symbol)

    def spelled(self, symbol: str) -> str:
        """FMP's spelling of a canonical symbol or series."""
        given = self._there.get(symbol)
        if given is not None:
            return given
        share, pair = _CLASS_HERE.fullmatch(symbol), _PAIR_HERE.fullmatch(symbol)
        return f"{share[1]}-{share[2]}" if share else f"{pair[1]}{pair[2]}" if pair else symbol

    def of(self, text: str) -> str:
        """The canonical symbol of FMP's spelling. Raises `NotUnderstood` for a text that cannot be one."""
        return _checked(self._here.get(text) or _by_rule(text), text)

    def series(self, text: str) -> str:
        """The name of an economic series, in capital letters. Raises `NotUnderstood` for a text that cannot be one."""
        return _checked(self._here.get(text) or text.upper(), text)


def read_spellings(given: str | Mapping[str, str]) -> dict[str, str]:
    """The option `spellings`: our name to FMP's. Raises `BadSetting`.

    >>> read_spellings("MKC.V=MKC-V, cdrate=3MonthOr90Day")
    {'MKC.V': 'MKC-V', 'CDRATE': '3MonthOr90Day'}
    """
    if not isinstance(given, str):
        return {canonical(ours): theirs for ours, theirs in given.items()}
    pairs = [text.partition("=") for text in given.replace(",", " ").split()]
    if not all(theirs for _, _, theirs in pairs):
        raise BadSetting("feeds.fmp.spellings", given, "our name and FMP's, such as MKC.V=MKC-V")
    return {canonical(ours): theirs for ours, _, theirs in pairs}


def _by_rule(text: str) -> str:
    share, dollars = _CLASS_THERE.fullmatch(text), _IN_DOLLARS.fullmatch(text)
    if share:
        return f"{share[1]}.{share[2]}"
    if len(text) == 6 and {text[:3], text[3:]} <= CURRENCIES:
        return f"{text[:3]}-{text[3:]}"
    return f"{dollars[1]}-USD" if dollars else text


def _checked(name: str, text: str) -> str:
    if not CANONICAL.fullmatch(name) or not name.isprintable():
        raise NotUnderstood(
            "unknown_symbol", f"{text[:60]!r} cannot be a symbol; the option spellings may give it a name"
        )
    return name
