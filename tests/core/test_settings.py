"""Settings: what is read from where, and what is said when something is wrong."""

import tomllib
from pathlib import Path

import pytest

from tickhouse.core import quantities, settings
from tickhouse.core.errors import BadSetting
from tickhouse.core.reading import validated
from tickhouse.core.requests import Pace
from tickhouse.core.secrets import Secret
from tickhouse.core.settings import Settings, load


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in a folder without settings."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_runs_with_no_file_at_all() -> None:
    house = load()
    assert house == Settings()
    assert "BTC-USDT" in house.feeds["binance"].symbols
    assert house.process.lateness == 5.0


def test_the_described_file_loads_to_the_defaults(empty_folder: Path) -> None:
    text = settings.describe()
    assert validated(tomllib.loads(text)) == Settings()
    (empty_folder / "tickhouse.toml").write_text(text)
    assert load() == Settings(data=Path("data"))


def test_every_setting_is_described_with_a_comment() -> None:
    for line in settings.describe().splitlines():
        if "=" in line and not line.startswith("# "):
            assert "  # " in line, line


def test_the_env_example_names_every_secret_and_loads(empty_folder: Path) -> None:
    text = settings.env_example()
    assert "TICKHOUSE_SERVE__KEY=" in text
    assert "TICKHOUSE_FEEDS__BINANCE__KEY=" in text
    (empty_folder / ".env").write_text(text.replace("# TICKHOUSE_", "TICKHOUSE_"))
    assert load() == Settings()


def test_file_then_dotenv_then_environment_then_overrides(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_folder / "tickhouse.toml").write_text(
        '[serve]\nhost = "a"\nport = 1\nmax_clients = 1\n[log]\nlevel = "debug"\n'
    )
    (empty_folder / ".env").write_text("TICKHOUSE_SERVE__HOST=b\nTICKHOUSE_SERVE__PORT=2\nOTHER=1\n")
    monkeypatch.setenv("TICKHOUSE_SERVE__PORT", "3")
    got = load(log__format="json")
    assert (got.serve.host, got.serve.port, got.serve.max_clients) == ("b", 3, 1)
    assert (got.log.level, got.log.format) == ("debug", "json")


def test_lists_and_tables_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKHOUSE_FEEDS__BINANCE__SYMBOLS", "btc/usdt, ETH-USDT")
    monkeypatch.setenv("TICKHOUSE_PROCESS__INDICATORS", "sma(3),macd(12,26,9)")
    monkeypatch.setenv("TICKHOUSE_PROCESS__INTERVALS", '["1m"]')
    monkeypatch.setenv("TICKHOUSE_WARM__RETAIN__1M", "90d")
    got = load()
    assert got.feeds["binance"].symbols == ("BTC-USDT", "ETH-USDT")
    assert got.process.indicators == ("sma(3)", "macd(12,26,9)")
    assert got.process.intervals == ("1m",)
    assert got.warm.retain == {"1m": 90 * 86_400.0}


def test_a_default_feed_keeps_its_symbols_when_only_its_key_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKHOUSE_FEEDS__BINANCE__KEY", "k")
    assert load().feeds["binance"].symbols == settings.MAJORS


def test_a_data_folder_may_hold_its_own_file(empty_folder: Path) -> None:
    house = empty_folder / "house"
    house.mkdir()
    (house / "tickhouse.toml").write_text(settings.describe().replace("port = 8000", "port = 9000"))
    got = load(data=house)
    assert (got.data, got.serve.port) == (house, 9000)
    assert got.journal_url == f"sqlite:///{house}/journal.db"
    assert got.lake_url == f"file://{house}/lake"


