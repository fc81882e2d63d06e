"""`tickhouse journal`: what is in the log and who is how far, in a file and on Kafka alike."""

import json

import pytest

from tests import kafka


@pytest.fixture(params=["file", "kafka"])
def options(request, th, tmp_path):
    """A house with three trades, named as commands are told it."""
    tape = tmp_path / "AAPL.csv"
    tape.write_text(
        "time,price,size\n2026-11-20T14:30:00Z,10,1\n2026-11-20T14:30:01Z,11,2\n2026-11-20T14:31:30Z,12,3\n"
    )
    if request.param == "file":
        named = ("--data", tmp_path / "house")
        assert th("load", tape, "--symbol", "AAPL", *named).status == 0
        yield named
        return
    with kafka.prefix(request.getfixturevalue("kafka_url")) as url:
        config = tmp_path / "tickhouse.toml"
        config.write_text(f'data = "house"\n[journal]\nurl = "{url}"\n')
        said = th("load", tape, "--symbol", "AAPL", "--config", config)
        assert said.status == 0, said.err
        yield ("--config", config)


def facts(said):
    assert said.status == 0, said.err
    return json.loads(said.out)


def test_create_says_that_nothing_is_lacking_and_topics_tell_their_ends(th, options):
    assert facts(th("journal", "create", "--json", *options))["made"] == []
    assert "lacks nothing" in th("journal", "create", *options).out
    rows = facts(th("journal", "topics", "--json", *options))
    ends = {row["topic"].rpartition(".")[2]: row["end"] for row in rows}
    assert ends["raw"] >= 3 if "raw" in ends else ends["csv"] >= 3
    assert all(row["begin"] == 0 for row in rows)


def test_tail_gives_messages_and_ticks_as_lines_of_json(th, options):
    said = th("journal", "tail", "--last", 10, *options)
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert [row["position"] for row in rows] == list(range(len(rows)))
    assert "2026-11-20T14:30:01Z,11,2" in [row["message"] for row in rows]
    said = th("journal", "tail", "--topic", "ticks", *options)
    ticks = [json.loads(line) for line in said.out.splitlines()]
    assert [(row["symbol"], row["price"]) for row in ticks] == [("AAPL", 10.0), ("AAPL", 11.0), ("AAPL", 12.0)]
    assert th("journal", "tail", "--topic", "bars", *options).status == 2


def test_lag_and_reset(th, options):
    rows = facts(th("journal", "lag", "--json", *options))
    published = {"publish": 0} if options[0] == "--config" else {}
    assert {row["group"]: row["behind"] for row in rows} == {"archive": 0, "process": 0} | published
    said = th("journal", "reset", "archive", "--to", "begin", *options)
    assert said.status == 0 and "position 0" in said.err
    (row,) = [row for row in facts(th("journal", "lag", "--json", *options)) if row["group"] == "archive"]
    assert row["position"] == 0 and row["behind"] == row["end"] > 3
    for wrong in (("archive", "--to", "999"), ("archive", "--to", "soon"), ("nobody",)):
        assert th("journal", "reset", *wrong, *options).status == 2
    assert "archive" in th("journal", "reset", "nobody", *options).err


def test_a_house_on_kafka_is_verified_and_diagnosed_and_not_copied(th, options, tmp_path):
    if options[0] == "--data":
        pytest.skip("the other tests of commands do this for a house of files")
    assert "everything is as it was written" in th("verify", *options).out
    status = facts(th("status", "--json", *options))
    assert status["journal"]["behind"] == {"archive": 0, "process": 0}
    assert "ok     journal: next position" in th("doctor", *options).out
    said = th("backup", tmp_path / "copy", *options)
    assert said.status == 2 and "own tools" in said.err
