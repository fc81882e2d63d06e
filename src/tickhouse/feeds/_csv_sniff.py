"""How a file is written, found out from its first lines; what is declared is taken as said."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from tickhouse.core.errors import BadSetting, nearest
from tickhouse.core.kernels.delimited import decimal_reference
from tickhouse.core.kernels.moments import DAY_US, NO_DAY, moment_reference
from tickhouse.core.model import interval_text
from tickhouse.feeds._csv_files import blocks
from tickhouse.feeds._csv_layout import BAR_COLUMNS, TICK_COLUMNS, Layout, named_columns
from tickhouse.feeds._csv_line import Refused, shown, split_line
from tickhouse.feeds._csv_names import WITHOUT_HEADER, columns_of

SAMPLE_BYTES, SAMPLE_LINES = 1 << 16, 200
SEPARATORS = ";\t|,"
DECLARED = (
    "kind", "columns", "separator", "tz", "day_first", "date", "symbol", "interval", "scale", "price", "stamped", "decimal",
    "comment", "source",
)  # fmt: skip
LONGEST_INTERVAL = 28 * DAY_US


def sniff(path: Path | str, **declared: Any) -> Layout:
    """The layout of a file; `declared` are fields of `Layout`, `columns` as a text such as "time,price,,size".

    Found out when not declared: separator, header, columns, kind, decimal comma, the date in the file's name where the times
    have none, the length of the bars. Never guessed: the zone of times, the order of day and month, the symbol, what the price of a
    quote is. Raises `BadSetting` with what is missing.
    """
    for key in declared:
        if key not in DECLARED:
            near = nearest(key, DECLARED)
            raise BadSetting("csv", key, f"one of {', '.join(DECLARED)}{f'; did you mean {near!r}?' if near else ''}")
    path = Path(path)
    sample = Sample.of(path, declared)
    columns, width = sample.columns(declared.get("columns"))
    kind = declared.get("kind") or ("bars" if {"open", "high", "low", "close"} <= set(columns) else "ticks")
    if kind == "ticks" and declared.get("interval"):
        raise BadSetting("interval", declared["interval"], "none, since the file holds ticks and bars are made of them")
    if not declared.get("columns"):
        columns = _of_kind(columns, kind, sample)
    layout = _layout(kind, columns, width, sample, declared)
    layout = _with_date(layout, path, sample)
    _check_times(layout, sample)
    return layout


@dataclass(frozen=True, slots=True)
class Sample:
    """The first lines of a file that are neither empty nor comments; `header` is the first of them if it is one.

    `title` is the text of the comment right above them: some files keep their header in it.
    """

    separator: str
    header: str
    title: str
    lines: list[str]

    @classmethod
    def of(cls, path: Path, declared: Mapping[str, Any]) -> "Sample":
        """The sample of a file. Raises `BadSetting` when there is nothing in it."""
        comment = str(declared.get("comment", "#"))
        every = [line for line in _first_lines(path) if line]
        lines = [line for line in every if not line.startswith(comment)]
        if not lines:
            raise BadSetting("file", path.name, "a file with at least one line")
        separator = str(declared.get("separator") or _separator(lines))
        if len(separator) != 1:
            raise BadSetting("separator", separator, "one plain character")
        headed = _is_header(_fields(lines[0], separator))
        above = every[: every.index(lines[0])]
        title = above[-1].lstrip(comment + " ") if above else ""
        return cls(separator, lines[0] if headed else "", title, lines[1:] if headed else lines)

    def columns(self, given: Any) -> tuple[dict[str, int], int]:
        """The columns by name and how many a line has: declared, from the header, or from a shape that is known."""
        first = _fields(self.header or self.lines[0], self.separator)
        width = len(first) if not self.header else max((i + 1 for i, name in enumerate(first) if name), default=0)
        if isinstance(given, Mapping):
            return dict(given), max(width, *(place + 1 for place in given.values()))
        if given:
            columns, declared = named_columns(str(given))
            return columns, max(width, declared)
        if self.header:
            return columns_of(first), width
        titled = columns_of(_fields(self.title, self.separator))
        if len(_fields(self.title, self.separator)) == width and "time" in titled:
            return titled, width
        for shape, names in WITHOUT_HEADER:
            if re.fullmatch(shape, self.lines[0].replace(self.separator, ",")):
                return named_columns(names)
        raise BadSetting(
            "columns", self.lines[0][:60], "the names of the columns, since the file has no header: time,price,size ..."
        )

    def fields(self, place: int) -> list[str]:
        """The fields of one column."""
        rows = (_fields(line, self.separator) for line in self.lines)
        return [row[place] for row in rows if place < len(row)]


def _first_lines(path: Path) -> list[str]:
    data, offsets, ends = next(blocks(path, SAMPLE_BYTES), (b"", [], []))
    pairs = list(zip(offsets, ends, strict=True))[:SAMPLE_LINES]
    return [bytes(data[a:b]).decode("utf-8", "replace").removeprefix("\ufeff").strip(" \t") for a, b in pairs]


def _separator(lines: Sequence[str]) -> str:
    """The one that cuts all lines alike, and into the most pieces."""

    def pieces(separator: str) -> int:
        counts = {len(_fields(line, separator)) for line in lines[:20]}
        return min(counts) if len(counts) == 1 else 0

    best = max(SEPARATORS, key=pieces)
    if pieces(best) > 1:
        return best
    return max(SEPARATORS, key=lambda separator: len(_fields(lines[0], separator)))


def _fields(line: str, separator: str) -> list[str]:
    try:
        return split_line(line, separator)
    except Refused:
        return line.split(separator)


def _is_header(fields: Sequence[str]) -> bool:
    """Whether a line names columns: it has words, and no number or time."""
    words = any(re.search(r"[A-Za-z]", field) for field in fields)
    values = (decimal_reference(f) is not None or moment_reference(f, None, True, NO_DAY) for f in fields if f)
    return words and not any(values)


def _of_kind(columns: dict[str, int], kind: str, sample: Sample) -> dict[str, int]:
    """The columns that the kind has, with their names for it; ids that are no numbers are left out."""
    known = {"ticks": TICK_COLUMNS, "bars": BAR_COLUMNS}.get(kind, ())
    renamed = {"ticks": {"volume": "size", "close": "price"}, "bars": {"size": "volume"}}.get(kind, {})
    found = dict(columns)
    for name, other in renamed.items():
        if name in found and other not in found:
            found[other] = found.pop(name)
    found = {name: place for name, place in found.items() if name in known}
    if "id" in found and not all(text.isdigit() and len(text) <= 18 for text in sample.fields(found["id"]) if text):
        del found["id"]
    return found


def _layout(kind: str, columns: dict[str, int], width: int, sample: Sample, declared: Mapping[str, Any]) -> Layout:
    values = {
        key: value
        for key, value in declared.items()
        if key not in ("kind", "columns", "separator") and value is not None
    }
    if kind == "ticks" and "price" not in columns and {"bid", "ask"} & set(columns) and "price" not in values:
        raise BadSetting("price", "last", "mid, bid or ask, since the file has quotes and no price")
    values.setdefault("decimal", _decimal_mark(sample, columns))
    if "time" in columns and not declared.get("columns"):
        columns = _with_clock(columns, sample)
    values["scale"] = float(values.get("scale", 1.0))
    layout = {"separator": sample.separator, "header": sample.header, **values}
    if kind == "bars" and not values.get("interval"):
        trial = Layout(kind, columns, width, **{**layout, "interval": "1m"})
        layout["interval"] = _interval(_with_date(trial, Path(), sample), sample)
    return Layout(kind, columns, width, **layout)


def _decimal_mark(sample: Sample, columns: Mapping[str, int]) -> str:
    """A comma where it is the last mark in prices, as in 1.271,50."""
    if sample.separator == ",":
        return "."
    names = {"price", "bid", "ask", "open", "high", "low", "close"} & set(columns)
    texts = [text for name in names for text in sample.fields(columns[name])]
    last = {match[1] for text in texts if (match := re.fullmatch(r"[+-]?[\d.,]*([.,])\d*", text))}
    return "," if last == {","} else "."


def _with_clock(columns: dict[str, int], sample: Sample) -> dict[str, int]:
    """Date and time of day in two columns, where the header has both."""
    day, clock = columns.get("time"), _named(sample, "time")
    if day is None or clock is None or clock == day:
        return columns
    pairs = list(zip(sample.fields(day), sample.fields(clock), strict=False))
    paired = all(any(moment_reference(*pair, first, NO_DAY) for first in (False, True)) for pair in pairs)
    return {**columns, "clock": clock} if paired else columns


def _named(sample: Sample, name: str) -> int | None:
    names = [re.sub(r"[<>\" ]", "", field).lower() for field in _fields(sample.header, sample.separator)]
    return names.index(name) if name in names else None


def _with_date(layout: Layout, path: Path, sample: Sample) -> Layout:
    """The date in the file's name, where times are times of day."""
    texts = [text for text in sample.fields(layout.columns["time"])[:20] if text]
    if (
        layout.date
        or "clock" in layout.columns
        or any(moment_reference(t, None, layout.day_first, NO_DAY) for t in texts)
    ):
        return layout
    if not texts or not all(moment_reference(text, None, False, 0) for text in texts):
        return layout
    match = re.search(r"(?<!\d)(\d{4})[-_.]?(\d\d)[-_.]?(\d\d)(?!\d)", path.name)
    if not match:
        if path == Path():
            return replace(layout, date="1970-01-01")
        raise BadSetting(
            "date", "", f"the day of the file's times, which are such as {shown(texts[0])}; its name has none"
        )
    return replace(layout, date="-".join(match.groups()))


