"""The page in a real browser: candles drawn, live changes, phone width, dark, keyboard, lost connections."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.surfaces.house import BLIND, MINUTE, MemoryHouse
from tests.surfaces.serving import Served, served
from tickhouse.core.secrets import Secret

pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]
ARTIFACTS = Path(__file__).resolve().parents[2] / "artifacts"
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync"]  # fmt: skip

INK = """() => {
  const counts = {};
  for (const canvas of document.querySelectorAll('#chart canvas')) {
    const context = canvas.getContext('2d');
    if (!canvas.width || !canvas.height) continue;
    const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3] < 200) continue;
      const colour = data[i] + ',' + data[i + 1] + ',' + data[i + 2];
      counts[colour] = (counts[colour] || 0) + 1;
    }
  }
  return counts;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, without a window."""
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("the page is tested with Chromium, which is not here")
        pytest.skip("there is no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Served, MemoryHouse]]:
    """A house of four hours, served."""
    house = MemoryHouse(240)
    with served(house) as server:
        yield server, house


@contextlib.contextmanager
def opened(browser: Any, url: str, width: int = 1280, height: int = 860, dark: bool = False) -> Iterator[Any]:
    """The page, loaded and live; at the end nothing may have gone wrong and nobody else may have been asked."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", has_touch=width < 500,
        is_mobile=width < 500, device_scale_factor=1,
    )  # fmt: skip
    page = context.new_page()
    wrong: list[str] = []
    page.on(
        "console",
        lambda m: wrong.append(m.text) if m.type in ("error", "warning") and "Canvas2D" not in m.text else None,
    )
    page.on("pageerror", lambda e: wrong.append(str(e)))
    page.on("request", lambda r: wrong.append(r.url) if not r.url.startswith((url, "data:", "blob:")) else None)
    page.goto(url)
    page.wait_for_selector("#chart[data-bars]", timeout=15_000)
    page.wait_for_selector("#link[data-state=live]", timeout=15_000)
    page.wait_for_function("() => document.querySelectorAll('#strip i').length > 0")
    yield page
    context.close()
    assert wrong == []


def shot(page: Any, name: str, **options: Any) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"page-{name}.png", **options)


def ink(page: Any, name: str) -> int:
    """How many pixels of the chart have a colour of the page, or nearly: lines are smoothed."""
    text = page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('{name}').trim()")
    wanted = [int(text[i : i + 2], 16) for i in (1, 3, 5)]
    drawn = {tuple(map(int, colour.split(","))): count for colour, count in page.evaluate(INK).items()}
    return sum(
        count for colour, count in drawn.items() if all(abs(a - b) < 24 for a, b in zip(colour, wanted, strict=True))
    )


def test_candles_overlays_and_marks_are_drawn(browser: Any, site: tuple[Served, MemoryHouse]) -> None:
    server, _ = site
    with opened(browser, server.url) as page:
        page.wait_for_timeout(400)
        for colour, least in (
            ("--up", 1500),
            ("--down", 1500),
            ("--sma", 150),
            ("--ema", 150),
            ("--band", 150),
            ("--amber", 20),
        ):
            assert ink(page, colour) >= least, colour
        assert int(page.get_attribute("#chart", "data-bars")) == 240 - (BLIND[1] - BLIND[0])
        assert page.locator("#simulated").is_visible() and page.inner_text("#simulated") == "Simulated data"
        assert (
            page.inner_text("#cover") == "live"
            and page.inner_text("#ledger") == "balances"
            and page.inner_text("#lag") == "12 ms"
        )
        assert (
            "TradingView" in page.inner_text(".foot")
            and page.locator('.foot a[href="https://www.tradingview.com/"]').count()
        )
        shot(page, "desktop")


