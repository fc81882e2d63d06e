"""Mute symbols are subscribed anew, less and less often while they stay silent."""

from tickhouse.core.batches import TickBatch
from tickhouse.core.marks import Event, Mark
from tickhouse.quality._suite import Suite
from tickhouse.steps.renew import AT_ONCE, Renew

SECOND = 1_000_000


class Lines:
    """Notes who is renewed; may be down."""

    def __init__(self) -> None:
        self.renewed: list[str] = []
        self.up = True

    def __call__(self, symbol: str) -> bool:
        self.renewed += [symbol] * self.up
        return self.up


def made(*symbols: str, at: int = 100) -> tuple[Renew, Lines, Suite]:
    suite, lines = Suite.from_names(["staleness"], {"stale_after": 10.0}), Lines()
    hear(suite, at, *symbols)
    return Renew(suite, lines), lines, suite


def hear(suite: Suite, at: int, *symbols: str) -> None:
    suite.ticks(
        TickBatch.of("s", [{"symbol": s, "event_time": at * SECOND, "price": 1.0, "size": 1.0} for s in symbols])
    )


def connect(suite: Suite, at: int, *symbols: str) -> None:
    suite.marks("s", [Mark(Event.CONNECTED, at * SECOND, "line", "trade", symbols)])


def look(renew: Renew, at: int) -> None:
    renew.step(renew.due(at * SECOND), at * SECOND)


def test_only_who_is_silent_is_renewed():
    renew, lines, suite = made("A", "B")
    hear(suite, 108, "B")
    look(renew, 112)
    assert lines.renewed == ["A"] and renew.renewed == 1


def test_who_stays_silent_is_renewed_less_and_less_often_and_begins_anew_when_heard():
    renew, lines, suite = made("A")
    times = []
    for at in range(100, 300):
        before = len(lines.renewed)
        look(renew, at)
        times += [at] * (len(lines.renewed) - before)
    assert times == [111, 131, 171, 251]
    hear(suite, 300, "A")
    look(renew, 305)
    look(renew, 311)
    assert len(lines.renewed) == 5


def test_few_are_renewed_at_once_and_each_gets_a_turn():
    renew, lines, _ = made(*"ABCDE")
    for at in (111, 112, 113):
        look(renew, at)
    assert sorted(lines.renewed) == list("ABCDE") and AT_ONCE == 2


def test_a_line_that_is_down_is_asked_again():
    renew, lines, _ = made("A")
    lines.up = False
    look(renew, 111)
    lines.up = True
    look(renew, 112)
    assert lines.renewed == ["A"]


def test_who_is_not_asked_for_any_more_is_left_alone_and_who_is_mute_is_not():
    for event, renewed in ((Event.DISCONNECTED, []), (Event.MUTE, ["A"])):
        renew, lines, suite = made("A")
        connect(suite, 100, "A")
        suite.marks("s", [Mark(event, 101 * SECOND, "s-idle", "trade", ("A",))])
        look(renew, 150)
        assert lines.renewed == renewed


def test_lines_that_cannot_do_not_take_the_turns_of_those_that_can():
    renew, lines, _ = made("A", "B", "C")
    renew.again = lambda symbol: symbol == "C" and lines(symbol)
    look(renew, 111)
    assert lines.renewed == ["C"]


def test_who_never_said_a_word_is_renewed_as_others_are_but_not_for_ever():
    renew, lines, suite = made()
    connect(suite, 100, "A", "B")
    times = []
    for at in range(100, 100 + 40 * 60):
        hear(suite, at, "B")
        before = len(lines.renewed)
        look(renew, at)
        times += [at - 101] * (len(lines.renewed) - before)
    assert times == [10 * n for n in (1, 3, 7, 15, 31, 63, 127)] and set(lines.renewed) == {"A"}
    connect(suite, 3000, "A", "B")
    look(renew, 3005)
    assert len(lines.renewed) == 7
    look(renew, 3011)
    assert lines.renewed[7] == "A"


def test_a_line_that_connects_anew_is_given_time_before_its_symbols_are_silent():
    renew, lines, suite = made("A")
    connect(suite, 500, "A")
    look(renew, 505)
    assert not lines.renewed
    look(renew, 511)
    assert lines.renewed == ["A"]