def _check_times(layout: Layout, sample: Sample) -> None:
    """Refuse an order of day and month with which no line has a time, when the other order fits."""
    if layout.day_first:
        return
    texts = sample.fields(layout.columns["time"])
    clocks: list[str | None] = (
        [*sample.fields(layout.columns["clock"])] if "clock" in layout.columns else [None] * len(texts)
    )
    pairs = [pair for pair in zip(texts, clocks, strict=False) if pair[0]]
    wrong = [text for text, clock in pairs if not moment_reference(text, clock, False, layout.day_us)]
    if wrong and all(moment_reference(*pair, True, layout.day_us) for pair in pairs):
        raise BadSetting("day_first", False, f"true, since {shown(wrong[0])} has no such month")


def _interval(layout: Layout, sample: Sample) -> str:
    """The length of the bars: the smallest step between the times of one symbol."""
    times: dict[str, list[int]] = {}
    places = [layout.columns.get(name) for name in ("symbol", "time", "clock")]
    for fields in (_fields(line, sample.separator) for line in sample.lines):
        symbol, time, clock = (
            None if place is None else fields[place] if place < len(fields) else "" for place in places
        )
        found = moment_reference(time or "", clock, layout.day_first, layout.day_us)
        if found:
            times.setdefault(symbol or "", []).append(found[0])
    steps = [b - a for own in times.values() for a, b in pairwise(sorted(set(own)))]
    if not steps or min(steps) % 1_000_000 or min(steps) >= LONGEST_INTERVAL:
        raise BadSetting("interval", "", "the length of the bars, such as 1m or 1d, since the file does not show it")
    return interval_text(min(steps))
