"""`tickhouse prepare`: what a house's servers lack is made; one that does not answer is waited for, and no longer than told."""

import json
import time

from tools.services.server import free_port


def test_an_embedded_house_is_prepared_with_nothing_running(th, elsewhere):
    said = th("prepare", "--json")
    assert said.status == 0, said.err
    assert json.loads(said.out)["warm store"].startswith("tables at 0")
    assert th("prepare").out.splitlines()[0].startswith("journal"), "and again"


def test_a_server_that_does_not_answer_is_waited_for_as_long_as_told(th, elsewhere, monkeypatch):
    monkeypatch.setenv("TICKHOUSE_WARM__URL", f"postgresql://me:secret-word@127.0.0.1:{free_port()}/prices")
    began = time.monotonic()
    said = th("prepare", "--wait", "1s")
    assert said.status == 75 and 1.0 < time.monotonic() - began < 30
    assert "Traceback" not in said.err and "secret-word" not in said.err
    assert "does not answer" in said.err.splitlines()[-1]


def test_what_waiting_does_not_help_is_told_at_once(th, elsewhere, monkeypatch):
    monkeypatch.setenv("TICKHOUSE_WARM__URL", "postgresql://nowhere")
    said = th("prepare", "--wait", "1m")
    assert said.status == 2 and "warm.url" in said.err


def test_doctor_asks_the_hot_store_of_a_house_that_is_still_to_be_made(th, elsewhere, monkeypatch):
    monkeypatch.setenv("TICKHOUSE_HOT__URL", f"redis://:secret-word@127.0.0.1:{free_port()}/0")
    said = th("doctor", "--json")
    (verdict,) = [one for one in json.loads(said.out) if one["part"] == "hot store"]
    assert not verdict["ok"] and "secret-word" not in said.out + said.err and not (elsewhere / "data").exists()
