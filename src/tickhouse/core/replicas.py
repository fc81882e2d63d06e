"""Read replicas that a URL names beside its server: `postgresql://me@one/prices?replica=two:5432,three:5432&replica_lag=10s`."""

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from tickhouse.core.errors import BadSetting
from tickhouse.core.quantities import seconds

LAG = 10.0
OURS, PLACE = ("replica", "replica_lag"), ("host", "hostaddr", "port")
EXPECTED = "?replica=host:port[,host:port], each once, and a duration such as &replica_lag=10s"


@dataclass(frozen=True, slots=True)
class Places:
    """A server and its replicas, as URLs that know nothing of one another.

    A replica that is more than `lag` seconds behind is not asked.
    """

    url: str
    replicas: tuple[str, ...] = ()
    lag: float = LAG


def apart(url: str) -> Places:
    """The places that a URL names. Raises `BadSetting` for replicas that cannot be understood.

    >>> apart("postgresql://me:pw@one:1/prices?replica=two:2,three&sslmode=require&replica_lag=3s").replicas
    ('postgresql://me:pw@two:2/prices?sslmode=require', 'postgresql://me:pw@three/prices?sslmode=require')
    """
    if not url.startswith("postgresql:"):
        return Places(url)
    parts = urlsplit(url)
    given = [piece.partition("=") for piece in parts.query.split("&") if piece]
    ours = {name: value for name, _, value in given if name in OURS}
    if not ours:
        return Places(url)
    hosts = ours.get("replica", "").split(",")
    if not all(hosts) or len(set(hosts)) < len(hosts) or "@" in ours["replica"]:
        shown = ",".join(host.rpartition("@")[2] for host in hosts)
        raise BadSetting("warm.url", f"?replica={shown}", EXPECTED)
    rest = [(name, f"{name}={value}") for name, _, value in given if name not in OURS]
    user, at, _ = parts.netloc.rpartition("@")
    query = "&".join(text for name, text in rest if name not in PLACE)
    replicas = (urlunsplit(parts._replace(netloc=f"{user}{at}{host}", query=query)) for host in hosts)
    own = urlunsplit(parts._replace(query="&".join(text for _, text in rest)))
    return Places(own, tuple(replicas), seconds(ours.get("replica_lag", LAG), "warm.url replica_lag"))


def checked(url: str) -> str:
    """The URL itself. Raises `BadSetting` as `apart` does."""
    apart(url)
    return url
