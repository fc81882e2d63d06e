"""The kernels of delimited text agree with their references on every field, whole or broken."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tickhouse.core.kernels import delimited, moments
from tickhouse.core.kernels.moments import NO_DAY, moment_reference

NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(0, 1e7).map(str),
    st.integers(-(10**20), 10**20).map(str),
    st.integers(0, 10**12).map("{:,}".format),
    st.decimals(0, 10**6, places=8).map(str),
    st.from_regex(r"[+-]?\d{0,4}(,\d{2,4})?([.,]\d{0,25})?([eE][+-]?\d{0,4})?", fullmatch=True),
    st.text("0123456789.,eE+- x", max_size=12),
)


@given(st.lists(NUMBERS, min_size=1, max_size=20), st.sampled_from([".", ","]))
@settings(max_examples=tried(300), deadline=None)
@example(
    [
        "1,2345",
        "1,234,567.5",
        ",123",
        "1,23",
        "1234,567",
        "5.",
        ".5",
        ".",
        "",
        "1e400",
        "0.30000000000000004",
        "9007199254740993",
    ],
    ".",
)
@example(["1.234,5", "0,1", "1.23", "+1e+5"], ",")
def test_decimals_are_correctly_rounded_or_refused(texts: list[str], point: str) -> None:
    data, begin, stop = laid_out(texts)
    values, state = delimited.decimals(data, begin, stop, point.encode())
    for text, value, verdict in zip(texts, values.tolist(), state.tolist(), strict=True):
        expected = delimited.decimal_reference(text, point)
        if not text:
            assert verdict == delimited.EMPTY
        elif expected is None:
            assert verdict == delimited.REFUSED, text
        else:
            assert verdict == delimited.TAKEN, text
            assert repr(value) == repr(expected), text


@given(
    st.lists(
        st.one_of(st.integers(-10, 10**20).map(str), st.text("0123456789a. ", max_size=21)), min_size=1, max_size=20
    )
)
@settings(max_examples=tried(100), deadline=None)
def test_integers_have_at_most_18_digits(texts: list[str]) -> None:
    data, begin, stop = laid_out(texts)
    values, state = delimited.integers(data, begin, stop)
    for text, value, verdict in zip(texts, values.tolist(), state.tolist(), strict=True):
        plain = text.isascii() and text.isdigit() and len(text) <= 18
        assert verdict == (delimited.TAKEN if plain else delimited.REFUSED if text else delimited.EMPTY)
        assert value == (int(text) if plain else -1)


TWO = st.integers(0, 99).map("{:02d}".format)
DATES = st.one_of(
    st.dates().map(str),
    st.dates().map(lambda d: d.strftime("%Y%m%d")),
    st.builds("{}/{}/{}".format, TWO, TWO, st.integers(1890, 2210)),
    st.builds("{}.{}.{}".format, st.integers(1, 32), st.integers(1, 13), st.integers(1890, 2210)),
    st.builds("{}{}{}{}{}".format, st.integers(1990, 2030), st.sampled_from("-/."), TWO, st.sampled_from("-/."), TWO),
)
CLOCKS = st.one_of(
    st.times().map(str),
    st.builds("{}:{}".format, st.integers(0, 25), TWO),
    st.builds("{}:{}:{}.{}".format, TWO, TWO, TWO, st.integers(0, 10**10)),
    st.integers(0, 10**13).map(str),
    st.integers(0, 235959).map("{:06d}".format),
    st.builds("{:06d}.{}".format, st.integers(0, 235959), st.integers(0, 999)),
)
ZONES = st.sampled_from(
    ["", "", "Z", "z", " UTC", "gmt", "+01:00", "-0530", " +09", "+24:00", "-00:60", "+1", " EST", "+01:0"]
)
TIMES = st.one_of(
    st.builds("{}{}{}{}".format, DATES, st.sampled_from(["T", " ", "  ", "t", "", ","]), CLOCKS, ZONES),
    DATES,
    st.integers(0, 10**20).map(str),
    st.integers(8, 19).flatmap(lambda n: st.integers(10 ** (n - 1), 10**n - 1)).map(str),
    st.builds("{}.{}".format, st.integers(0, 10**14), st.integers(0, 10**10)),
    st.datetimes().map(lambda d: d.strftime("%Y%m%d%H%M%S%f")[:17]),
    st.datetimes().map(lambda d: d.strftime("%Y%m%d %H%M%S%f")[:18]),
    CLOCKS,
    st.text("0123456789-:./TZ +", max_size=26),
)


@given(
    st.lists(TIMES, min_size=1, max_size=20), st.booleans(), st.sampled_from([NO_DAY, NO_DAY, 86_400_000_000 * 16_000])
)
@settings(max_examples=tried(400), deadline=None)
@example(
    [
        "2020-02-29",
        "2019-02-29",
        "2000-02-29",
        "1900-02-29",
        "20200101 170000065",
        "201301010930",
        "101301010930",
        "1582329602111",
    ],
    False,
    NO_DAY,
)
@example(["14400688", "86400000", "86399999", "09:30", "9:30:00.123456789", "0930", "20200101"], False, 0)
def test_times_equal_the_reference(texts: list[str], day_first: bool, day: int) -> None:
    data, begin, stop = laid_out(texts)
    values, local, state = moments.moments(data, (begin, stop), None, day_first, day)
    for text, *got, verdict in zip(texts, values.tolist(), local.tolist(), state.tolist(), strict=True):
        check(text, got, verdict, moment_reference(text, None, day_first, day) if text else None)


@given(
    st.lists(st.tuples(st.one_of(DATES, TIMES), st.one_of(CLOCKS, TIMES, st.just(""))), min_size=1, max_size=10),
    st.booleans(),
)
@settings(max_examples=tried(200), deadline=None)
@example([("2020.01.02", "93000"), ("1/2/2020", "16:00"), ("20200102", "220000"), ("20200102 10:00", "10:00")], True)
def test_times_in_two_columns_equal_the_reference(pairs: list[tuple[str, str]], day_first: bool) -> None:
    data, begin, stop = laid_out([text for pair in pairs for text in pair])
    fields = (begin[::2], stop[::2]), (begin[1::2], stop[1::2])
    values, local, state = moments.moments(data, *fields, day_first, NO_DAY)
    for (text, clock), *got, verdict in zip(pairs, values.tolist(), local.tolist(), state.tolist(), strict=True):
        check(text, got, verdict, moment_reference(text, clock, day_first, NO_DAY) if text else None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T14:31:00.5Z", 1795185060500000),
        ("2026-11-20 14:31:00.5+01:00", 1795181460500000),
        ("1795185060", 1795185060000000),
        ("1795185060500", 1795185060500000),
        ("1795185060500001", 1795185060500001),
        ("1795185060500001999", 1795185060500001),
        ("1795185060.25", 1795185060250000),
        ("20261120143100", 1795185060000000),
        ("20261120 143100500", 1795185060500000),
        ("11/20/2026 14:31", 1795185060000000),
        ("20.11.2026 14:31", 1795185060000000),
        ("2026/11/20", 1795132800000000),
        ("1900-01-01", -2208988800000000),
    ],
)
def test_times_as_people_write_them(text: str, expected: int) -> None:
    data, begin, stop = laid_out([text])
    values, _, state = moments.moments(data, (begin, stop), None, False, NO_DAY)
    assert (values[0], state[0]) == (expected, delimited.TAKEN)


def check(text: str, got: list[int], verdict: int, expected: tuple[int, bool] | None) -> None:
    if not text:
        assert verdict == delimited.EMPTY
    elif expected is None:
        assert verdict == delimited.REFUSED, text
    else:
        assert (verdict, got) == (delimited.TAKEN, [expected[0], int(expected[1])]), text


def laid_out(texts: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The fields one behind the other, with other digits around them."""
    raw = [text.encode() for text in texts]
    data = np.frombuffer(b"7" + b"7".join(raw) + b"777", np.uint8)
    lengths = np.array([len(text) for text in raw])
    begin = 1 + np.cumsum(np.append(0, lengths[:-1] + 1))
    return data, begin, begin + lengths