def test_a_relative_data_folder_counts_from_the_file(empty_folder: Path) -> None:
    (empty_folder / "etc").mkdir()
    file = empty_folder / "etc" / "tickhouse.toml"
    file.write_text('data = "d"\n')
    assert load(file).data == empty_folder / "etc" / "d"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"serve": {"prot": 1}}, "serve.prot: got 'prot', expected a known key; did you mean 'port'? (known: host,"),
        ({"feedz": 1}, "feedz: got 'feedz', expected a known key; did you mean 'feeds'?"),
        ({"serve": {"port": "x"}}, "serve.port: got 'x', expected a whole number"),
        ({"serve": {"port": 70000}}, "serve.port: got 70000, expected less than or equal to 65535"),
        ({"serve": 3}, "serve: got 3, expected a table of settings"),
        ({"process": {"lateness": "soon"}}, "process.lateness: got 'soon', expected a duration such as"),
        ({"process": {"lateness": -1}}, "process.lateness: got -1, expected a duration"),
        ({"process": {"intervals": ["7x"]}}, "process.intervals.0: got '7x', expected a number and a unit"),
        ({"process": {"intervals": []}}, "process.intervals: got [], expected at least one"),
        (
            {"process": {"indicators": ["a b"]}},
            "process.indicators.0: got 'a b', expected a name such as vwap or sma(20)",
        ),
        ({"lake": {"roll_bytes": "64 miles"}}, "lake.roll_bytes: got '64 miles', expected a size such as"),
        ({"journal": {"durability": "f"}}, "journal.durability: got 'f', expected 'full' or 'normal'"),
        ({"feeds": [1]}, "feeds: got 'list', expected a table of settings"),
        ({"feeds": {"x": {"symbols": ["a b"]}}}, "feeds.x.symbols.0: got 'a b', expected a symbol such as"),
        ({"feeds": {"binance": {"url": 5}}}, "feeds.binance.url: got 5, expected a text"),
        ({"warm": {"retain": {"9x": "5s"}}}, "warm.retain.9x: got '9x', expected a number and a unit"),
        ({"data": 5}, "data: got 5, expected the path of a folder"),
    ],
)
def test_every_error_names_the_key_what_was_given_and_what_is_expected(given: dict[str, object], message: str) -> None:
    with pytest.raises(BadSetting) as caught:
        load(**given)
    assert str(caught.value).startswith(message)


def test_an_unknown_variable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKHOUSE_SERV__PORT", "1")
    with pytest.raises(
        BadSetting, match="TICKHOUSE_SERV__PORT: got 'serv', expected a known key; did you mean 'serve'"
    ):
        load()