def test_a_gap_is_hatched_and_an_anomaly_marked(browser: Any, site: tuple[Served, MemoryHouse]) -> None:
    server, _ = site
    with opened(browser, server.url) as page:
        page.wait_for_timeout(300)
        assert ink(page, "--violet") == 0
        page.locator("#chart").focus()
        for _ in range(8):
            page.keyboard.press("PageUp")
        page.wait_for_timeout(300)
        assert ink(page, "--violet") > 20
        assert page.locator("#strip i[data-state=blind]").count() == 1
        assert "blind: no feed" in page.inner_text("#covered") and "812" in page.inner_text("#covered")
        shot(page, "marks")


def test_a_trade_moves_the_forming_bar_without_a_reload(browser: Any, site: tuple[Served, MemoryHouse]) -> None:
    server, house = site
    with opened(browser, server.url) as page:
        page.evaluate(
            "window.drawn = 0; new MutationObserver(() => drawn++).observe(document.getElementById('chart'), {childList: true})"
        )
        price = round(house.forming_rows["BTC-USDT", "1m"]["open"] + 12.34, 2)
        house.tick("BTC-USDT", price)
        page.wait_for_function(f"() => document.getElementById('price').textContent === '{price:,.2f}'", timeout=3000)
        assert float(page.get_attribute("#chart", "data-close")) == price
        assert f"{price:,.2f}" in page.inner_text("#readout") and f"{price:,.2f}" in page.inner_text("#watch")
        assert page.evaluate("window.drawn") == 0


def test_a_bar_closes_the_next_begins_and_one_is_corrected(browser: Any) -> None:
    house = MemoryHouse(120)
    with served(house) as server, opened(browser, server.url) as page:
        bars = int(page.get_attribute("#chart", "data-bars"))
        house.close("BTC-USDT")
        page.wait_for_function(f"() => document.getElementById('chart').dataset.bars === '{bars + 1}'", timeout=3000)
        amber = ink(page, "--amber")
        row = house.correct("BTC-USDT", house.begin + 115 * MINUTE, house.forming_rows["BTC-USDT", "1m"]["close"])
        page.wait_for_timeout(400)
        assert ink(page, "--amber") > amber
        page.locator(".rows summary").click()
        page.wait_for_selector("#table tbody tr")
        assert f"corrected, version {row['version']}" in page.inner_text("#table")


def test_a_symbol_of_a_group_is_shown_as_one_series_whichever_feed_is_in_use(browser: Any) -> None:
    house = MemoryHouse(120)
    house.chosen["ETH-USDT"] = "binance"
    with served(house) as server, opened(browser, server.url) as page:
        page.locator("#watch button", has_text="ETH-USDT").click()
        page.wait_for_function(
            "() => document.getElementById('feed').offsetParent && document.querySelector('#chart[aria-busy=false]')"
        )
        assert page.inner_text("#feed") == "binance" and page.locator("#key-feed").is_visible()
        bars, soft = int(page.get_attribute("#chart", "data-bars")), ink(page, "--soft")
        house.close("ETH-USDT")
        house.switch("ETH-USDT", "coingecko")
        price = round(house.forming_rows["ETH-USDT", "1m"]["open"] + 1.5, 2)
        house.tick("ETH-USDT", price)
        page.wait_for_function(
            f"() => Number(document.getElementById('chart').dataset.close) === {price}", timeout=3000
        )
        page.wait_for_function("() => document.getElementById('feed').textContent === 'coingecko'", timeout=3000)
        assert int(page.get_attribute("#chart", "data-bars")) == bars + 1
        assert f"{price:,.2f}" == page.inner_text("#price") and "coingecko" in page.inner_text("#readout")
        page.wait_for_timeout(200)
        assert ink(page, "--soft") > soft + 20, "the switch is marked where it was"
        for name, width, height, scheme in (
            ("desktop", 1280, 860, "light"), ("phone", 390, 844, "light"), ("dark", 1280, 860, "dark"),
        ):  # fmt: skip
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(200)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            shot(page, f"group-{name}")
        page.locator("#watch button", has_text="BTC-USDT").click()
        page.wait_for_function(
            "() => document.title.startsWith('BTC-USDT') && document.getElementById('feed').offsetParent === null"
        )
        assert "binance" not in page.inner_text("#readout"), "of a symbol in no group nothing is said"


