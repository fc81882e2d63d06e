"""What cannot be done is one sentence on standard error and an exit status that says whose turn it is; nothing is made."""

import socket

import pytest

ASKS = (
    "bars AAPL", "ticks AAPL", "indicators AAPL", "anomalies", "coverage", "quality", "symbols", "trace AAPL 2026-01-01", "status",
    "sql 'select'", "verify", "quarantine list", "quarantine show 5", "quarantine replay", "db upgrade", "backup copy",
    "replay --into copy",
)  # fmt: skip


@pytest.mark.parametrize("there", [False, True], ids=["missing", "another folder"])
@pytest.mark.parametrize("command", ASKS)
def test_a_command_that_reads_or_repairs_makes_no_house(th, elsewhere, command, there):
    folder = elsewhere / "typo"
    if there:
        folder.mkdir()
        (folder / "letter.txt").write_text("mine")
    said = th(*command.split(), "--data", folder)
    assert said.status == 2 and said.out == ""
    assert len(said.err.splitlines()) == 1 and "house" in said.err and str(folder) in said.err
    assert [path.name for path in elsewhere.rglob("*")] == (["typo", "letter.txt"] if there else [])


def test_the_doctor_says_that_there_is_no_house_yet_and_makes_none(th, elsewhere):
    (elsewhere / "tickhouse.toml").write_text("feeds = {}\n")
    said = th("doctor", "--data", "typo")
    assert said.status == 0 and "none   house: there is no house in typo yet" in said.out
    assert [path.name for path in elsewhere.iterdir()] == ["tickhouse.toml"]


@pytest.mark.parametrize("command", ["up --for 1s", "run process --for 1s", "load trades.csv", "bars AAPL"])
@pytest.mark.parametrize("journal", ["", "memory://"], ids=["sqlite", "memory"])
def test_ticks_that_cannot_be_shared_are_told_before_a_house_is_made(th, elsewhere, command, journal):
    places = f'[journal]\nurl = "{journal}"\n' if journal else ""
    (elsewhere / "tickhouse.toml").write_text(f"{places}[process]\nshared = true\n")
    said = th(*command.split(), "--data", "new")
    assert said.status == 2 and said.out == ""
    assert said.err.startswith("tickhouse: process.shared: got True, expected false, or a journal"), said.err
    assert [path.name for path in elsewhere.iterdir()] == ["tickhouse.toml"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("replay --speed fast --into again --data house", "--speed: got 'fast', expected max, or a number above 0"),
        ("replay --speed 0 --into again --data house", "--speed"),
        ("replay --speed nan --into again --data house", "--speed"),
        ("load trades.csv --data trades.csv", "data: got 'trades.csv', expected a folder"),
        ("load trades.csv --data /proc/none", "data: got '/proc/none', expected a folder"),
        ("backup trades.csv --data house", "trades.csv"),
        ("backup /proc/none --data house", "/proc/none"),
        ("backup house/inside --data house", "outside of the house"),
        ("load trades.csv --conditions nope --data new", "--conditions: got 'nope', expected one of us-equities"),
        ("load trades.csv --separator ab --data new", "separator: got 'ab', expected one plain character"),
        ("init /proc/none", "/proc/none"),
        ("init trades.csv", "trades.csv"),
        ("bars AAPL --data house --format parquette", "--format"),
        ("up --for 1s --data trades.csv", "data: got 'trades.csv'"),
    ],
)
def test_a_place_that_cannot_be_used_is_one_sentence(th, house, command, said):
    answer = th(*command.split())
    assert answer.status == 2
    assert said in answer.err and answer.err.startswith("tickhouse: ") and len(answer.err.splitlines()) == 1


@pytest.mark.parametrize("command", ["exchange --port 70000", "demo --port 65536", "up --port 70000"])
def test_a_port_is_a_port(th, command):
    said = th(*command.split())
    assert said.status == 2 and "65535" in said.err and "Traceback" not in said.err


def test_what_data_hold_is_shown_and_never_read_as_markup(th, house):
    assert th("sql", "select '[/b]' as a, '[red]x' as b", "--data", house).out.split() == ["a", "b", "[/b]", "[red]x"]
    assert "[red]x" in th("quarantine", "list", "--data", house).out


@pytest.mark.slow
def test_settings_that_do_not_fit_are_told_before_a_file_is_taken_in(th, house, elsewhere):
    (house / "tickhouse.toml").write_text('process.intervals = ["1m", "15m"]\n')
    before = th("sql", "select count(*) from ledger", "--data", house).out
    (elsewhere / "more.csv").write_text("time,symbol,price,size\n2026-01-02T00:00:00Z,AAPL,10,1\n")
    said = th("load", "more.csv", "--data", house)
    assert said.status == 2 and "intervals" in said.err and len(said.err.splitlines()) == 1
    (house / "tickhouse.toml").unlink()
    assert th("sql", "select count(*) from ledger", "--data", house).out == before
    assert "1 parsed" in th("load", "more.csv", "--data", house).err


def test_csv_has_lists_objects_and_bytes_as_json(th, house):
    said = th(
        "sql",
        "select [1, 2] as a, {'b': 'x'} as c, 'ab'::blob as d, null::int[] as e",
        "--format",
        "csv",
        "--data",
        house,
    )
    assert said.out.splitlines() == ["a,c,d,e", '"[1,2]","{""b"":""x""}",YWI=,']


@pytest.mark.parametrize("command", ["bars AAPL --last 99999999999999999999", "quarantine show 99999999999999999999"])
def test_a_number_that_no_house_has_is_told(th, house, command):
    said = th(*command.split(), "--data", house)
    assert said.status == 2 and "Invalid value" in said.err


def test_the_version_is_told(th):
    from tickhouse import __version__

    assert th("--version").out == f"tickhouse {__version__}\n"


@pytest.mark.slow
def test_a_taken_port_of_the_demo_is_told(th):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = th("demo", "--for", "1s", "--port", port, "--symbols", 2)
    assert said.status == 0 and f"port {port} is taken" in said.err
    assert "of the time before" in said.out
