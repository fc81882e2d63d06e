"""The warm store on a PostgreSQL server that is killed, frozen and cut off while a pipeline runs; and the pipeline killed."""

import json
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import psycopg
import pytest
from tools.services.server import free_port

from tests.chaos.test_processes import ended, place
from tests.end_to_end.tape import write
from tests.stores import databases
from tickhouse.core.model import Query
from tickhouse.core.plugins import open_url
from tickhouse.core.settings import load
from tickhouse.pipeline import Pipeline

pytestmark = pytest.mark.slow
AWAY, BACK = "tickhouse goes on trying", "connected to the warm store"


@pytest.fixture
def server(private_server):
    return private_server("postgres")


def told(errors, secret):
    """How many sentences an operator was told of the store that went away, and that it is back."""
    assert "Traceback" not in errors and secret not in errors, errors
    return errors.count(AWAY), errors.count(BACK)


@pytest.mark.timeout(180)
def test_a_server_that_is_killed_and_started_again_is_waited_for_and_nothing_is_lost(tmp_path, server):
    with place(tmp_path, warm__url=server.url) as p:
        process = p.start("up", "--json")
        p.grown(300)
        server.kill()
        time.sleep(4)
        assert process.poll() is None
        server.start()
        p.grown(600)
        _, errors = ended(process)
        assert process.returncode == 0, errors
        assert told(errors, server.secret) == (1, 1), errors
        assert "does not answer" in errors
        p.truly()


@pytest.mark.timeout(240)
def test_a_server_that_hangs_for_half_a_minute_is_waited_for_and_nothing_is_lost(tmp_path, server):
    with place(tmp_path, warm__url=server.url) as p:
        process = p.start("up", "--json")
        p.grown(300)
        server.freeze()
        time.sleep(30)
        server.thaw()
        assert process.poll() is None
        p.grown(600)
        _, errors = ended(process)
        assert process.returncode == 0, errors
        assert told(errors, server.secret) == (1, 1), errors
        p.truly()


@pytest.mark.timeout(180)
def test_while_the_server_is_away_it_ends_on_request_in_one_sentence_and_goes_on_later(tmp_path, server):
    with place(tmp_path, warm__url=server.url) as p:
        process = p.start("up", "--json")
        p.grown(300)
        server.kill()
        time.sleep(2)
        _, errors = ended(process)
        assert process.returncode == 75, errors
        assert told(errors, server.secret) == (1, 0), errors
        assert [line for line in errors.splitlines() if line.startswith("tickhouse: ")], errors
        refused = p.run("status")
        assert refused.returncode == 75 and len(refused.stderr.splitlines()) == 1, refused.stderr
        server.start()
        p.truly()


def asked(port):
    """Ask the API for what only the store knows; the status of its answer."""
    return httpx.get(f"http://127.0.0.1:{port}/v1/symbols", timeout=30).status_code


@pytest.mark.timeout(240)
@pytest.mark.parametrize("roles", [("up",), ("run", "ingest", "process")], ids=["up", "process"])
def test_while_the_server_hangs_it_ends_on_request_in_seconds_and_goes_on_later(tmp_path, server, roles):
    """Also where others than the step that processes wait for the server: the API has answered, and its threads wait still."""
    with place(tmp_path, warm__url=server.url) as p, ThreadPoolExecutor() as pool:
        port, config = free_port(), p.folder / "tickhouse.toml"
        config.write_text(config.read_text().replace("port = 0", f"port = {port}"))
        process = p.start(*roles, "--json")
        p.grown(300)
        server.freeze()
        try:
            time.sleep(2)
            if roles == ("up",):
                assert set(pool.map(asked, [port] * 4)) == {503}
            began = time.monotonic()
            _, errors = ended(process)
            took = time.monotonic() - began
        finally:
            server.thaw()
        sys.stdout.write(f"{roles} ended in {took:.1f} s: {errors}\n")
        assert took < 25
        assert process.returncode == 75, errors
        assert told(errors, server.secret)[1] == 0
        (sentence,) = [line for line in errors.splitlines() if AWAY not in line]
        assert sentence.startswith("tickhouse: PostgreSQL at") and "does not answer" in sentence
        assert sentence.endswith("; what is not stored is processed again at the next start")
        p.truly()


@pytest.mark.timeout(120)
def test_roles_that_do_not_process_end_on_request_too_while_the_server_hangs(tmp_path, server):
    with place(tmp_path, warm__url=server.url) as p:
        processes = {role: p.start("run", role, "--json") for role in ("process", "ingest", "archive", "serve")}
        p.grown(300)
        time.sleep(2)
        server.freeze()
        try:
            time.sleep(1)
            began, others = time.monotonic(), ("ingest", "archive", "serve")
            for role in others:
                processes[role].terminate()
            for role in others:
                _, errors = processes[role].communicate(timeout=30)
                sys.stdout.write(f"{role} ended after {time.monotonic() - began:.1f} s: {errors}\n")
                assert processes[role].returncode == 75, errors
                assert errors.startswith("tickhouse: the stores have not answered") and len(errors.splitlines()) == 1
        finally:
            server.thaw()
        _, errors = ended(processes["process"])
        assert processes["process"].returncode == 0, errors


