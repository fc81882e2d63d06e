"""The key of an S3 server, also the one that a machine has by its role: an instance, a container, a web identity."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from tickhouse.core.errors import SettingsError, Unreachable
from tickhouse.core.secrets import Secret


@dataclass(frozen=True, slots=True)
class Key:
    """Credentials that were found."""

    id: str
    secret: Secret
    token: Secret | None = None


def of_machine(place: str) -> Key:
    """The key that this machine has now, by botocore, for those who do not find it themselves; obstore does.

    Raises `SettingsError` where there is none or no botocore, `Unreachable` where who gives it does not answer.
    """
    hint = "set lake.key_id and lake.secret, or the AWS credentials"
    try:
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

        session = _session()
    except ModuleNotFoundError:
        raise SettingsError(f"the key of this machine to {place} is found by botocore: install it, or {hint}") from None
    try:
        found = session.get_credentials()
        frozen = found and found.get_frozen_credentials()
    except (BotoCoreError, ClientError) as error:
        raise Unreachable(f"the key of this machine to {place} is not to be had now ({error})") from error
    if not frozen:
        raise SettingsError(f"no credentials for {place}; {hint}")
    return Key(frozen.access_key, Secret(frozen.secret_key), Secret(frozen.token) if frozen.token else None)


@cache
def _session() -> Any:
    """It keeps a key until that is about to expire."""
    from botocore.session import Session  # type: ignore[import-untyped]

    return Session()
