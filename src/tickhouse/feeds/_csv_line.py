"""One line read strictly: what the kernels do not take is taken here, or refused with a reason."""

import csv
import re
from dataclasses import dataclass
from datetime import datetime

from tickhouse.core.errors import BadSetting
from tickhouse.core.kernels.delimited import decimal_reference
from tickhouse.core.kernels.moments import moment_reference
from tickhouse.core.symbols import canonical
from tickhouse.feeds._csv_layout import NUMBERS, OPTIONAL, PRICES, TEXTS, WHOLE, Layout

SHOWN = 60
"""How much of a field a message shows."""
_OTHER_GROUPS = re.compile(r"(?<=\d)['\u00a0 ](?=\d{3})", re.ASCII)
"""Other marks between groups of thousands than a comma or a point."""
_AM_PM = re.compile(r"(.*?)(\d{1,2}):(\d\d)(?::(\d\d))? *([AaPp])\.?[Mm]\.?", re.ASCII)
_WORDS = re.compile(r"([\d -]*[A-Za-z]{3}[A-Za-z ,\d-]*?\d{2,4})(?:[ T]+(\d{1,2}:.*))?", re.ASCII)
_MONTH_NAMES = ("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d-%b-%y", "%d %B %Y", "%B %d, %Y")


@dataclass(frozen=True, slots=True)
class Row:
    """The values of one line by column name: floats, integers, texts. `time` is microseconds, local when `local`."""

    time: int
    local: bool
    values: dict[str, float]
    integers: dict[str, int]
    texts: dict[str, str]


class Refused(Exception):
    """A line that is not taken: a short word and one sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(detail)


def decoded(line: bytes) -> str:
    """The text of a line; bytes that are no UTF-8 stay as surrogates, which no column takes."""
    return line.decode("utf-8", "surrogateescape")


def is_control(text: str, layout: Layout) -> bool:
    """Whether a line carries no row by its nature: empty, a comment, or the header once more."""
    plain = text.removeprefix("\ufeff").strip(" \t")
    return not plain or plain.startswith(layout.comment) or bool(layout.header and plain == layout.header)


def read_line(text: str, layout: Layout) -> Row:
    """The row of one line that is not control. Raises `Refused`."""
    fields = split_line(text, layout.separator)
    if len(fields) < layout.width or any(fields[layout.width :]):
        raise Refused("columns", f"the line has {len(fields)} columns, {layout.width} are expected")
    named = {name: fields[place] for name, place in layout.columns.items()}
    time, local = _moment(named, layout)
    floats = {name: _decimal(name, text, layout) for name, text in named.items() if name in NUMBERS}
    integers = {name: _integer(name, text) for name, text in named.items() if name in WHOLE}
    for name in TEXTS & named.keys():
        if not named[name].isprintable():
            raise Refused("encoding", f"{name}: got {shown(named[name])}, expected a text in UTF-8")
    texts = {"symbol": _symbol(named.get("symbol", ""), layout)}
    if "conditions" in named:
        texts["conditions"] = named["conditions"]
    return Row(time, local, floats, integers, texts)


def split_line(text: str, separator: str) -> list[str]:
    """The fields of a line, without the spaces around them. Raises `Refused`."""
    blanks = " " if separator == "\t" else " \t"
    try:
        parsed = list(
            csv.reader([text.removeprefix("\ufeff")], delimiter=separator, skipinitialspace=True, strict=True)
        )
    except csv.Error as error:
        raise Refused("quotes", f"the line is not well quoted: {error}") from None
    return [field.strip(blanks) for field in parsed[0]] if parsed else []


def _moment(named: dict[str, str], layout: Layout) -> tuple[int, bool]:
    text, clock = named["time"], named.get("clock")
    found = moment_reference(text, clock, layout.day_first, layout.day_us) or _rarer(text, clock, layout)
    if found is None:
        raise Refused(
            "time", f"time: got {shown(text if clock is None else f'{text} {clock}')}, expected a {_hint(layout)}"
        )
    return found


def _hint(layout: Layout) -> str:
    if layout.date:
        return "time of day, or milliseconds since midnight"
    return f"date and time, the {'day' if layout.day_first else 'month'} first where the year is last"


def _rarer(text: str, clock: str | None, layout: Layout) -> tuple[int, bool] | None:
    """Times with AM and PM, and dates with the names of months."""
    if clock is None:
        whole, clock = _day_by_name(_twelve_hours(text)), None
    else:
        whole, clock = _day_by_name(text), _twelve_hours(clock)
    return moment_reference(whole, clock, layout.day_first, layout.day_us)


def _twelve_hours(text: str) -> str:
    """`2:31 PM` as `14:31:00`; other texts as they are."""
    match = _AM_PM.fullmatch(text)
    if not match or not 1 <= int(match[2]) <= 12:
        return text
    hours = int(match[2]) % 12 + (12 if match[5] in "pP" else 0)
    return f"{match[1]}{hours:02d}:{match[3]}:{match[4] or '00'}"


def _day_by_name(text: str) -> str:
    """`20-Nov-2026 14:31` as `2026-11-20 14:31`; other texts as they are."""
    match = _WORDS.fullmatch(text)
    for form in _MONTH_NAMES if match else ():
        try:
            day = datetime.strptime(match[1] if match else "", form).date()
        except ValueError:
            continue
        return f"{day.isoformat()} {match[2]}" if match and match[2] else day.isoformat()
    return text


def _decimal(name: str, text: str, layout: Layout) -> float:
    value = decimal_reference(_OTHER_GROUPS.sub("", text), layout.decimal)
    if value is None:
        if not text and name in OPTIONAL:
            return float("nan")
        raise Refused("price" if name in PRICES else "number", f"{name}: got {shown(text)}, expected a number")
    return value


def _integer(name: str, text: str) -> int:
    if not text:
        return -1
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Refused("number", f"{name}: got {shown(text)}, expected a whole number")
    return int(text)


def _symbol(text: str, layout: Layout) -> str:
    if not text and layout.symbol:
        return layout.symbol
    try:
        return canonical(text)
    except BadSetting:
        raise Refused("symbol", f"symbol: got {shown(text)}, expected a symbol such as AAPL or BTC-USD") from None


def shown(text: str) -> str:
    """A field as a message shows it: quoted, and cut when it is long."""
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")
