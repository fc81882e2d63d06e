"""Where an S3 lake is and who asks: its URL, the settings, and the usual AWS environment and profiles."""

import configparser
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from obstore.store import S3Store

from tickhouse.core.errors import BadSetting, SettingsError
from tickhouse.core.quantities import seconds, size_bytes
from tickhouse.core.secrets import Secret, without_password
from tickhouse.lake._s3_key import Key, of_machine

if TYPE_CHECKING:
    from obstore.store import BackoffConfig, S3Config

FORM = "s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1"
OPTIONS = ("endpoint", "region", "profile", "style", "allow_http", "sse", "kms_key", "checksum", "timeout", "part")
ENCRYPTIONS, SUMS, STYLES = ("AES256", "aws:kms", "aws:kms:dsse"), ("SHA256", "CRC64NVME"), ("path", "virtual")
SMALLEST_PART = 5 << 20
LENDERS = (
    "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_METADATA_ENDPOINT",
)  # fmt: skip
"""Without one of these no key is looked for elsewhere for a server that is not AWS: it would be waited for in vain."""
TRIES, PATIENCE = 5, 20.0
"""How often a request is tried again, and for how many seconds from the first try on."""


@dataclass(frozen=True, slots=True)
class Access:
    """A bucket on a server, as it is reached; `key` None where the machine itself tells who asks (containers, instances)."""

    bucket: str
    prefix: str
    endpoint: str | None
    region: str
    key: Key | None
    virtual: bool
    timeout: float
    part: int
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """As errors name it."""
        return f"s3://{self.bucket}/{self.prefix} at {self.endpoint or 'AWS'}"

    def store(self) -> S3Store:
        """The store of obstore below the prefix."""
        config: S3Config = {"region": self.region, "virtual_hosted_style_request": self.virtual}
        config.update(self.more)  # type: ignore[typeddict-item]
        if self.endpoint:
            config["endpoint"] = self.endpoint
        backoff: BackoffConfig = {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=3),
            "base": 2,
        }
        plain = bool(self.endpoint and self.endpoint.startswith("http:"))
        return S3Store(
            self.bucket, prefix=self.prefix or None, config=config,
            client_options={
                "allow_http": plain, "timeout": f"{self.timeout:g}s", "connect_timeout": f"{min(self.timeout, 5.0):g}s",
            },
            retry_config={"max_retries": TRIES, "retry_timeout": timedelta(seconds=PATIENCE), "backoff": backoff},
            credential_provider=self._credentials if self.key else None,
        )  # fmt: skip

    def _credentials(self) -> Any:
        assert self.key is not None
        token = self.key.token.reveal() if self.key.token else None
        secret = self.key.secret.reveal()
        return {"access_key_id": self.key.id, "secret_access_key": secret, "token": token, "expires_at": None}

    def reach(self) -> dict[str, str]:
        """What DuckDB must be told, as the options of its secret. Raises `SettingsError` or `Unreachable` where there is no key."""
        key = self.key or of_machine(self.place)
        at = urlsplit(self.endpoint or f"https://s3.{self.region}.amazonaws.com")
        found = {"REGION": self.region, "ENDPOINT": at.netloc, "USE_SSL": str(at.scheme == "https").lower()}
        found |= {"URL_STYLE": "vhost" if self.virtual else "path", "SCOPE": f"s3://{self.bucket}/"}
        found |= {"KEY_ID": key.id, "SECRET": key.secret.reveal()}
        return found | ({"SESSION_TOKEN": key.token.reveal()} if key.token else {})


