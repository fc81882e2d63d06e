"""The lake on S3: who is let in, what refusals mean, how objects are put and listed, and what is fetched of them."""

import json
import re
import sys
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from functools import cache

import obstore
import pytest

from tests.contracts.test_lake import everything, raws, records
from tests.journal.samples import SECOND, T0, entry, noise
from tests.lake.buckets import address, moto, own
from tests.lake.scripted import error, scripted
from tests.servers import S3
from tickhouse.core.errors import (
    BadSetting,
    Busy,
    CorruptLog,
    SettingsError,
    Temporary,
    TickhouseError,
    Unreachable,
)
from tickhouse.core.secrets import Secret
from tickhouse.core.settings import LakeSettings, Settings
from tickhouse.lake import _s3_key
from tickhouse.lake.local import open as open_local
from tickhouse.lake.s3 import open as open_lake

__all__ = ["moto"]
EMPTY = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
VARIABLES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
)  # fmt: skip


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """An environment in which nobody is known to AWS's tools."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


@pytest.fixture
def place(moto):
    with own(moto) as url:
        yield url


def at(endpoint: str, **more: str):
    return open_lake(address(S3(endpoint, "b", "me", "hidden"), "p", **more))


def test_the_key_is_that_of_the_settings_the_url_the_environment_or_a_profile(moto, monkeypatch, tmp_path):
    url = f"s3://bucket/p?endpoint={moto.endpoint}"
    with pytest.raises(SettingsError, match=r"no credentials.*lake\.key_id"):
        open_lake(url)
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id=file\naws_secret_access_key=s\n[other]\naws_access_key_id=named\n"
        "aws_secret_access_key=s\naws_session_token=t\n"
    )
    (tmp_path / "config").write_text("[profile other]\nregion=eu-north-1\n")
    assert open_lake(url).access.key.id == "file"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "env")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert open_lake(url).access.key.id == "env"
    named = open_lake(f"{url}&profile=other").access
    assert (named.key.id, named.key.token.reveal(), named.region) == ("named", "t", "eu-north-1")
    assert open_lake(url.replace("//", "//mine:s@", 1)).access.key.id == "mine"
    assert open_lake(url, key_id=Secret("set"), secret=Secret("s")).access.key.id == "set"
    with pytest.raises(BadSetting, match=r"lake\.secret"):
        open_lake(url, key_id=Secret("set"))
    with pytest.raises(BadSetting, match="profile"):
        open_lake(f"{url}&profile=none")


def test_a_token_of_the_environment_is_not_sent_with_another_key(moto, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another key")
    seen = []

    def script(method, path, headers, body):
        seen.append(headers)
        return 200, EMPTY

    with scripted(script) as endpoint:
        assert list(at(endpoint).objects()) == []
    assert seen and not any("x-amz-security-token" in headers for headers in seen)


def test_sql_is_told_the_key_of_the_machine_or_what_is_wrong_with_it(monkeypatch, tmp_path):
    monkeypatch.setattr(_s3_key, "_session", cache(_s3_key._session.__wrapped__))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    lake, expires = open_lake("s3://bucket/p?region=eu-north-1"), (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    with pytest.raises(SettingsError, match=r"no credentials for s3://bucket/p at AWS; set lake\.key_id"):
        lake.reach()
    asked = []

    def script(method, path, headers, body):
        asked.append(headers["authorization"])
        key = {"AccessKeyId": f"k{len(asked)}", "SecretAccessKey": "s", "Token": "t", "Expiration": expires}
        return 200, json.dumps(key).encode()

    (tmp_path / "token").write_text("let me in")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    with scripted(script) as giver:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{giver}/key")
        found = lake.reach()
        assert lake.reach() == found and asked == ["let me in"]
        assert (found["KEY_ID"], found["SECRET"], found["SESSION_TOKEN"], found["REGION"]) == (
            "k1",
            "s",
            "t",
            "eu-north-1",
        )
        _s3_key._session.cache_clear()
    with pytest.raises(Unreachable, match="the key of this machine to s3://bucket/p at AWS is not to be had now"):
        lake.reach()
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)
    with pytest.raises(SettingsError, match="is found by botocore: install it, or set"):
        lake.reach()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3:///prefix", "s3://bucket/prefix"),
        ("s3://k:hidden@b/p?colour=red", "one of endpoint"),
        ("s3://k:hidden@b/p?endpoint=http://storage.example:9000", "https"),
        ("s3://k:hidden@b/p?endpoint=storage:9000", "https://storage.example"),
        ("s3://k:hidden@b/p?sse=rot13", "AES256 or aws:kms"),
        ("s3://k:hidden@b/p?kms_key=x", "sse=aws:kms"),
        ("s3://k:hidden@b/p?part=1MiB", "5MiB"),
        ("s3://k:hidden@b/p?timeout=soon", "duration"),
    ],
)
def test_a_bad_url_is_named_without_its_secret(url, said):
    with pytest.raises(BadSetting, match=re.escape(said)) as caught:
        open_lake(url)
    assert "hidden" not in str(caught.value)


def test_plain_http_is_for_this_machine_unless_it_is_allowed():
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert open_lake(f"s3://k:s@b/p?endpoint=http://{host}:9000").access.endpoint == f"http://{host}:9000"
    assert open_lake("s3://k:s@b/p?endpoint=http://minio:9000&allow_http=true").access.endpoint == "http://minio:9000"


def test_aws_is_asked_by_the_name_of_the_bucket_and_others_by_a_path():
    assert open_lake("s3://k:s@b/p?region=eu-west-1").access.virtual
    assert not open_lake("s3://k:s@dotted.b/p").access.virtual
    assert not open_lake("s3://k:s@b/p?endpoint=https://storage.example").access.virtual
    assert open_lake("s3://k:s@b/p?endpoint=https://storage.example&style=virtual").access.virtual


def test_nothing_that_is_shown_holds_the_secret(place):
    lake = open_lake(place())
    shown = [repr(lake), repr(lake.access), lake.place, lake.url("ticks"), repr(lake._store), repr(lake._store.config)]
    assert not any("of-the-tests" in text for text in shown)


REFUSED = [
    (403, error("SignatureDoesNotMatch"), SettingsError, r"key.*lake\.key_id"),
    (403, error("AccessDenied"), SettingsError, "does not let this key"),
    (404, error("NoSuchBucket"), SettingsError, "no bucket 'b'"),
    (
        400,
        b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-1</Region></Error>",
        SettingsError,
        "it is eu-1",
    ),
    (403, error("RequestTimeTooSkewed"), SettingsError, "clock"),
    (507, error("XMinioStorageFull"), Busy, "make room there"),
    (403, error("QuotaExceeded"), Busy, "make room there"),
    (503, error("SlowDown"), Busy, "asked less"),
    (500, error("InternalError"), Unreachable, "does not answer well"),
    (405, error("MethodNotAllowed", "not here"), SettingsError, "not here"),
]


@pytest.mark.parametrize(("status", "body", "kind", "said"), REFUSED)
def test_a_refusal_tells_whose_fault_it_is_and_whether_waiting_helps(status, body, kind, said, monkeypatch):
    monkeypatch.setattr("tickhouse.lake._s3_access.TRIES", 1)
    with scripted(lambda method, *_: (404, b"") if method == "HEAD" else (status, body)) as endpoint:
        lake = at(endpoint)
        for ask in (lambda: list(lake.objects()), lambda: lake.write(records(raws([b"1"])))):
            with pytest.raises(kind, match=said) as caught:
                ask()
            assert "hidden" not in str(caught.value)


@pytest.mark.slow
def test_a_server_that_is_not_there_or_says_nothing_is_unreachable_in_bounded_time(monkeypatch):
    monkeypatch.setattr("tickhouse.lake._s3_access.PATIENCE", 2.0)
    with pytest.raises(Unreachable, match="no connection"):
        list(at("http://127.0.0.1:9").objects())

    def silent(*_):
        time.sleep(8)
        return 200, EMPTY

    with scripted(silent) as endpoint:
        began = time.monotonic()
        with pytest.raises(Unreachable, match="nothing was heard in time"):
            list(at(endpoint, timeout="500ms").objects())
        assert time.monotonic() - began < 6


class Plain:
    """A server that keeps objects and knows no conditions."""

    def __init__(self, condition: int) -> None:
        self.condition, self.held, self.puts = condition, dict[str, bytes](), 0

    def __call__(self, method, path, headers, body):
        if method == "GET":
            return 200, EMPTY
        if method == "PUT":
            self.puts += 1
            if "if-none-match" in headers and self.condition:
                return self.condition, error("NotImplemented")
            self.held[path] = body
            return 200, b""
        return (200, self.held[path]) if path in self.held else (404, b"")


@pytest.mark.parametrize("condition", [0, 501])
def test_without_conditional_puts_an_object_that_exists_is_still_left_as_it_is(condition, monkeypatch):
    monkeypatch.setattr("tickhouse.lake._s3_access.TRIES", 0)
    server, run = Plain(condition), records(entry(5))
    with scripted(server) as endpoint:
        lake = at(endpoint)
        first = lake.write(run)
        puts = server.puts
        assert lake.write(run) == first and server.puts == puts
    assert len(server.held) == 2


def test_an_answer_that_is_lost_does_not_make_an_object_fail():
    """The server has the object, and its answer never came."""
    held = {}

    def script(method, path, headers, body):
        if method == "PUT":
            held[path] = body
            return 500, error("InternalError")
        return (200, held[path]) if method == "HEAD" and path in held else (404, b"")

    with scripted(script) as endpoint:
        (item,) = at(endpoint).write(records(raws([b"1"])))
    assert item.size == len(next(iter(held.values())))


def test_encryption_and_checksum_are_asked_for_with_every_object():
    seen = []

    def script(method, path, headers, body):
        seen.append((method, headers))
        return (404, b"") if method == "HEAD" else (200, b"")

    with scripted(script) as endpoint:
        at(endpoint, sse="aws:kms", kms_key="arn:key", checksum="SHA256").write(records(raws([b"1"])))
    (put,) = [headers for method, headers in seen if method == "PUT"]
    assert put["x-amz-server-side-encryption"] == "aws:kms"
    assert put["x-amz-server-side-encryption-aws-kms-key-id"] == "arn:key"
    assert put["x-amz-checksum-sha256"] and put["if-none-match"] == "*"
    assert len(put["x-amz-content-sha256"]) == 64


@pytest.mark.parametrize("server", ["moto", "s3", "s3_second"])
def test_a_large_object_goes_in_parts_and_has_the_same_bytes(server, request, tmp_path):
    run = records(noise(12, 1 << 20))
    local = open_local(f"file://{tmp_path}/lake")
    with own(request.getfixturevalue(server), part="5MiB") as url:
        lake = open_lake(url())
        (item,) = lake.write(run)
        assert lake.write(run) == [item] == local.write(run)
        assert obstore.head(lake._store, item.name)["e_tag"].strip('"').endswith(("-2", "-3"))
        assert lake.content(item) == local.content(item)


def test_ticks_are_read_in_ranges_and_only_from_objects_that_may_hold_them(place, monkeypatch):
    lake = open_lake(place())
    for n in range(3):
        lake.write(records(entry(40_000, 40_000 * n), first=40_000 * n))
    sizes = {item.name: item.size for item in lake.objects("ticks")}
    fetched = []
    get = obstore.get_range
    monkeypatch.setattr(
        obstore, "get_range", lambda s, n, **at: fetched.append((n, at["end"] - at["start"])) or get(s, n, **at)
    )
    assert sum(map(len, lake.ticks("binance", "S0", T0, T0 + 10 * SECOND))) == 5
    again = open_lake(place())
    fetched.clear()
    assert sum(map(len, again.ticks("binance", "S0", T0, T0 + 10 * SECOND))) == 5
    assert {name for name, _ in fetched} == {next(iter(sizes))}
    fetched.clear()
    assert list(again.ticks("binance", "S0", 0, 1 << 60, 500_000)) == [] == fetched


def test_spans_that_are_kept_may_be_damaged_or_gone(place):
    lake = open_lake(place())
    lake.write(records(entry(10)))
    expected = [batch.raw.tolist() for batch in lake.ticks("binance", "S0", 0, 1 << 60)]
    (kept,) = [one["path"] for page in obstore.list(lake._store, ".index") for one in page]
    for damage in (lambda: obstore.put(lake._store, kept, b"x" * 40), lambda: obstore.delete(lake._store, kept)):
        damage()
        assert [batch.raw.tolist() for batch in open_lake(place()).ticks("binance", "S0", 0, 1 << 60)] == expected


def test_ticks_whose_messages_never_came_give_way_to_the_run_that_takes_their_place(place):
    lake = open_lake(place())
    _, bronze = lake.write(records(entry(3)))
    obstore.delete(lake._store, bronze.name)
    lake.write(records(entry(3), entry(2, 3)))
    assert [(o.first, o.last) for o in lake.objects("ticks")] == [(0, 4)]


def test_damage_is_named(place):
    lake = open_lake(place())
    ticks, bronze = lake.write(records(entry(200)))
    for item in (ticks, bronze):
        whole = lake.content(item)
        for damaged in (whole[:-9], whole[: len(whole) // 2], b""):
            obstore.put(lake._store, item.name, damaged)
            count, faults = lake.verify()
            assert (count, len(faults)) == (2, 1) and item.name in faults[0]
        obstore.put(lake._store, item.name, whole)
    with pytest.raises(CorruptLog, match="gone"):
        obstore.delete(lake._store, bronze.name)
        list(lake.read(bronze))


def test_names_that_are_no_good_for_a_path_stay_below_the_prefix(place, tmp_path):
    lake, other, local = open_lake(place("a")), open_lake(place("b")), open_local(f"file://{tmp_path}/lake")
    for source in ("../up", "..", "a/b", "a", "€"):
        local.write(run := records(raws([b"x"], source=source, channel="..")))
        lake.write(run)
    assert list(lake.objects()) == list(local.objects())
    assert {o.source for o in lake.objects()} == {"..", "../up", "€", "a", "a/b"}
    assert list(other.objects()) == []
    assert everything(lake, "..") == everything(lake, "../up")


@pytest.mark.slow
def test_listing_holds_a_page_and_not_the_lake(s3, monkeypatch):
    """The memory of a walk over four times as many objects is the same."""
    monkeypatch.setattr("tickhouse.lake._s3_index.PAGE", 50)
    with own(s3) as url:
        lake, few = open_lake(url("many")), open_lake(url("few"))
        filled(few, 200)
        filled(lake, 800)
        list(few.objects())
        small, large = peak(few, 200), peak(lake, 800)
        assert large < 1.5 * small, (small, large)


def filled(lake, count: int) -> None:
    for n in range(count):
        name = f"bronze/source=s/channel=c/date=2026-01-{1 + 28 * n // count:02d}/{n:020d}-{n:020d}.ndjson.gz"
        obstore.put(lake._store, name, b"x", use_multipart=False)


def peak(lake, count: int) -> int:
    """The most bytes that a walk over all objects holds at a time."""
    tracemalloc.start()
    try:
        assert sum(1 for _ in lake.objects()) == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_day_with_more_objects_than_fit_comes_in_parts(place, monkeypatch):
    monkeypatch.setattr("tickhouse.lake._s3_index.MOST", 2)
    lake = open_lake(place())
    for n in range(5):
        lake.write(records(entry(2, 2 * n), first=2 * n))
    assert [o.first for o in lake.objects()] == [0, 2, 4, 6, 8]
    for again in (lake, open_lake(place())):
        assert [i for batch in again.ticks("binance", "S0", 0, 1 << 60) for i in batch.raw.tolist()] == [0, 2, 4, 6, 8]


def test_errors_are_ours(place):
    """What is no object of ours is passed over; what cannot be reached is one of our errors."""
    lake = open_lake(place())
    obstore.put(lake._store, "bronze/source=s/channel=c/date=2026-01-01/notes.txt", b"x")
    obstore.put(lake._store, "bronze/readme", b"x")
    assert list(lake.objects()) == []
    assert issubclass(Unreachable, Temporary) and issubclass(Temporary, TickhouseError)


def test_a_house_may_be_named_by_its_folder(tmp_path):
    lake = LakeSettings(url="s3://k:s@b/{data}?endpoint=http://127.0.0.1:9")
    url = Settings(data=tmp_path / "mine", lake=lake).lake_url
    assert open_lake(url).url("ticks") == f"s3://b{tmp_path}/mine/ticks/**/*.parquet"
