"""A house whose lake is on S3: loaded, verified, traced, asked by SQL, replayed, and its lake copied to another place and back."""

import json
import os
from functools import cache
from pathlib import Path

import pytest

from tests.cli.inside import run
from tests.lake.buckets import moto, own
from tests.lake.scripted import Script, scripted
from tests.servers import S3
from tickhouse.core.settings import load as settings
from tickhouse.lake import _s3_key
from tickhouse.lake.local import open as open_local
from tickhouse.pipeline import Pipeline

__all__ = ["moto"]
GIVEN = {
    "AccessKeyId": "AccessKeyId",
    "SecretAccessKey": "SecretAccessKey",
    "SessionToken": "Token",
    "Expiration": "Expiration",
}
"""What a key is made of, at STS and at all others."""
ROLES = "/latest/meta-data/iam/security-credentials/"
LINES = [f"2026-03-02T10:{n // 60:02d}:{n % 60:02d}Z,{'AB'[n % 2]},{100 + n % 7},{1 + n % 3}" for n in range(1200)]


@pytest.fixture
def house(moto, tmp_path, monkeypatch):
    """A house with a file of ticks; all that its journal held is in the lake, and it has let go of it."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TICKHOUSE_")]:
        monkeypatch.delenv(name)
    with own(moto) as url:
        monkeypatch.setenv("TICKHOUSE_LAKE__URL", url("house"))
        (tmp_path / "t.csv").write_text("\n".join(["time,symbol,price,size", *LINES, ""]))
        assert good("load", "t.csv", "--data", "mine").returncode == 0
        pipeline = Pipeline(settings(None, tmp_path / "mine", journal__retain="1s", journal__retain_bytes=1))
        pipeline.journal.trim(pipeline.clock.now() + 10**12)
        assert pipeline.journal.begin() == pipeline.journal.end() > 1200
        pipeline.close()
        yield url


def good(*words):
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert "of-the-tests" not in done.stdout + done.stderr
    return done


def test_it_is_verified_and_told_of(house):
    assert json.loads(good("verify", "--json", "--data", "mine").stdout)["objects"] == 3
    lake = next(part for part in json.loads(run("doctor", "--json", "--data", "mine").stdout) if part["part"] == "lake")
    assert lake["ok"] and lake["message"] == "2 bronze objects"
    assert "balanced" in good("status", "--json", "--data", "mine").stdout


def test_a_bar_is_traced_to_messages_that_only_the_lake_has(house):
    found = json.loads(good("trace", "A", "2026-03-02T10:07", "--json", "--data", "mine").stdout)
    assert found["raw"]["count"] == found["ticks"] == 30
    assert found["raw"]["messages"][0]["payload"] == LINES[420]


@pytest.mark.slow
def test_sql_reads_it_and_nothing_beside_it(house):
    pytest.importorskip("duckdb_extension_httpfs", reason="DuckDB reads S3 with duckdb-extension-httpfs")
    ask = ("sql", "--data", "mine", "--json")
    rows = json.loads(
        good(*ask, "select symbol, count(*) as n, sum(size) as s from ticks group by 1 order by 1").stdout
    )
    assert rows == [{"symbol": symbol, "n": 600, "s": 1200.0} for symbol in "AB"]
    assert json.loads(good(*ask, "select count(*) as n from bronze where channel = 'ticks'").stdout) == [{"n": 1201}]
    for statement in ("from duckdb_secrets()", "from 's3://tickhouse/elsewhere.parquet'"):
        refused = run(*ask, statement)
        assert refused.returncode == 2 and "of-the-tests" not in refused.stderr


def lent(s3: S3) -> dict[str, str]:
    """A key of a server for some minutes, with the token without which it is worth nothing."""
    from botocore.session import Session

    about = {"aws_access_key_id": s3.key, "aws_secret_access_key": s3.secret, "endpoint_url": s3.endpoint}
    client = Session().create_client("sts", region_name="us-east-1", **about)
    given = client.assume_role(RoleArn="arn:xxx:xxx:xxx:xxxx", RoleSessionName="tests")["Credentials"]
    return {name: given[key] for key, name in GIVEN.items()} | {
        "Expiration": f"{given['Expiration']:%Y-%m-%dT%H:%M:%SZ}"
    }


def giver(key: dict[str, str]) -> Script:
    """Who gives the key at AWS: to a container, to an instance by its metadata, to a web identity by STS."""
    xml = "".join(f"<{tag}>{key[name]}</{tag}>" for tag, name in GIVEN.items())
    identity = f"<AssumeRoleWithWebIdentityResult><Credentials>{xml}</Credentials></AssumeRoleWithWebIdentityResult>"

    def script(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        if path == "/key" and headers["authorization"] == "let me in":
            return 200, json.dumps(key).encode()
        if method == "PUT" and path == "/latest/api/token":
            return 200, b"session"
        if path == ROLES and headers["x-aws-ec2-metadata-token"] == "session":
            return 200, b"reader"
        if path == f"{ROLES}reader" and headers["x-aws-ec2-metadata-token"] == "session":
            return 200, json.dumps({"Code": "Success", **key}).encode()
        if "WebIdentityToken=let" in f"{path}{body.decode()}":
            return 200, f"<AssumeRoleWithWebIdentityResponse>{identity}</AssumeRoleWithWebIdentityResponse>".encode()
        return 404, b""

    return script


def machine(where: str, key: dict[str, str], giver: str) -> dict[str, str]:
    """The environment of a machine whose key is there. The addresses are those of AWS where it is the real one."""
    Path("token").write_text("let me in")
    token = str(Path("token").absolute())
    return {
        "environment": {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "AWS_SESSION_TOKEN": key["Token"],
        },
        "container": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{giver}/key", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token},
        "instance": {"AWS_METADATA_ENDPOINT": giver, "AWS_EC2_METADATA_SERVICE_ENDPOINT": giver},
        "web identity": {
            "AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/reader",
            "AWS_ENDPOINT_URL_STS": giver, "AWS_DEFAULT_REGION": "us-east-1",
        },
    }[where]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("where", ["environment", "container", "instance"])
def test_sql_reads_it_with_a_key_and_a_token_that_are_lent(s3, tmp_path, monkeypatch, where):
    pytest.importorskip("duckdb_extension_httpfs", reason="DuckDB reads S3 with duckdb-extension-httpfs")
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("TICKHOUSE_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(_s3_key, "_session", cache(_s3_key._session.__wrapped__))
    key = lent(s3)
    secrets = (s3.secret, key["SecretAccessKey"], key["Token"])
    with own(s3) as url, scripted(giver(key)) as address:
        monkeypatch.setenv("TICKHOUSE_LAKE__URL", url("house").replace(f"{s3.key}:{s3.secret}@", ""))
        for name, value in machine(where, key, address).items():
            monkeypatch.setenv(name, value)
        Path("t.csv").write_text("\n".join(["time,symbol,price,size", *LINES, ""]))
        good("load", "t.csv", "--data", "mine")
        done = good("sql", "--data", "mine", "--json", "select count(*) as n from ticks")
        assert json.loads(done.stdout) == [{"n": 1200}]
        assert not any(secret in done.stdout + done.stderr for secret in secrets)


def test_the_key_of_a_web_identity_is_found_for_sql(tmp_path, monkeypatch):
    """obstore asks STS by TLS alone, so that here it is only botocore that asks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_s3_key, "_session", cache(_s3_key._session.__wrapped__))
    given = {"AccessKeyId": "k", "SecretAccessKey": "s", "Token": "t", "Expiration": "2100-01-01T00:00:00Z"}
    with scripted(giver(given)) as address:
        for name, value in machine("web identity", given, address).items():
            monkeypatch.setenv(name, value)
        found = _s3_key.of_machine("s3://bucket/house")
    assert (found.id, found.secret.reveal(), found.token and found.token.reveal()) == ("k", "s", "t")