def access(url: str, key_id: Secret | None = None, secret: Secret | None = None) -> Access:
    """The access that a URL, settings and the environment give together. Raises `BadSetting` or `SettingsError`.

    A key in the settings goes before one in the URL, this before the environment's, and this before that of a profile; a profile
    that the URL names goes before the environment.
    """
    parts = urlsplit(url)
    bucket, given = parts.netloc.rpartition("@")[2], dict(parse_qsl(parts.query, keep_blank_values=True))
    if not bucket or ":" in bucket:
        raise BadSetting("lake.url", without_password(url), FORM)
    if unknown := sorted(set(given) - set(OPTIONS)):
        raise BadSetting("lake.url", f"?{unknown[0]}=", f"one of {', '.join(OPTIONS)}")
    profile = _profile(given.get("profile"))
    if (key_id is None) != (secret is None):
        missing = "key_id" if key_id is None else "secret"
        raise BadSetting(f"lake.{missing}", None, "both lake.key_id and lake.secret, or neither")
    region = given.get("region") or _env("AWS_REGION", "AWS_DEFAULT_REGION") or profile.get("region") or "us-east-1"
    endpoint = _endpoint(given)
    if secret is not None and key_id is not None:
        key: Key | None = Key(key_id.reveal(), secret)
    elif parts.username and parts.password:
        key = Key(unquote(parts.username), Secret(unquote(parts.password)))
    else:
        key = _found(profile, named="profile" in given)
    if key is None and endpoint and not _env(*LENDERS):
        raise SettingsError(f"no credentials for {endpoint}; set lake.key_id and lake.secret, or the AWS credentials")
    style = _one_of(given, "style", STYLES) or ("path" if endpoint or "." in bucket else "virtual")
    return Access(
        bucket, unquote(parts.path).strip("/"), endpoint, region, key, style == "virtual",
        seconds(given.get("timeout", "30s"), "lake.url?timeout"), _part(given), _more(given),
    )  # fmt: skip


def _endpoint(given: Mapping[str, str]) -> str | None:
    """The address of a server other than AWS, without TLS only on this machine unless that is allowed."""
    text = (given.get("endpoint") or _env("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") or "").rstrip("/")
    if not text:
        return None
    at = urlsplit(text)
    if at.scheme not in ("http", "https") or not at.hostname or at.username or at.path or at.query:
        raise BadSetting("lake.url?endpoint", without_password(text), "an address such as https://storage.example:9000")
    if at.scheme == "http" and not _own(at.hostname) and given.get("allow_http") != "true":
        expected = "https, as others could read and change what is sent; or &allow_http=true in a network of your own"
        raise BadSetting("lake.url?endpoint", text, expected)
    return text


def _own(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _part(given: Mapping[str, str]) -> int:
    part = size_bytes(given.get("part", "32MiB"), "lake.url?part")
    if part < SMALLEST_PART:
        raise BadSetting("lake.url?part", given["part"], "5MiB or more, as S3 wants it")
    return part


def _more(given: Mapping[str, str]) -> dict[str, str]:
    """What is passed on with every object: encryption and checksum."""
    sse, checksum = _one_of(given, "sse", ENCRYPTIONS), _one_of(given, "checksum", SUMS)
    found = {"server_side_encryption": sse, "checksum_algorithm": checksum, "sse_kms_key_id": given.get("kms_key")}
    if given.get("kms_key") and not (sse or "").startswith("aws:kms"):
        raise BadSetting("lake.url?kms_key", given["kms_key"], "sse=aws:kms beside it")
    return {name: value for name, value in found.items() if value}


def _one_of(given: Mapping[str, str], name: str, known: tuple[str, ...]) -> str | None:
    value = given.get(name)
    if value is not None and value not in known:
        raise BadSetting(f"lake.url?{name}", value, " or ".join(known))
    return value


def _found(profile: Mapping[str, str], named: bool) -> Key | None:
    """The key of the environment or of a profile."""
    env = {
        name: os.environ.get(name.upper(), "")
        for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    }
    for found in (profile, env) if named else (env, profile):
        if found.get("aws_access_key_id") and found.get("aws_secret_access_key"):
            token = found.get("aws_session_token")
            return Key(
                found["aws_access_key_id"], Secret(found["aws_secret_access_key"]), Secret(token) if token else None
            )
    return None


def _profile(named: str | None) -> dict[str, str]:
    """The profile of the URL, of AWS_PROFILE, or the default one, of the files that AWS's own tools read.

    Raises `BadSetting` for a name that is in neither.
    """
    name = named or _env("AWS_PROFILE", "AWS_DEFAULT_PROFILE") or "default"
    found: dict[str, str] = {}
    files = (("AWS_CONFIG_FILE", "config", f"profile {name}"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials", name))
    for variable, file, section in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(Path(os.environ.get(variable) or f"~/.aws/{file}").expanduser())
        except configparser.Error as error:
            raise SettingsError(f"AWS's file {file} cannot be read (line {getattr(error, 'lineno', '?')})") from None
        for one in (section, name) if name == "default" else (section,):
            found |= dict(parser[one]) if parser.has_section(one) else {}
    if named and not found:
        raise BadSetting("lake.url?profile", named, "a profile of ~/.aws/config or ~/.aws/credentials")
    return found


def _env(*names: str) -> str | None:
    return next((value for name in names if (value := os.environ.get(name))), None)