def command(data, tape, url=None):
    config = [] if url is None else ["--config", str(settings_file(data, url))]
    return [
        sys.executable,
        "-m",
        "tickhouse",
        "load",
        str(tape),
        "--as",
        "binance",
        "--json",
        "--data",
        str(data),
        *config,
    ]


def settings_file(data, url):
    file = data.with_suffix(".toml")
    file.write_text(f'[warm]\nurl = "{url}"\n')
    return file


def contents(data, url=None):
    """Every version of everything that the stores hold, and the ledger."""
    pipeline = Pipeline(load(None, data, **({"warm__url": url} if url else {})))
    with closing(pipeline):
        every = Query(versions=True)
        tables = {name: getattr(pipeline.warm, name)(every) for name in ("bars", "indicators", "anomalies", "coverage")}
        plain = {name: table.drop_columns([c for c in ("known_at",) if c in table.column_names]).to_pylist()
                 for name, table in tables.items()}  # fmt: skip
        return plain | {"ledger": dict(pipeline.warm.ledger()), "symbols": pipeline.warm.symbols()}


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """A tape, and what a house of it holds whose warm store is SQLite."""
    folder = tmp_path_factory.mktemp("calm")
    tape = write(folder / "tape.ndjson", trades=60_000, symbols=20, rate=100.0, seed=3)
    began = time.monotonic()
    subprocess.run(command(folder / "calm", tape.path), capture_output=True, check=True)
    whole = time.monotonic() - began
    return tape.path, contents(folder / "calm"), whole


@pytest.mark.timeout(240)
def test_a_load_that_is_killed_again_and_again_ends_like_an_undisturbed_one_with_sqlite(tmp_path, calm):
    tape, expected, whole = calm
    dice = random.Random(5)
    with databases.empty() as url:
        wild = command(tmp_path / "wild", tape, url)
        for _ in range(8):
            process = subprocess.Popen(wild, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                process.wait(dice.uniform(0.4, 1.0) * whole)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            errors = process.communicate()[1].decode()
            assert process.returncode in (0, -signal.SIGKILL), errors
        subprocess.run(wild, capture_output=True, check=True)
        assert contents(tmp_path / "wild", url) == expected


WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock' AND query !~ 'LOCK TABLE'"


def cut_amid(url, table, times, process):
    """Hold a table, so that who writes into it waits amid a transaction, and cut its connection, so many times; how many were."""
    name, cuts = url.rpartition("/")[2].partition("?")[0], 0
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as judge:
        holder.execute(f"LOCK TABLE {table} IN SHARE MODE")
        while cuts < times and process.poll() is None:
            for (writer,) in judge.execute(WAITING, [name]).fetchall():
                cuts += judge.execute("SELECT pg_terminate_backend(%s, 5000)", [writer]).fetchone()[0]
            time.sleep(0.01)
    return cuts


@pytest.mark.timeout(120)
def test_connections_that_are_cut_amid_transactions_change_nothing(tmp_path, calm):
    """Once where bars are written, before anything else is; once where all is written but for the position, the last of it."""
    tape, expected, _ = calm
    with databases.empty() as url:
        open_url("stores", url).close()
        wild = subprocess.Popen(
            command(tmp_path / "wild", tape, url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        cuts = [cut_amid(url, table, 3, wild) for table in ("bars", "positions")]
        said, errors = wild.communicate()
        assert wild.returncode == 0, errors
        assert json.loads(said)
        assert cuts == [3, 3]
        away, back = told(errors, databases.server().partition("@")[0].rpartition(":")[2])
        assert 0 < away == back <= 2, errors
        assert contents(tmp_path / "wild", url) == expected


def test_a_wrong_password_is_one_sentence_without_the_password(tmp_path):
    from sqlalchemy.engine import make_url

    url = make_url(databases.server()).set(password="hidden-word").render_as_string(hide_password=False)
    config = settings_file(tmp_path / "house", url)
    for words in (["up", "--for", "1s"], ["load", str(config)], ["run", "serve", "--for", "1s"]):
        done = subprocess.run(
            [sys.executable, "-m", "tickhouse", *words, "--data", str(tmp_path / "house"), "--config", str(config)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.splitlines()) == 1 and "password authentication failed" in done.stderr, done.stderr
        assert "hidden-word" not in done.stderr + done.stdout
