"""Commands that look after a house: what verify finds, and what programs are told."""

import json
import shlex
import sqlite3

import pytest


def facts(said):
    assert said.status == 0, said.err
    return json.loads(said.out)


def test_a_whole_house_is_as_it_was_written(th, house):
    answer = facts(th("verify", "--json", "--data", house))
    assert answer["faults"] == [] and answer["rows"] > 10 and answer["records"] > 0
    assert "everything is as it was written" in th("verify", "--data", house).out


def test_a_damaged_checkpoint_of_the_warm_store_is_found(th, house):
    with sqlite3.connect(house / "warm.db") as warm:
        warm.execute(
            "update checkpoints set state = cast(substr(state, 1, 200) || x'ff' || substr(state, 202) as blob)"
        )
    warm.close()
    said = th("verify", "--json", "--data", house)
    (fault,) = json.loads(said.out)["faults"]
    assert said.status == 1 and "state of the engine cannot be read" in fault


def test_damage_in_the_file_of_the_warm_store_is_found(th, house):
    with sqlite3.connect(house / "warm.db") as warm:
        (page,) = warm.execute("select rootpage from sqlite_master where name = 'bars'").fetchone()
        (size,) = warm.execute("pragma page_size").fetchone()
        warm.execute("pragma wal_checkpoint(truncate)")
    warm.close()
    with (house / "warm.db").open("r+b") as file:
        file.seek((page - 1) * size + size - 40)
        file.write(b"\xff" * 40)
    said = th("verify", "--json", "--data", house)
    faults = json.loads(said.out)["faults"]
    assert said.status == 1 and faults and all("warm store" in fault for fault in faults)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("bars AAPL", lambda rows: [row["close"] for row in rows] == [12, 11]),
        ("ticks AAPL", lambda rows: len(rows) == 3),
        ("indicators AAPL", lambda rows: all("values" in row for row in rows)),
        ("anomalies", lambda rows: rows == []),
        ("coverage", lambda rows: rows[0]["symbol"] == "AAPL"),
        ("quality", lambda rows: isinstance(rows, list)),
        ("symbols", lambda rows: [row["symbol"] for row in rows] == ["AAPL"]),
        ("sql 'select 1 as n'", lambda rows: rows == [{"n": 1}]),
        ("db upgrade", lambda answer: answer["version"]),
        ("backup copy", lambda answer: answer["files"] > 2 and answer["bytes"] > 0),
        ("init", lambda answer: answer == ["tickhouse.toml", ".env.example"]),
        ("init --data house", lambda answer: answer == ["house/tickhouse.toml", "house/.env.example"]),
        ("status", lambda answer: answer["ledger"]["csv"]["balanced"] is True),
    ],
)
def test_a_program_gets_json_from_every_command(th, house, command, expected):
    words = shlex.split(command)
    where = [] if words[0] == "init" else ["--data", house]
    assert expected(facts(th(*words, "--json", *where)))


def test_a_house_that_is_processed_is_not_behind(th, house):
    answer = facts(th("status", "--json", "--data", house))
    assert answer["journal"]["behind"]["process"] == 0
    said = th("status", "--data", house).out
    assert "process: 0 messages behind" in said and "archive: 0 messages wait for their object" in said


def test_trace_tells_times_as_times(th, house):
    answer = facts(th("trace", "AAPL", "2026-01-01T00:00", "--json", "--data", house))
    assert answer["raw"]["shown"] == 2
    assert all(message["received_at"].endswith("Z") for message in answer["raw"]["messages"])
    text = th("trace", "AAPL", "2026-01-01T00:00", "--data", house).out
    assert "coverage live from 2026-01-01 00:00:00 to 2026-01-01 00:0" in text
    assert th("trace", "AAPL", "2026-01-01T00:00", "--limit", -1, "--data", house).status == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--scale", "0"), "--scale: got 0.0, expected a number above 0"),
        (("--interval", "7x"), "--interval: got '7x', expected none"),
        (("--interval", "1m"), "--interval: got '1m', expected none, since the file holds ticks"),
    ],
)
def test_an_option_of_a_load_that_cannot_be_is_not_passed_over(th, house, options, said):
    answer = th("load", "trades.csv", "--again", "--data", house, *options)
    assert answer.status == 2 and said in answer.err and answer.err.count("\n") == 1


def test_columns_to_skip_may_be_empty_or_a_dash(th, elsewhere):
    (elsewhere / "a.csv").write_text("2026-01-01T00:00:00Z,x,10,1\n2026-01-01T00:00:31Z,y,12,2\n")
    for columns in ("time,,price,size", "time,-,price,size"):
        said = th("load", "a.csv", "--columns", columns, "--symbol", "AAPL", "--again", "--json", "--data", "house")
        assert json.loads(said.out)[0]["rows"] == 2, said.err
