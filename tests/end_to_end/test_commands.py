"""Every command on a small house: what it prints, what it says of bad input, how it exits."""

import csv
import json

import pytest

from tests.cli.inside import good, run
from tests.end_to_end.tape import write


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A house with a loaded tape of 20 minutes and 5 symbols."""
    folder = tmp_path_factory.mktemp("commands")
    tape = write(folder / "tape.ndjson", trades=60_000)
    good("load", tape.path, "--as", "binance", "--data", folder / "house")
    return folder / "house", tape


def test_bars_as_json_have_the_promised_fields(house):
    rows = json.loads(
        good("bars", "SYM1-USDT", "--format", "json", "--indicators", "sma(3) rsi(14)", "--data", house[0])
    )
    expected = {
        "symbol", "interval", "start", "open", "high", "low", "close", "volume", "vwap", "trades", "source", "completeness",
        "state", "version", "indicators",
    }  # fmt: skip
    assert expected <= set(rows[0])
    assert rows[0]["start"] == "2026-01-01T00:00:00Z"
    closes = [row["close"] for row in rows]
    assert rows[-1]["indicators"]["sma(3)"] == pytest.approx(sum(closes[-3:]) / 3)
    assert "rsi(14)" in rows[-1]["indicators"]


def test_the_indicator_vwap_is_a_column_beside_the_vwap_of_the_bar(house):
    ask = ("bars", "SYM1-USDT", "--last", 2, "--indicators", "all", "--data", house[0])
    rows = json.loads(good(*ask, "--format", "json"))
    table = list(csv.DictReader(good(*ask, "--format", "csv").splitlines()))
    for row, bar in zip(table, rows, strict=True):
        assert float(row["vwap"]) == bar["vwap"] and float(row["vwap()"]) == bar["indicators"]["vwap"] != bar["vwap"]
    header = good(*ask).splitlines()[0].split()
    assert {"vwap", "vwap()", "version", "bollinger(20,2).upper"} <= set(header) and len(set(header)) == len(header)


def test_indicators_are_a_list_with_commas_or_blanks_of_kept_ones_and_others(house):
    ask = ("bars", "SYM1-USDT", "--last", 1, "-f", "json", "--data", house[0], "--indicators")
    (row,) = json.loads(good(*ask, "sma(20),rsi(14) macd,ema(4)"))
    assert list(row["indicators"])[:2] == ["sma(20)", "rsi(14)"] and "ema(4)" in row["indicators"]
    (row,) = json.loads(good(*ask, "sma"))
    assert list(row["indicators"]) == ["sma(20)"]


def test_indicator_rows_are_an_object_in_json_and_columns_elsewhere(house):
    ask = ("indicators", "SYM1-USDT", "--last", 2, "--data", house[0])
    rows = json.loads(good(*ask, "-f", "json"))
    assert rows[-1]["values"]["sma(20)"] > 0 and "vwap" in rows[-1]["values"]
    table = list(csv.DictReader(good(*ask, "-f", "csv").splitlines()))
    assert float(table[-1]["vwap()"]) == rows[-1]["values"]["vwap"] and "values" not in table[-1]
    lines = good(*ask).splitlines()
    assert {"sma(20)", "vwap()"} <= set(lines[0].split()) and "{" not in lines[1]


@pytest.mark.parametrize("form", ["csv", "table", "arrow", "parquet"])
def test_bars_come_in_every_form(house, form):
    done = run("bars", "SYM1-USDT", "-f", form, "--data", house[0])
    assert done.returncode == 0 and len(done.raw) > 500


def test_ticks_are_those_of_the_tape(house):
    rows = json.loads(good("ticks", "SYM1-USDT", "--start", "2026-01-01", "--format", "json", "--data", house[0]))
    minutes = [bars["trades"] for (symbol, _), bars in house[1].bars.items() if symbol == "SYM1-USDT"]
    distinct = {row["last_id"] for row in rows}
    assert len(distinct) == sum(minutes)


def test_status_has_the_ledger_by_source(house):
    ledger = json.loads(good("status", "--json", "--data", house[0]))["ledger"]["binance"]
    assert ledger["received"] == ledger["parsed"] + ledger["control"] + ledger["rejected"]
    assert ledger["rows"] == ledger["accepted"] + ledger["duplicate"] + ledger["late"] + ledger["invalid"]


def test_trace_shows_the_raw_messages_behind_a_bar(house):
    found = json.loads(good("trace", "SYM1-USDT", "2026-01-01T00:01", "--json", "--data", house[0]))
    assert found["versions"][-1]["trades"] <= found["ticks"]
    assert all('"SYM1USDT"' in message["payload"] for message in found["raw"]["messages"])


@pytest.mark.slow
def test_sql_reads_bars_and_ticks_and_refuses_to_write(house):
    rows = json.loads(
        good("sql", "select count(*) as n from bars where interval = '1m'", "--format", "json", "--data", house[0])
    )
    assert rows[0]["n"] == len(house[1].bars)
    ticks = json.loads(
        good("sql", "select count(distinct (symbol, last_id)) as n from ticks", "-f", "json", "--data", house[0])
    )
    assert ticks[0]["n"] == house[1].trades
    for bad in (
        "drop table bars",
        "copy bars to '/tmp/x.csv'",
        "select * from read_csv('/etc/passwd')",
        "select 1; select 2",
        "selec",
    ):
        done = run("sql", bad, "--data", house[0])
        assert done.returncode == 2 and done.stderr.startswith("tickhouse: "), bad


@pytest.mark.parametrize("command", ["coverage", "anomalies", "quality", "symbols", "verify"])
def test_the_other_questions_answer(house, command):
    assert good(command, "--data", house[0])


def test_what_was_broken_is_in_quarantine_with_its_bytes(house):
    rows = json.loads(good("quarantine", "list", "--json", "--limit", 1000, "--data", house[0]))
    assert len(rows) == house[1].malformed > 0
    shown = good("quarantine", "show", rows[0]["position"], "--data", house[0])
    assert len(shown) == rows[0]["bytes"] and shown.startswith('{"e":"trade"')
    healed = json.loads(good("quarantine", "replay", "--json", "--data", house[0]))
    assert healed == {"seen": len(rows), "healed": 0, "refused": {"truncated": len(rows)}, "unread": {}}


def test_loading_the_same_file_again_does_nothing(house):
    answer = json.loads(good("load", house[1].path, "--as", "binance", "--json", "--data", house[0]))
    assert answer[0]["already"] and answer[0]["received"] == 0


def test_a_replay_into_another_house_gives_the_same_bars(house, tmp_path):
    good("replay", "--into", tmp_path / "again", "--data", house[0])
    again = run("replay", "--into", tmp_path / "again", "--data", house[0], "--json")
    assert json.loads(again.stdout)["messages"] == 0 and again.returncode == 0
    ask = ("bars", "SYM2-USDT", "--versions", "-f", "csv", "--indicators", "all", "--data")
    assert good(*ask, tmp_path / "again") == good(*ask, house[0])


def test_a_replay_goes_into_a_new_house_only(house, tmp_path):
    (tmp_path / "a.csv").write_text("time,price,size\n2026-01-01T00:00:00Z,10,1\n")
    good("load", tmp_path / "a.csv", "--symbol", "AAPL", "--data", tmp_path / "other")
    for wrong, said in (
        (("--into", tmp_path / "other"), "messages of its own"),
        (("--into", house[0]), "another house"),
        (("--into", tmp_path / "new", "--speed", "fast"), "--speed"),
        (("--into", tmp_path / "new", "--without", "b.csv"), "--without"),
    ):
        done = run("replay", *wrong, "--data", house[0])
        assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
    done = run("replay", "--into", tmp_path / "new", "--data", tmp_path / "typo")
    assert done.returncode == 2 and "no house" in done.stderr
    assert not (tmp_path / "new").exists() and not (tmp_path / "typo").exists()


def test_a_new_house_has_the_settings_of_the_old_one(tmp_path):
    """Those in its folder go along, so that the new house is opened with the settings it was made with."""
    (tmp_path / "a.csv").write_text(
        "time,price,size\n" + "".join(f"2026-01-01T00:{n:02}:00Z,10,1\n" for n in range(40))
    )
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "tickhouse.toml").write_text('[process]\nintervals = ["1m", "15m"]\n')
    good("load", tmp_path / "a.csv", "--symbol", "AAPL", "--data", tmp_path / "old", cwd=tmp_path)
    good("replay", "--into", tmp_path / "new", "--data", tmp_path / "old", cwd=tmp_path)
    for name in ("old", "new"):
        rows = json.loads(good("bars", "AAPL", "-i", "15m", "-f", "json", "--data", tmp_path / name, cwd=tmp_path))
        assert [row["trades"] for row in rows] == [15, 15, 10]
    (tmp_path / "new" / "tickhouse.toml").write_text(f'[journal]\nurl = "sqlite:///{tmp_path}/old/journal.db"\n')
    done = run("replay", "--into", tmp_path / "new", "--data", tmp_path / "old", cwd=tmp_path)
    assert done.returncode == 2 and "journal.url" in done.stderr


def test_a_backup_is_a_house(house, tmp_path):
    good("backup", tmp_path / "copy", "--data", house[0])
    ask = ("bars", "SYM2-USDT", "-f", "csv", "--data")
    assert good(*ask, tmp_path / "copy") == good(*ask, house[0])


def test_init_writes_a_settings_file_that_loads(tmp_path):
    good("init", tmp_path)
    assert (tmp_path / ".env.example").exists()
    said = run("doctor", "--config", tmp_path / "tickhouse.toml", "--data", tmp_path / "data")
    assert said.returncode in (0, 75), "75 where there is no network"
    assert all(line.startswith(("ok", "none", "WRONG  network")) for line in said.stdout.splitlines())
    assert run("init", tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("bars", "BTC-USDT", "--interval", "7x"), "interval"),
        (("bars", "BTC-USDT", "--start", "yesterday-ish"), "time"),
        (("bars", "SYM1-USDT", "--format", "xml"), "--format"),
        (("bars", "SYM1-USDT", "--indicators", "smaa(20)"), "did you mean sma"),
        (("bars", "NOPE"), "this house has no symbol NOPE; there are SYM0-USDT, SYM1-USDT"),
        (("bars", "SYM1USDT"), "did you mean SYM1-USDT?"),
        (("bars", "SYM1-USDT", "--interval", "7m"), "no bars of 7m here; it has 1m, 5m"),
        (("indicators", "NOPE"), "no symbol NOPE"),
        (("bars", "no symbol!"), "symbol"),
        (("trace", "NONE-USDT", "2026-01-01"), "no symbol NONE-USDT"),
        (("trace", "SYM1-USDT", "2025-01-01"), "no 1m bar"),
        (("run", "cook"), "cook"),
        (("load", __file__, "--as", "nasdaq"), "--as"),
    ],
)
def test_bad_input_gets_one_clear_sentence_and_an_honest_status(house, arguments, said):
    done = run(*arguments, "--data", house[0])
    assert done.returncode == 2
    assert said in done.stderr and "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_house_that_is_not_there_is_said(tmp_path):
    done = run("bars", "BTC-USDT", "--data", tmp_path / "nowhere")
    assert done.returncode == 2 and "there is no house" in done.stderr


def test_an_unknown_setting_names_the_nearest_known_one(tmp_path):
    (tmp_path / "tickhouse.toml").write_text('[process]\nlatenes = "5s"\n')
    done = run("status", "--data", tmp_path, cwd=tmp_path)
    assert done.returncode == 2 and "lateness" in done.stderr


@pytest.mark.parametrize(
    "command",
    ["", "demo", "up", "run", "exchange", "load", "replay", "parse", "bars", "sql", "trace", "quarantine list"],
)
def test_help_has_an_example(command):
    text = good(*command.split(), "--help")
    assert "Example:" in text or not command


def test_parse_prints_rows_or_the_classified_error(tmp_path):
    trade = '{"e":"trade","E":5,"s":"BTCUSDT","t":7,"p":"2.5","q":"4","T":1767225600123,"m":true,"M":true}'
    cases = {
        trade: ("rows", None),
        '{"code":-1003,"msg":"Too much request weight used; current limit is 6000 request weight per 1 MINUTE."}': (
            "error",
            "RateLimited",
        ),
        '{"code":-1121,"msg":"Invalid symbol."}': ("error", "UnknownSymbol"),
        trade[:40]: ("error", "BadMessage"),
    }
    for number, (text, (key, kind)) in enumerate(cases.items()):
        path = tmp_path / f"{number}.json"
        path.write_text(text)
        done = run("parse", "binance:trade", path, "--json")
        answer = json.loads(done.stdout)
        assert done.returncode == (0 if key == "rows" else 1), done.stderr
        assert answer[key]["kind"] == kind if kind else answer["rows"][0]["price"] == 2.5


def test_a_bad_line_of_a_csv_is_named_by_its_number_and_the_rest_loads(tmp_path):
    lines = ["time,price,size", "2026-01-01T00:00:00Z,10,1", "2026-01-01T00:00:01Z,abc,1", "2026-01-01T00:01:02Z,11,1"]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    answer = json.loads(good("load", tmp_path / "a.csv", "--symbol", "AAPL", "--json", "--data", tmp_path / "house"))
    assert answer[0]["rejected"] == 1 and answer[0]["rows"] == 2
    kept = json.loads(good("quarantine", "list", "--json", "--data", tmp_path / "house"))
    assert kept[0]["detail"].startswith("line 3: ")


def test_trace_of_a_bar_of_a_file_shows_its_line(tmp_path):
    lines = [
        "time,open,high,low,close,volume",
        "2026-01-01T00:00:00Z,10,12,9,11,5",
        "2026-01-01T00:01:00Z,11,12,9,10,7",
    ]
    (tmp_path / "bars.csv").write_text("\n".join(lines) + "\n")
    good("load", tmp_path / "bars.csv", "--symbol", "AAPL", "--interval", "1m", "--data", tmp_path / "house")
    said = good("trace", "AAPL", "2026-01-01T00:01", "--data", tmp_path / "house").splitlines()
    assert said[-2] == "0 ticks and 1 raw messages, 1 shown:" and said[-1].endswith(f"bars (the whole bar)  {lines[2]}")


def test_a_line_that_the_settings_allow_now_is_healed_and_a_replay_has_it_and_the_notes_of_the_house(tmp_path):
    lines = [
        "time,price,size",
        "2026-01-01T00:00:00Z,10,1",
        "2026-01-01T00:00:01Z,2e12,1",
        "2026-01-01T00:00:02Z,abc,1",
    ]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    house, config = tmp_path / "house", tmp_path / "house" / "tickhouse.toml"
    good("load", tmp_path / "a.csv", "--symbol", "AAPL", "--conditions", "us-equities", "--data", house)
    config.write_text("[quality]\nmax_price = 1e13\n")
    said = good("quarantine", "replay", "--data", house).splitlines()
    assert said[0] == "1 of 2 messages healed" and said[1].split() == ["1", "still", "refused:", "price"]
    good("replay", "--into", tmp_path / "again", "--data", house, "--config", config)
    (row,) = json.loads(good("bars", "AAPL", "-f", "json", "--data", tmp_path / "again"))
    assert (row["high"], row["trades"], row["state"]) == (2e12, 2, "final")
    assert json.loads((tmp_path / "again" / "house.json").read_text()) == {"conditions": {"csv": "us-equities"}}


def test_a_sources_rule_of_conditions_is_kept_with_the_house(tmp_path):
    (tmp_path / "a.csv").write_text(
        "time,price,size,conditions\n2026-01-01T00:00:00Z,10,1,20\n2026-01-01T00:00:01Z,11,1,\n"
    )
    (tmp_path / "b.csv").write_text(
        "time,price,size,conditions\n2026-01-01T00:01:00Z,12,1,20\n2026-01-01T00:01:01Z,13,1,\n"
    )
    ask = ("--symbol", "AAPL", "--data", tmp_path / "house")
    good("load", tmp_path / "a.csv", "--conditions", "us-equities", *ask)
    good("load", tmp_path / "b.csv", *ask)
    rows = json.loads(good("bars", "AAPL", "-f", "json", "--data", tmp_path / "house"))
    assert [(row["open"], row["volume"]) for row in rows] == [(11, 2), (13, 2)]
