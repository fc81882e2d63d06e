"""What tickhouse makes of raw messages, as a person asks it."""

import json

import pytest

TRADE = '{"e":"trade","E":5,"s":"BTCUSDT","t":7,"p":"%s","q":"4","T":1767225600123,"m":true,"M":true}'


def parse(th, elsewhere, what: str, text: str, *options: object):
    (elsewhere / "message").write_text(text)
    return th("parse", what, "message", "--json", *options)


@pytest.mark.parametrize("price", ["0", "-5", "1e308"])
def test_a_price_that_quality_refuses_is_no_good_row(th, elsewhere, price):
    said = parse(th, elsewhere, "binance:trade", TRADE % price)
    answer = json.loads(said.out)
    assert said.status == 1 and answer["error"]["kind"] == "BadMessage"
    assert "price" in answer["error"]["message"]


def test_the_checks_are_those_of_the_house(th, elsewhere):
    (elsewhere / "house").mkdir()
    (elsewhere / "house" / "tickhouse.toml").write_text("quality.max_price = 100\n")
    assert parse(th, elsewhere, "binance:trade", TRADE % "101").status == 0
    assert parse(th, elsewhere, "binance:trade", TRADE % "101", "--data", "house").status == 1


def test_lines_of_a_file_can_be_parsed_too(th, elsewhere):
    text = "time,price,size\n2026-01-01T00:00:00Z,10,1\n2026-01-01T00:00:01Z,x,1\n2026-01-01T00:00:02Z,0,1\n"
    said = parse(th, elsewhere, "csv:ticks", text, "--symbol", "AAPL")
    answer = json.loads(said.out)
    assert said.status == 0 and answer["kind"] == "parsed"
    assert [(row["symbol"], row["price"]) for row in answer["rows"]] == [("AAPL", 10.0)]
    assert [(reject["message"], reject["reason"]) for reject in answer["rejects"]] == [(3, "price"), (4, "price")]
    assert "message 4 rejected: price" in th("parse", "csv:ticks", "message", "--symbol", "AAPL").out


def test_a_refusal_by_place_is_told_as_such(th, elsewhere):
    body = '{"code":0,"msg":"Service unavailable from a restricted location according to \'b. Eligibility\'"}'
    answer = json.loads(parse(th, elsewhere, "binance:trade", body).out)
    assert answer["error"]["kind"] == "BadSetting" and "does not serve this place" in answer["error"]["message"]
    answer = json.loads(parse(th, elsewhere, "binance:trade", '{"code":-1120,"msg":"Invalid interval."}').out)
    assert answer["error"]["message"].endswith("it says: Invalid interval.")


@pytest.mark.parametrize("what", ["yahoo:chart", "fred:observations"])
def test_a_feed_that_the_settings_do_not_have_is_as_it_is_without(th, elsewhere, what):
    said = parse(th, elsewhere, what, "hello")
    assert said.status == 1 and json.loads(said.out)["error"]["kind"] != "BadSetting"


def test_a_channel_or_a_feed_that_is_none_is_told(th, elsewhere):
    assert "expected a feed and a channel" in parse(th, elsewhere, "binance", "{}").err
    assert "did you mean 'binance'" in parse(th, elsewhere, "binanse:trade", "{}").err


def test_every_message_of_a_capture_is_parsed(th, elsewhere):
    trade = '{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"4149.74","q":"0.4387","T":1639351062243,"m":true,"M":true}'
    lines = [trade % (1639351062244 + i, i) for i in range(3)]
    lines.append(json.dumps({"recv": 1639351063.5, "raw": trade % (1639351062999, 3)}))
    (elsewhere / "seen.ndjson").write_text("\n".join([*lines, "{", ""]))
    answer = json.loads(th("parse", "binance:trade", "seen.ndjson", "--json").out)
    assert [row["last_id"] for row in answer["rows"]] == [0, 1, 2, 3]
    assert [reject["message"] for reject in answer["rejects"]] == [5]
    assert answer["rows"][3]["received_at"].startswith("2021-12-12T23:17:43.5")
    (elsewhere / "empty.ndjson").write_text("")
    said = th("parse", "binance:trade", "empty.ndjson", "--json")
    assert said.status == 1 and json.loads(said.out)["error"]["kind"] == "BadMessage"
