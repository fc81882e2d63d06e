"""`tickhouse copy` of a whole house, and of a store and a journal by their URLs."""

import json
import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests import kafka
from tests.cli.inside import run
from tests.stores import databases
from tickhouse.core.plugins import open_url
from tickhouse.steps import locks
from tickhouse.steps.copying_house import HouseCopying

LINES = [f"2026-03-02T10:{n // 60:02d}:{n % 60:02d}Z,{'AB'[n % 2]},{100 + n % 7},{1 + n % 3}" for n in range(1200)]


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A house with a file of ticks, of which one was refused."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TICKHOUSE_")]:
        if not name.startswith("TICKHOUSE_TEST_"):
            monkeypatch.delenv(name)
    Path("t.csv").write_text("\n".join(["time,symbol,price,size", *LINES, "2026-03-02T10:20:00Z,A,none,1", ""]))
    Path("u.csv").write_text("\n".join(["time,symbol,price,size", *(line.replace("T10", "T11") for line in LINES), ""]))
    good("load", "t.csv", "--data", "mine")
    return Path("mine")


def good(*words):
    done = run(*words)
    assert done.returncode == 0, done.stderr
    return done


def answers(house):
    """What the house says, with every version; the source of each bar, and its messages."""
    asked = [
        ("bars", "A", "--interval", "1m"),
        ("bars", "B", "--interval", "5m"),
        ("indicators", "A"),
        ("anomalies", "A"),
    ]
    asked += [("coverage",), ("quarantine", "list"), ("trace", "A", "2026-03-02T10:07")]
    return [good(*words, "--json", "--data", str(house)).stdout for words in asked]


def bars(house):
    """Its bars but for the time at which they were known."""
    rows = json.loads(good("bars", "A", "--json", "--data", house).stdout)
    return [{name: value for name, value in row.items() if name != "known_at"} for row in rows]


def test_a_house_is_copied_goes_on_there_and_comes_back(mine):
    done = json.loads(good("copy", "--from", "mine", "--to", "there", "--json").stdout)
    assert (done["kind"], done["stays"], done["lake"]["objects"]) == ("house", [], 3)
    assert done["journal"]["messages"] == done["journal"]["compared"] > 1200
    assert all(table["old"] == table["new"] for table in done["warm"]["tables"].values())
    assert done["warm"]["tables"]["bars"]["old"] == done["warm"]["tables"]["bars"]["written"] > 40
    assert answers("there") == answers("mine")
    again = json.loads(good("copy", "--from", "mine", "--to", "there", "--json").stdout)
    assert (again["journal"]["messages"], again["lake"]["objects"], again["warm"]["written"]) == (0, 0, 0)
    for house in ("mine", "there"):
        good("load", "u.csv", "--data", house)
    assert json.loads(good("load", "t.csv", "--data", "there", "--json").stdout)[0]["already"]
    assert bars("there") == bars("mine") and len(bars("there")) == 40
    good("copy", "--from", "there", "--to", "back")
    assert answers("back") == answers("there")
    assert "everything is as it was written" in good("verify", "--data", "back").stdout


def test_only_what_is_elsewhere_is_copied(mine):
    with databases.empty() as url:
        Path("new.toml").write_text(f'data = "mine"\n[warm]\nurl = "{url}"\n')
        said = good("copy", "--from", "mine", "--to", "new.toml").stderr
        assert "the lake and the journal stayed where it was" in said and "bars" in said
        before = answers("mine")
        assert json.loads(good("bars", "A", "--json", "--config", "new.toml").stdout)
        Path("mine/warm.db").rename("old.db")
        good("copy", "--from", url, "--to", "sqlite:///mine/warm.db")
        assert answers("mine") == before
        same = json.loads(good("copy", "--from", "sqlite:///old.db", "--to", url, "--json").stdout)
        assert (same["kind"], same["written"]) == ("store", 0)
    same = run("copy", "--from", "mine", "--to", "mine")
    assert same.returncode == 2 and "another place than --from" in same.stderr


def test_ticks_that_postgresql_keeps_go_along_where_the_new_house_keeps_them(mine):
    day = datetime.now(UTC).date() - timedelta(days=1)
    Path("now.csv").write_text(Path("u.csv").read_text().replace("2026-03-02", f"{day}"))
    with databases.empty() as one, databases.empty() as other:
        for name, url, keep in (("old", one, "3d"), ("new", other, "2d"), ("none", other, "0s")):
            Path(f"{name}.toml").write_text(f'data = "{name}"\n[warm]\nurl = "{url}"\nkeep_ticks = "{keep}"\n')
        good("load", "now.csv", "--config", "old.toml")
        asked = "SELECT * FROM gold.ticks ORDER BY symbol, raw"
        kept = databases.run(asked, url=one)
        assert len(kept) == len(LINES)
        said = good("copy", "--from", "old.toml", "--to", "none.toml").stderr
        assert "the ticks that are kept in PostgreSQL here were not copied: the house there keeps none" in said
        databases.run("DROP SCHEMA public, gold CASCADE", "CREATE SCHEMA public", url=other)
        assert (
            "ticks                    1,200 rows here, 1,200 there"
            in good("copy", "--from", "old.toml", "--to", "new.toml").stderr
        )
        assert databases.run(asked, url=other) == kept
        again = json.loads(good("copy", "--from", one, "--to", other, "--json").stdout)
        assert (again["tables"]["ticks"]["new"], again["written"], again["left"]) == (len(LINES), 0, "")
        back = good("copy", "--from", "new.toml", "--to", "back").stderr
        assert "were not copied: only PostgreSQL keeps them" in back