def test_what_another_channel_knew_counts(browser: Any) -> None:
    """A hole that the provider's history filled is no hole any more: not in the strip, not in the chart."""
    house = MemoryHouse(240)
    with served(house) as server, opened(browser, server.url) as page:
        assert page.locator("#strip i[data-state=blind]").count() == 1
        stretch = {"source": "binance", "symbol": "BTC-USDT", "channel": "klines", "state": "backfilled", "missing": 0}
        start, end = (house.begin + minute * MINUTE for minute in BLIND)
        for _ in range(50):  # what it hears beside its bars it asks for once it is live
            house.emit("coverage", [{**stretch, "start": start, "end": end}])
            page.wait_for_timeout(100)
            if not page.locator("#strip i[data-state=blind]").count():
                break
        assert not page.locator("#strip i[data-state=blind]").count()
        assert page.locator("#strip i[data-state=backfilled]").count() == 2 and "blind" not in page.inner_text(
            "#covered"
        )


def test_a_lost_connection_comes_back_and_misses_nothing(browser: Any) -> None:
    house = MemoryHouse(60)
    with served(house) as server, opened(browser, server.url) as page:
        sockets: list[Any] = []
        page.on("websocket", lambda one: sockets.append(one))  # noqa: PLW0108
        page.wait_for_selector("#link[data-state=live]", timeout=5000)
        server.hub._loop.call_soon_threadsafe(lambda: [client.end() for client in list(server.hub.clients)])
        page.wait_for_selector("#link[data-state=lost]", timeout=3000)
        done = house.close("BTC-USDT")
        price = round(done["close"] + 5, 2)
        house.tick("BTC-USDT", price)
        page.wait_for_selector("#link[data-state=live]", timeout=5000)
        page.wait_for_function(f"() => Number(document.getElementById('chart').dataset.close) === {price}")
        assert int(page.get_attribute("#chart", "data-bars")) == 61
        page.wait_for_timeout(500)  # events of the browser come a moment later
        assert any("resume=" in one.url for one in sockets)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(browser: Any, site: tuple[Served, MemoryHouse], dark: bool) -> None:
    server, _ = site
    with opened(browser, server.url, 390, 844, dark) as page:
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        box = page.locator("#chart").bounding_box()
        assert box["width"] > 340 and box["y"] + 200 < 844
        for target in page.locator("#watch button, #theme, #intervals label").all():
            assert target.bounding_box()["height"] >= 38
        shot(page, f"phone-{'dark' if dark else 'light'}", full_page=True)


def test_dark_follows_the_system_and_the_button_turns_it(browser: Any, site: tuple[Served, MemoryHouse]) -> None:
    server, _ = site
    with opened(browser, server.url, dark=True) as page:
        colour = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(colour) == "rgb(17, 20, 22)"
        page.wait_for_timeout(300)
        shot(page, "dark")
        page.locator("#theme").click()
        assert page.evaluate(colour) == "rgb(250, 248, 244)"
        page.wait_for_timeout(200)
        assert ink(page, "--up") > 500
        page.reload()
        page.wait_for_selector("#link[data-state=live]")
        assert page.evaluate(colour) == "rgb(250, 248, 244)"


def test_symbols_and_intervals_are_chosen_and_kept_in_the_address(
    browser: Any, site: tuple[Served, MemoryHouse]
) -> None:
    server, _ = site
    with opened(browser, server.url) as page:
        page.locator("#watch button", has_text="ETH-USDT").click()
        page.wait_for_function("() => document.title.startsWith('ETH-USDT')")
        page.get_by_label("5m").check(force=True)
        page.wait_for_function("() => document.getElementById('chart').dataset.bars === '48'")
        assert page.evaluate("location.hash") == "#ETH-USDT/5m" and page.input_value("#symbol") == "ETH-USDT"
        page.reload()
        page.wait_for_function("() => document.getElementById('chart').dataset.bars === '48'")
        page.wait_for_selector("#link[data-state=live]")


