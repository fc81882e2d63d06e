"""The commands on a house whose warm store is on a PostgreSQL server: they work, and no password is seen."""

import json
import shutil

import pytest

from tests.cli.inside import good, run
from tests.stores import databases
from tickhouse.stores._tables import HEAD


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """The options that name a house of one small file, and its folder."""
    folder = tmp_path_factory.mktemp("postgres")
    with databases.empty() as url:
        (folder / "tickhouse.toml").write_text(f'[warm]\nurl = "{url}"\n')
        lines = [f"2026-01-01T00:{m:02}:{s:02}Z,{10 + s},1" for m in range(5) for s in range(60)]
        (folder / "a.csv").write_text("time,price,size\n" + "\n".join(lines) + "\n")
        where = ("--data", folder / "house", "--config", folder / "tickhouse.toml")
        before = run("doctor", *where)
        assert "warm store: answers, and has no tables yet" in before.stdout
        good("load", folder / "a.csv", "--symbol", "AAPL", *where)
        yield where, folder, url


def test_bars_status_trace_upgrade_and_verify_answer(house):
    where, _, _ = house
    bars = json.loads(good("bars", "AAPL", "--json", *where))
    assert [bar["trades"] for bar in bars if bar["interval"] == "1m"] == [60] * 5
    assert json.loads(good("status", "--json", *where))["ledger"]["csv"]["balanced"]
    assert json.loads(good("trace", "AAPL", "2026-01-01T00:01", "--json", *where))["ticks"] == 60
    assert HEAD in good("db", "upgrade", *where)
    assert json.loads(good("verify", "--json", *where))["faults"] == []
    assert f"tables at {HEAD}" in run("doctor", *where).stdout


def test_no_command_shows_the_password(house):
    from sqlalchemy.engine import make_url

    where, folder, url = house
    secret = make_url(url).password
    assert secret
    for words in (["status"], ["status", "--json"], ["doctor"], ["verify"], ["symbols"], ["feeds"]):
        done = run(*words, *where)
        assert secret not in done.stdout + done.stderr, words
    done = run("replay", "--into", folder / "again", *where)
    assert done.returncode == 2 and "a place of its own" in done.stderr
    assert secret not in done.stdout + done.stderr
    from tickhouse.core.settings import load

    assert secret not in repr(load(folder / "tickhouse.toml"))


def test_a_backup_has_the_database_as_a_dump_that_can_be_restored(house):
    where, folder, url = house
    if shutil.which("pg_dump") is None:
        pytest.skip("pg_dump is not here")
    done = run("backup", folder / "copy", *where)
    assert done.returncode == 0 and "pg_restore" in done.stderr, done.stderr
    import subprocess

    with databases.empty() as other:
        subprocess.run(["pg_restore", "--no-owner", f"--dbname={other}", folder / "copy" / "postgres.dump"], check=True)
        asked = "SELECT symbol, start, close, version FROM bars ORDER BY 1, 2, 3, 4"
        assert databases.run(asked, url=other) == databases.run(asked, url=url) != []
        assert databases.run("SELECT count(*) FROM gold.bars_1m", url=other) == [(5,)]


def test_without_pg_dump_a_backup_says_what_is_lacking(house, monkeypatch):
    where, folder, _ = house
    monkeypatch.setenv("PATH", "/nowhere")
    done = run("backup", folder / "none", *where)
    assert done.returncode == 2 and "pg_dump" in done.stderr and len(done.stderr.splitlines()) == 1