def test_a_house_at_work_is_refused(mine):
    for house in ("mine", "there"):
        with locks.role(Path(house), "process"):
            refused = run("copy", "--from", "mine", "--to", "there")
            assert refused.returncode == 2 and "the role 'process'" in refused.stderr
    with locks.role(mine, "ingest"):
        refused = run("copy", "--from", "sqlite:///mine/journal.db", "--to", "sqlite:///new.db")
        assert refused.returncode == 2 and "the role 'ingest'" in refused.stderr


def test_a_house_that_was_copied_in_part_cannot_be_opened_before_it_is_whole(mine, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(HouseCopying, "_warm", lambda self: (_ for _ in ()).throw(OSError("the power is gone")))
        patch.setattr(HouseCopying, "_rest", lambda self: (_ for _ in ()).throw(OSError("the power is gone")))
        with pytest.raises(OSError, match="power"):
            HouseCopying(*_settings("mine", "there")).run()
    with monkeypatch.context() as patch:
        patch.setattr(HouseCopying, "_rest", lambda self: (_ for _ in ()).throw(OSError("the power is gone")))
        with pytest.raises(OSError, match="power"):
            HouseCopying(*_settings("mine", "there")).run()
    for words in (("bars", "A", "--data", "there"), ("copy", "--from", "there", "--to", "third")):
        refused = run(*words)
        assert refused.returncode == 2 and "is a copy that is not whole: run `tickhouse copy`" in refused.stderr
    good("copy", "--from", "mine", "--to", "there")
    assert answers("there") == answers("mine")


def test_a_place_that_holds_another_house_is_left_as_it_is(mine):
    Path("v.csv").write_text("\n".join(["time,symbol,price,size", *LINES[:500], ""]))
    good("load", "v.csv", "--data", "other")
    before = answers("other")
    refused = run("copy", "--from", "mine", "--to", "other")
    assert refused.returncode == 2 and "the lake there has" in refused.stderr
    Path("keep.toml").write_text(f'data = "keep"\n[journal]\nurl = "sqlite:///{Path("other/journal.db").absolute()}"\n')
    refused = run("copy", "--from", "mine", "--to", "keep.toml")
    assert refused.returncode == 2 and "something else than the first" in refused.stderr
    refused = run("copy", "--from", "sqlite:///mine/warm.db", "--to", "sqlite:///other/warm.db")
    assert refused.returncode == 2 and "other rows than this one" in refused.stderr
    assert answers("other") == before and not list(Path("keep").glob("lake/*"))


def test_a_house_whose_ticks_are_shared_gets_as_many_partitions_or_is_refused(mine, kafka_url):
    """Here as `process.shared` leaves it on Kafka, copied into a folder."""
    with closing(open_url("journal", f"sqlite:///{mine.absolute()}/journal.db")) as journal:
        for group in ("process.0of3", "process.1of3", "process.2of3"):
            journal.commit(group, 0)
    with kafka.prefix(kafka_url, "partitions=2") as wrong, kafka.prefix(kafka_url, "") as right:
        for name, url in (("wrong", wrong), ("right", right)):
            Path(f"{name}.toml").write_text(f'data = "{name}"\n[journal]\nurl = "{url}"\n')
        refused = run("copy", "--from", "mine", "--to", "wrong.toml")
        assert refused.returncode == 2 and "3 shards share the ticks here" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        assert not Path("wrong/house.json").exists() and not list(Path("wrong").glob("lake/*"))
        refused = run("copy", "--from", "sqlite:///mine/journal.db", "--to", wrong)
        assert refused.returncode == 2 and "name an empty place, with ?partitions=3" in refused.stderr
        good("copy", "--from", "mine", "--to", "right.toml")
        with closing(open_url("journal", right)) as journal:
            assert journal.partitions == 3


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        ("sqlite:///mine/none.db", "sqlite:///x.db", "a file that is there"),
        ("sqlite:///t.csv", "sqlite:///x.db", "a journal or a warm store"),
        ("sqlite:///mine/warm.db", "kafka://h:1/p", "there is no journal|a journal"),
        ("postgresql://h/d", "kafka://h:1/p", "a store, as --from is, and not a journal"),
        ("mine/lake", "sqlite:///x.db", "two lakes, or two databases"),
        ("mine", "postgresql://h/d", "the settings file or the folder of a house"),
        ("gopher://h", "x", "a folder, file://, s3://"),
        ("mien", "x", "a place that is there"),
        ("mine/journal.db", "x", "a place that is there"),
        ("none.toml", "x", "a settings file that exists"),
        ("empty.toml", "x", "there is no house in"),
    ],
)
def test_places_that_do_not_go_together_are_refused(mine, start, end, why):
    Path("empty.toml").write_text('data = "nowhere"\n')
    refused = run("copy", "--from", start, "--to", end)
    assert refused.returncode == 2, refused.stderr
    assert not Path("nowhere").exists() and not Path("x").exists()
    assert any(part in refused.stderr for part in why.split("|"))


def _settings(*folders):
    from tickhouse.core.settings import load

    return [load(None, Path(folder)) for folder in folders]
