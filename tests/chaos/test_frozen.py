"""What is asked of the API while the warm store's server hangs is answered in time, with when to ask again; and answered when it is
back."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tools.services.server import free_port

from tests.chaos.roles import ROLES, roles

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_the_api_says_503_and_when_to_ask_again_while_postgres_hangs(tmp_path, private_server):
    server, port = private_server("postgres"), free_port()
    with roles(tmp_path, {"warm": server.url}, rate=100, port=port) as house:
        house.start(*ROLES)
        house.grown(300)
        symbol = house.world.symbols[0]
        paths = [
            f"/v1/bars/{symbol}?interval=2s",
            f"/v1/latest?symbols={symbol}",
            "/v1/symbols",
            "/v1/status",
            "/v1/ready",
        ]
        paths += [f"/v1/coverage/{symbol}", "/v1/quality"] * 3

        def asked(path: str) -> tuple[str, int, float, str | None, str]:
            began = time.monotonic()
            answer = httpx.get(f"http://127.0.0.1:{port}{path}", timeout=60)
            return path, answer.status_code, time.monotonic() - began, answer.headers.get("Retry-After"), answer.text

        house.until(lambda: asked("/v1/ready")[1] == 200, "it is not ready")
        server.freeze()
        try:
            with ThreadPoolExecutor(16) as pool:
                answers = list(pool.map(asked, paths))
            assert asked("/v1/health")[1] == 200
        finally:
            server.thaw()
        for path, status, took, again, text in answers:
            sys.stdout.write(f"{path} {status} {took:.1f} s, Retry-After {again}: {text[:160]}\n")
        refused = [one for one in answers if not one[0].startswith("/v1/latest")]
        assert {status for _, status, _, _, _ in refused} == {503}
        assert all(again and 1 <= int(again) <= 10 for _, _, _, again, _ in refused)
        assert max(took for _, _, took, _, _ in answers) < 20
        house.until(lambda: {asked(path)[1] for path in paths} == {200}, "it does not answer again", 30)
        house.whole()
        house.quiet()
        assert "Traceback" not in "".join(house[name].said for name in ROLES)