def test_a_replay_of_it_is_the_same_house(house):
    bars = good("bars", "A", "--json", "--data", "mine").stdout
    refused = run("replay", "--data", "mine", "--into", "new")
    assert refused.returncode == 2 and "a place of its own" in refused.stderr and "of-the-tests" not in refused.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TICKHOUSE_LAKE__URL")
        Path("mine/tickhouse.toml").write_text(f'[lake]\nurl = "{house("house")}"\n')
        Path("new").mkdir()
        Path("new/tickhouse.toml").write_text("")
        good("replay", "--data", "mine", "--into", "new")
        assert good("bars", "A", "--json", "--data", "new").stdout == bars


def test_a_lake_is_copied_there_and_back_and_copying_again_copies_nothing(house, moto, tmp_path):
    with own(moto) as url:
        first = json.loads(good("copy", "--from", house("house"), "--to", str(tmp_path / "local"), "--json").stdout)
        assert (first["objects"], first["there"]) == (3, 0) and "********" in first["from"]
        again = json.loads(good("copy", "--from", house("house"), "--to", str(tmp_path / "local"), "--json").stdout)
        assert (again["objects"], again["bytes"], again["there"]) == (0, 0, 3)
        good("copy", "--from", str(tmp_path / "local"), "--to", url("back"))
        assert (
            json.loads(good("copy", "--from", url("back"), "--to", str(tmp_path / "local"), "--json").stdout)["there"]
            == 3
        )
    assert open_local(f"file://{tmp_path}/local").verify() == (3, ())
    assert run("copy", "--from", "s3://k:of-the-tests@x/y", "--to", "s3://k:of-the-tests@x/y").returncode == 2


def test_a_backup_says_that_the_lake_stays(house, tmp_path):
    said = good("backup", str(tmp_path / "backup"), "--data", "mine").stderr
    assert "the lake stays where it is" in said and "tickhouse copy --from s3://" in said
    assert not (tmp_path / "backup" / "lake").exists()