def test_overlays_can_be_taken_away(browser: Any, site: tuple[Served, MemoryHouse]) -> None:
    server, _ = site
    with opened(browser, server.url) as page:
        page.get_by_label("Bollinger").uncheck()
        page.wait_for_timeout(300)
        assert ink(page, "--band") < 100 and ink(page, "--sma") > 150


def test_the_keyboard_reads_bars_aloud_and_opens_what_is_behind_one(
    browser: Any, site: tuple[Served, MemoryHouse]
) -> None:
    server, _ = site
    with opened(browser, server.url) as page:
        page.locator("#chart").focus()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        assert "1 Jan 03:58: open" in page.inner_text("#spoken")
        page.keyboard.press("Enter")
        page.wait_for_selector(".messages li")
        assert (
            page.inner_text("#trace-title") == "BTC-USDT 1m, 1 Jan 03:58 UTC"
            and page.locator(".messages li").count() == 12
        )
        page.wait_for_timeout(200)
        shot(page, "trace")
        page.keyboard.press("Escape")
        assert not page.locator("#trace").is_visible()


def test_a_click_on_a_candle_shows_its_trace(browser: Any, site: tuple[Served, MemoryHouse]) -> None:
    server, _ = site
    with opened(browser, server.url) as page:
        box = page.locator("#chart").bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.4)
        page.wait_for_selector(".messages li")
        page.locator("#trace-close").click()


def test_every_control_has_a_name(browser: Any, site: tuple[Served, MemoryHouse]) -> None:
    server, _ = site
    with opened(browser, server.url) as page:
        nameless = page.evaluate(
            """() => [...document.querySelectorAll('button, input, select, a, [tabindex="0"]')].filter((e) =>
              !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).map((e) => e.outerHTML)"""
        )
        assert nameless == []
        assert page.locator("h1").count() == 1 and page.get_attribute("html", "lang") == "en"


def test_older_bars_come_when_the_view_goes_there(browser: Any) -> None:
    house = MemoryHouse(1500, symbols={"BTC-USDT": 68_000.0})
    with served(house) as server, opened(browser, server.url) as page:
        page.locator("#chart").focus()
        page.keyboard.press("Home")
        page.wait_for_function("() => Number(document.getElementById('chart').dataset.bars) > 600", timeout=5000)
        page.locator("#chart").focus()
        for _ in range(3):
            page.keyboard.press("Home")
            page.wait_for_timeout(500)
        assert "1 Jan 00:00" in page.inner_text("#spoken")


def test_a_locked_page_asks_for_the_key(browser: Any, site: tuple[Served, MemoryHouse]) -> None:
    _, house = site
    with served(house, key=Secret("k1")) as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        page.get_by_label("This house needs its key").fill("wrong")
        page.get_by_role("button", name="Open").click()
        page.get_by_role("alert").wait_for()
        shot(page, "key")
        page.get_by_label("This house needs its key").fill("k1")
        page.get_by_role("button", name="Open").click()
        page.wait_for_selector("#link[data-state=live]", timeout=10_000)
        context.close()


def test_hundreds_of_symbols_stay_usable(browser: Any) -> None:
    house = MemoryHouse(6, symbols={f"SYM{i:03}-USDT": 10.0 + i for i in range(300)})
    with served(house) as server, opened(browser, server.url) as page:
        assert page.locator("#watch li").count() == 60 and "240 more" in page.inner_text("#more")
        page.locator("#find").fill("sym27")
        assert page.locator("#watch li").count() == 10
        page.locator("#watch button", has_text="SYM271-USDT").click()
        page.wait_for_function("() => document.title.startsWith('SYM271-USDT')")
        page.wait_for_function(
            "() => [...document.querySelectorAll('#watch .value')].every((e) => e.textContent !== '–')"
        )


def test_the_list_of_addresses_reads_well_on_a_phone(browser: Any, site: tuple[Served, MemoryHouse]) -> None:
    server, _ = site
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page = context.new_page()
    page.goto(f"{server.url}/docs")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator("summary").first.click()
    shot(page, "docs-phone")
    context.close()
