"""What the doctor opens, what it says, and its exit status."""

import json
import socket

import pytest


@pytest.fixture
def host():
    """The port of something that answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def feed(port: int) -> str:
    return f'[feeds.binance]\nurl = "http://127.0.0.1:{port}"\nws_url = "ws://127.0.0.1:{port}"\n'


@pytest.mark.parametrize(
    ("settings", "part", "said"),
    [
        ('process.indicators = ["vwap", "sma(0)"]', "indicators",
         "process.indicators.1: got 'sma(0)', expected a whole number of bars from 1 to 10000 as period"),
        ('process.indicators = ["smma(9)"]', "indicators", "process.indicators.0: got 'smma(9)', expected one of atr"),
        ('process.indicators = ["sma(1,2)"]', "indicators", "process.indicators.0: got 'sma(1,2)', expected the parameters of"),
        ('process.detectors = ["returns(x)"]', "detectors", "process.detectors.0: got 'returns(x)', expected a whole number"),
        ('quality.checks = ["schema", "rangs"]', "checks", "quality.checks.1: got 'rangs', expected one of duplicates"),
        ('process.conditions = { csv = "nope" }', "conditions", "process.conditions.csv: got 'nope', expected one of us-equities"),
        ("[feeds.binanse]", "feeds", "feeds.binanse: got 'binanse', expected one of "),
        ("[feeds.binance.options]\nfoo = '1'", "feeds", "feeds.binance.foo: got '1', expected one of the options"),
    ],
)  # fmt: skip
def test_everything_that_settings_name_is_opened_and_told_by_its_key(th, elsewhere, settings, part, said):
    (elsewhere / "tickhouse.toml").write_text("" if settings.startswith("[") else "feeds = {}\n")
    with (elsewhere / "tickhouse.toml").open("a") as file:
        file.write(settings)
    answer = th("doctor", "--json", "--data", "house")
    verdicts = {verdict["part"]: verdict for verdict in json.loads(answer.out)}
    assert answer.status == 2
    assert not verdicts[part]["ok"] and verdicts[part]["message"].startswith(said)
    assert [name for name, v in verdicts.items() if not v["ok"] and "network" not in name] == [part, "house"]
    up = th("up", "--for", "1s", "--data", "house")
    assert up.status == 2 and up.err.startswith(f"tickhouse: {said}")


def test_every_parameter_that_an_indicator_has_can_be_set(th, elsewhere):
    (elsewhere / "tickhouse.toml").write_text('feeds = {}\nprocess.indicators = ["ema(20,seed=first)"]\n')
    said = th("doctor", "--data", "house")
    assert said.status == 0 and "ema(20,seed=first)" in said.out


def test_a_network_that_cannot_be_reached_is_something_that_waiting_can_help(th, elsewhere, house, host):
    (house / "tickhouse.toml").write_text(feed(host))
    assert th("doctor", "--data", house).status == 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    (house / "tickhouse.toml").write_text(feed(free))
    said = th("doctor", "--data", house)
    assert said.status == 75 and "WRONG  network for binance: 127.0.0.1:" in said.out


def test_settings_that_do_not_fit_the_data_are_said_before_anything_runs(th, house):
    (house / "tickhouse.toml").write_text('feeds = {}\n[process]\nintervals = ["1m", "15m"]\n')
    said = th("doctor", "--data", house)
    assert said.status == 2 and "WRONG  state: " in said.out and "intervals" in said.out


def test_a_damaged_part_fails(th, house):
    (house / "tickhouse.toml").write_text("feeds = {}\n")
    assert th("doctor", "--data", house).status == 0
    (house / "warm.db").write_bytes(b"not a database" * 1000)
    said = th("doctor", "--data", house)
    assert said.status == 1 and "WRONG" in said.out and "damaged" in said.out


def hot(url: str) -> str:
    return f'feeds = {{}}\n[hot]\nurl = "{url}"\n'


def test_a_hot_store_that_is_away_is_told_with_the_fix_and_the_house_answers_without_it(th, elsewhere, house, free):
    (house / "tickhouse.toml").write_text(hot(f"redis://:secret@127.0.0.1:{free}/0"))
    told = th("doctor", "--data", house)
    assert told.status == 75
    assert f"WRONG  hot store: Redis at 127.0.0.1:{free}/0 cannot be reached" in told.out
    assert "start it, or put its address into hot.url" in told.out
    status = th("status", "--data", house)
    assert status.status == 0
    assert f"hot store: Redis at 127.0.0.1:{free}/0 cannot be reached" in status.out
    assert "secret" not in told.out + told.err + status.out + status.err


def test_a_hot_store_that_answers_is_told_and_one_that_refuses_the_password_is_a_setting(
    th, elsewhere, house, redis_url
):
    (house / "tickhouse.toml").write_text(hot(f"{redis_url}?prefix=test-doctor"))
    told = th("doctor", "--data", house)
    assert (told.status, "ok     hot store: Redis at" in told.out) == (0, True), told.out
    secret = redis_url.split("@")[0].rpartition(":")[2]
    (house / "tickhouse.toml").write_text(hot(redis_url.replace(secret, "verywrong")))
    told = th("doctor", "--data", house)
    assert told.status == 2
    assert "refuses the password" in told.out and "verywrong" not in told.out + told.err


@pytest.fixture
def free():
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
