"""What an S3 server's refusal means: whose fault it is, and whether waiting helps. No credential is ever in what is said."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape

from obstore.exceptions import AlreadyExistsError, BaseError

from tickhouse.core.errors import Busy, SettingsError, TickhouseError, Unreachable

KEY = {
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "TokenRefreshRequired", "XAdminUserNotFound",
    "InvalidSecurity", "MissingSecurityHeader", "NotSignedUp", "InvalidClientTokenId",
}  # fmt: skip
REGION = {
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "TemporaryRedirect",
    "IllegalLocationConstraintException",
}
FULL = {
    "XMinioStorageFull", "InsufficientStorage", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "NoSpaceLeft", "StorageFull",
    "InsufficientCapacity",
}  # fmt: skip
BUSY = {"SlowDown", "RequestLimitExceeded", "ThrottlingException", "TooManyRequests", "ServiceUnavailable"}
CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}
ROOM = 5.0
"""Seconds after which a server that has no room may be asked again: somebody must make some."""
THERE = (AlreadyExistsError,)
"""What a conditional put raises for an object that exists."""


class Unable(SettingsError):
    """The server has no such thing as what was asked of it."""


@contextmanager
def meaning(place: str, bucket: str, region: str) -> Iterator[None]:
    """Raise what a refusal means. `FileNotFoundError` for an object that is not there, and `THERE`, are answers and stay."""
    try:
        yield
    except THERE:
        raise
    except (BaseError, FileNotFoundError, ValueError, OSError) as error:
        code = _code(str(error))
        if isinstance(error, FileNotFoundError) and code in ("", "NoSuchKey", "NotFound"):
            raise
        raise _meant(str(error), code, (place, bucket, region)) from None


def _code(text: str) -> str:
    found = re.search(r"<Code>\s*(\w+)\s*</Code>", text)
    return found[1] if found else ""


def _status(text: str) -> int:
    found = re.search(r"non-2xx status code: (\d{3})", text)
    return int(found[1]) if found else 0


def _said(text: str) -> str:
    """The server's own words in a few."""
    found = re.search(r"<Message>(.*?)</Message>", text, re.DOTALL)
    return f": {' '.join(unescape(found[1]).split())[:200]}" if found else ""


def _meant(text: str, code: str, where: tuple[str, str, str]) -> TickhouseError:
    place, status = where[0], _status(text)
    told = f"{status} {code}".strip()
    if code in FULL or status == 507:
        return Busy(f"{place} has no room left ({told}); nothing is lost, make room there", retry_after=ROOM)
    if status == 501 or code == "NotImplemented":
        return Unable(
            f"{place} is not able to do what was asked of it ({told}{_said(text)}); perhaps lake.url asks for too much"
        )
    fixed = _settings(text, code, status, where)
    if fixed:
        return SettingsError(fixed)
    if status in (429, 503) or code in BUSY:
        return Busy(f"{place} asks to be asked less ({told})")
    if status >= 500 or not status:
        return Unreachable(f"{place} does not answer{f' well ({told})' if status else f': {_line(text)}'}")
    return SettingsError(
        f"{place} refuses what was asked of it ({told}{_said(text)}); is it an S3 server, and lake.url right?"
    )


def _settings(text: str, code: str, status: int, where: tuple[str, str, str]) -> str | None:
    """What is to be changed so that the server agrees, if that is it."""
    place, bucket, region = where
    if code in ("NoSuchBucket", "InvalidBucketName"):
        return f"there is no bucket {bucket!r} at {place.rpartition(' at ')[2]}; make it there, or name another in lake.url"
    if code in KEY or status == 401:
        return f"{place} does not accept the key ({code or status}); set lake.key_id and lake.secret, or the AWS credentials"
    if code in CLOCK:
        return f"{place} says that the clock of this machine is wrong ({code}); set it"
    if code in REGION or "without LOCATION" in text or status in (301, 307) or (status == 400 and not code):
        expected = re.search(r"<Region>([\w-]+)</Region>", text)
        right = f"; it is {expected[1]}" if expected else ""
        return f"{place} is not in the region {region}{right}; write ?region=... into lake.url"
    if code.startswith(("KMS", "ServerSideEncryption")) or (code and "ncrypt" in _said(text)):
        return f"{place} does not encrypt as lake.url says ({code}{_said(text)}); change or leave out sse and kms_key"
    if status == 403 or code == "AccessDenied":
        return (
            f"{place} does not let this key do that ({code or status}); it must be right, and may list the bucket and get, put and "
            "delete its objects"
        )
    if "certificate" in text.lower():
        return f"the certificate of {place} is not trusted; give it one that this machine knows"
    if "169.254.169.254" in text or "/latest/api/token" in text:
        return f"no credentials for {place}; set lake.key_id and lake.secret, or the AWS credentials"
    return None


def _line(text: str) -> str:
    """Why nothing was answered, in a few words."""
    known = {
        "Timeout": "nothing was heard in time",
        "Connect": "no connection",
        "Interrupted": "the connection broke off",
    }
    found = re.search(r"kind: (\w+)", text)
    return known.get(found[1] if found else "", "the request failed")