def test_secrets_may_be_files_of_a_folder(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = empty_folder / "secrets"
    secrets.mkdir()
    (secrets / "serve__key").write_text("k123\n")
    (secrets / "warm__url").write_text("postgresql://u:p@db/t")
    monkeypatch.setenv("TICKHOUSE_SECRETS", str(secrets))
    monkeypatch.setenv("TICKHOUSE_WARM__URL", "sqlite:///other.db")
    found = load()
    assert found.serve.key and found.serve.key.reveal() == "k123" and found.warm.url == "postgresql://u:p@db/t"
    (secrets / "seve__key").write_text("k")
    with pytest.raises(BadSetting, match="did you mean 'serve'"):
        load()
    monkeypatch.setenv("TICKHOUSE_SECRETS", str(empty_folder / "none"))
    with pytest.raises(BadSetting, match="TICKHOUSE_SECRETS"):
        load()


def test_a_missing_or_broken_file_is_an_error(empty_folder: Path) -> None:
    with pytest.raises(BadSetting, match=r"config: got '.*none.toml', expected a settings file that exists"):
        load(empty_folder / "none.toml")
    (empty_folder / "tickhouse.toml").write_text("serve = = 1")
    with pytest.raises(BadSetting, match=r"tickhouse.toml: got '.*line 1.*', expected a TOML file"):
        load()


def test_secrets_are_never_shown(empty_folder: Path) -> None:
    got = load(feeds={"binance": {"key": "hush-1"}}, serve={"key": Secret("hush-2")})
    shown = f"{got} {got!r} {got.model_dump()} {got.model_dump_json()} {got.model_dump(mode='json')}"
    assert "hush" not in shown
    assert got.serve.key is not None
    assert got.serve.key.reveal() == "hush-2"
    for bad in ({"key": ["hush"]}, {"api_key": "hush"}, {"key": "hush", "per_day": "x"}):
        with pytest.raises(BadSetting) as caught:
            load(feeds={"binance": bad})
        assert "hush" not in f"{caught.value} {caught.value.__cause__} {caught.value.given!r}"


def test_a_public_host_needs_a_key() -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        settings.guard_public(load(serve__host=host).serve)
    with pytest.raises(BadSetting, match=r"serve.key: got None, expected a key, because others can reach 0\.0\.0\.0"):
        settings.guard_public(load(serve__host="0.0.0.0").serve)
    settings.guard_public(load(serve={"host": "0.0.0.0", "key": "k"}).serve)


def test_a_feed_may_have_another_pace() -> None:
    got = load(feeds={"binance": {"per_minute": 100}}).feeds["binance"]
    assert got.paced(Pace(per_second=2, per_minute=6000, per_day=5)) == Pace(2, 100, 5)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().serve.port = 1  # type: ignore[misc]


@pytest.mark.parametrize("given", ["", "5", "5x", "-1s", "1e400", None, True, [], "nan", float("nan"), "s"])
def test_durations_refuse_what_is_none(given: object) -> None:
    if given == "5":
        assert quantities.seconds(given) == 5.0
        return
    with pytest.raises(BadSetting):
        quantities.seconds(given)


def test_durations_and_sizes_read_back_what_they_write() -> None:
    for value in (0.25, 1.0, 90.0, 300.0, 3600.0, 86_400.0, 604_800.0, 1.5):
        assert quantities.seconds(quantities.duration_text(value)) == value
    for size in (0, 1, 1000, 1024, 64 << 20, 10**9, 12345):
        assert quantities.size_bytes(quantities.size_text(size)) == size


FEEDS = {"finnhub": {}, "yahoo": {}}


def test_a_group_has_an_order_of_feeds_and_patience() -> None:
    group = load(feeds=FEEDS, groups={"shares": {"symbols": ["aapl"], "feeds": ["finnhub", "yahoo"]}}).groups["shares"]
    assert (group.symbols, group.feeds) == (("AAPL",), ("finnhub", "yahoo"))
    assert group.switch_after < group.return_after


@pytest.mark.parametrize(
    ("group", "key", "said"),
    [
        ({"symbols": ["AAPL"], "feeds": ["finnhub", "yahooo"]}, "groups.shares.feeds", "a section here"),
        ({"symbols": ["AAPL"], "feeds": []}, "groups.shares.feeds", "at least one"),
        ({"symbols": [], "feeds": ["yahoo"]}, "groups.shares.symbols", "at least one"),
        ({"symbols": ["AAPL"], "feeds": ["yahoo", "yahoo"]}, "groups.shares.feeds", "yahoo is there twice"),
        ({"symbols": ["AAPL", "aapl"], "feeds": ["yahoo"]}, "groups.shares.symbols", "AAPL is there twice"),
        ({"symbols": ["MSFT"], "feeds": ["yahoo"]}, "groups.shares.symbols", "others has it"),
        ({"symbols": ["AAPL"], "feeds": ["yahoo"], "switch": "5s"}, "groups.shares.switch", "switch_after"),
        ({"symbols": ["AAPL"], "feeds": ["yahoo"], "stale_after": "0s"}, "groups.shares.stale_after", "greater than 0"),
    ],
)
def test_a_group_that_cannot_be_is_refused_with_what_is_expected(group: dict[str, object], key: str, said: str) -> None:
    groups = {"others": {"symbols": ["MSFT"], "feeds": ["finnhub"]}, "shares": group}
    with pytest.raises(BadSetting, match=said) as raised:
        load(feeds=FEEDS, groups=groups)
    assert raised.value.key == key


def test_a_variable_that_names_a_server_for_tests_is_no_setting(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TICKHOUSE_TEST_POSTGRES", "postgresql://me@here/tests")
    assert load(data=tmp_path / "house").warm.url.startswith("sqlite:")
