// Joins the parts of the page: what is chosen, what is loaded, what comes in live.

import { ask, at } from "./api.js";
import { Bars } from "./bars.js";
import { Chart, OVERLAYS } from "./chart.js";
import { amount, el, epoch, moment, price, seconds, share, span, whole } from "./format.js";
import { Watch, drawCoverage, drawLedger, drawTable } from "./panels.js";
import { Stream } from "./stream.js";
import { showTrace } from "./trace.js";

const $ = (id) => document.getElementById(id);
const HISTORY = 600;
const FIRST = ["BTC-USDT", "BTC-USD", "SPY", "AAPL"];
const page = { known: new Map(), symbol: null, interval: null, source: null, bars: null, skew: 0, newest: null, hovered: null, cursor: null };
const chart = new Chart($("chart"));
const stream = new Stream(heard, linked);
const watch = new Watch((symbol) => choose(symbol, page.interval), () => stream.listen(beside()));

// What is chosen.

function choose(symbol, interval) {
  const known = page.known.get(symbol);
  if (!known) return;
  const intervals = known.intervals.length ? known.intervals : ["1m"];
  page.interval = intervals.includes(interval) ? interval : intervals[0];
  page.symbol = symbol;
  // Of a symbol of a group the house tells one series, whichever feed is in use; of any other one source is followed.
  page.source = known.in_use ? null : known.source;
  page.newest = null;
  localStorage.setItem("tickhouse-symbol", symbol);
  history.replaceState(null, "", `#${symbol}/${page.interval}`);
  document.title = `${symbol} · tickhouse`;
  $("symbol").value = symbol;
  watch.select(symbol);
  drawIntervals(intervals);
  load(true);
}

function drawIntervals(intervals) {
  const choices = [...intervals].sort((a, b) => seconds(a) - seconds(b)).map((one) =>
    el("label", {}, el("input", { type: "radio", name: "interval", value: one, checked: one === page.interval,
      onchange: () => choose(page.symbol, one) }), one));
  if ($("intervals").dataset.of === choices.map((c) => c.textContent).join()) {
    $("intervals").querySelector(`[value="${page.interval}"]`).checked = true;
    return;
  }
  $("intervals").dataset.of = choices.map((c) => c.textContent).join();
  $("intervals").replaceChildren($("intervals").querySelector("legend"), ...choices);
}

// What is loaded.

let loading = 0;

async function load(fresh) {
  const mine = ++loading;
  const { symbol, interval, source } = page;
  $("chart").setAttribute("aria-busy", "true");
  try {
    const bars = new Bars(seconds(interval));
    const found = await ask(`/v1/bars/${at(symbol)}`, { interval, source, last: HISTORY, indicators: "all" });
    for (const row of found.data) bars.put(row);
    bars.putValues(found.data);
    const start = found.data[0]?.start;
    const [odd, covered] = await Promise.all([
      ask("/v1/anomalies", { symbols: symbol, interval, source, start, limit: 10000 }),
      ask(`/v1/coverage/${at(symbol)}`, { source, start, limit: 10000 }),
    ]);
    for (const row of odd.data) bars.putAnomaly(row);
    for (const row of covered.data) bars.putCoverage(row);
    if (mine !== loading) return;
    page.bars = bars;
    page.early = found.data.length < HISTORY;
    chart.use(bars);
    drawOverlays();
    drawAll();
    $("simulated").hidden = !found.simulated;
    document.body.toggleAttribute("data-simulated", found.simulated);
    $("chart").setAttribute("aria-busy", "false");
    $("chart").dataset.bars = bars.sorted.length;
    $("notice").hidden = true;
    if (fresh) stream.open({ topics: "bars,anomalies", symbols: symbol, interval }, beside());
  } catch (problem) {
    if (mine !== loading) return;
    say(problem.message);
    setTimeout(() => mine === loading && load(fresh), 3000);
  }
}

async function loadEarlier() {
  const bars = page.bars;
  if (!bars || page.early || page.fetching) return;
  page.fetching = true;
  try {
    const end = bars.sorted[0].start;
    const found = await ask(`/v1/bars/${at(page.symbol)}`, { interval: page.interval, source: page.source, last: HISTORY, end, indicators: "all" });
    const start = found.data[0]?.start;
    if (bars === page.bars && start) {
      const odd = await ask("/v1/anomalies", { symbols: page.symbol, interval: page.interval, source: page.source, start, end, limit: 10000 });
      const covered = await ask(`/v1/coverage/${at(page.symbol)}`, { source: page.source, start, end, limit: 10000 });
      for (const row of found.data) bars.put(row);
      bars.putValues(found.data);
      for (const row of odd.data) bars.putAnomaly(row);
      for (const row of covered.data) bars.putCoverage(row);
      chart.draw();
      $("chart").dataset.bars = bars.sorted.length;
    }
    page.early = found.data.length < HISTORY;
  } catch (problem) {
    say(problem.message);
  } finally {
    page.fetching = false;
  }
}

let lineTimer = null, lineFrom = Infinity;

/** Fetch indicator values from a bar on, a moment after it closed or was corrected. */
function refreshLines(from) {
  lineFrom = Math.min(lineFrom, from);
  clearTimeout(lineTimer);
  lineTimer = setTimeout(async () => {
    const bars = page.bars, start = lineFrom;
    lineFrom = Infinity;
    try {
      const found = await ask(`/v1/indicators/${at(page.symbol)}`, { interval: page.interval, source: page.source, start: new Date(start * 1000).toISOString(), limit: 2000 });
      if (bars !== page.bars) return;
      bars.putValues(found.data);
      chart.updateLines(start);
    } catch (problem) {
      say(problem.message);
    }
  }, 250);
}

// What comes in live.

const beside = () => ({ topics: ["ticks", "coverage"], symbols: [...new Set([page.symbol, ...watch.rows.keys()])].filter(Boolean) });

function heard(message) {
  if (message.type === "error") return say(message.detail);
  if (message.at) page.skew = epoch(message.at) - Date.now() / 1000;
  if (message.type === "snapshot" && message.reset) load(false);
  for (const row of message.ticks ?? []) {
    watch.price(row);
    const known = page.known.get(row.symbol);
    if (known?.in_use) known.in_use = row.source;
    if (isShown(row)) page.newest = row;
  }
  for (const row of message.coverage ?? []) takeCoverage(row);
  for (const row of message.bars ?? []) takeBar(row);
  for (const row of message.anomalies ?? []) takeAnomaly(row);
  schedule();
  return undefined;
}

const isShown = (row) => row.symbol === page.symbol && (page.source === null || row.source === page.source);

function takeBar(row) {
  const { bars } = page;
  if (!bars || row.interval !== page.interval || !isShown(row)) return;
  const kind = bars.put(row);
  if (!kind) return;
  const bar = bars.byTime.get(epoch(row.start));
  chart.update(bar, kind);
  if (row.state !== "forming") refreshLines(bar.time);
  $("chart").dataset.bars = bars.sorted.length;
  $("chart").dataset.close = bars.last.close;
}

function takeAnomaly(row) {
  if (!page.bars || row.symbol !== page.symbol || row.interval !== page.interval) return;
  page.bars.putAnomaly(row);
  chart.remark();
}

function takeCoverage(row) {
  const used = page.known.get(row.symbol)?.in_use ?? row.source;
  if (row.source === used) watch.state(row);
  if (!page.bars || !isShown(row)) return;
  const before = page.bars.blind.map((one) => one.start).join();
  page.bars.putCoverage(row);
  if (page.bars.blind.map((one) => one.start).join() !== before) chart.draw();
  else if (row.state === "blind") chart.remark();
}

function linked(state) {
  $("link").dataset.state = state;
  $("link").textContent = { live: "live", lost: "reconnecting", wait: "connecting" }[state];
}

// What is shown around the chart.

let scheduled = false;

/** Redraw the words at the next frame, however many messages came. */
function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    drawAll();
  });
}

function drawAll() {
  const { bars } = page;
  if (!bars) return;
  drawPrice();
  if (!page.hovered) readout(bars.last);
  const used = page.known.get(page.symbol).in_use;
  $("feed").parentElement.hidden = $("key-feed").hidden = !used;
  if (used) fact("feed", used);
  const done = bars.closed;
  fact("complete", share(done?.completeness), done && (done.completeness >= 0.9995 ? "good" : "warn"));
  const now = bars.stretches.at(-1);
  fact("cover", now?.state ?? "–", now && { live: "good", blind: "bad", delayed: "warn" }[now.state]);
  drawCoverage(bars.stretches);
  if (document.querySelector(".rows").open) drawTable(bars);
}

function drawPrice() {
  const { bars, newest } = page;
  const value = newest?.price ?? bars.last?.close;
  $("price").textContent = price(value);
  const day = bars.last ? bars.sorted[Math.max(0, bars.indexOf(bars.last.time - 86400))] : null;
  const base = day?.open;
  if (base && value) {
    const change = value / base - 1;
    const sign = change > 0 ? "+" : change < 0 ? "−" : "";
    $("change").textContent = `${sign}${Math.abs(change * 100).toFixed(2)} % in ${span(Math.min(86400, bars.last.time + bars.step - day.time))}`;
    $("change").dataset.way = change > 0 ? "up" : change < 0 ? "down" : "";
  }
  if (newest) {
    const lag = epoch(newest.received_at) - epoch(newest.event_time);
    fact("lag", span(Math.max(0, lag)), lag < 1 ? "good" : lag < 10 ? "warn" : "bad");
  }
}

function fact(id, text, state) {
  $(id).textContent = text;
  $(id).dataset.state = state ?? "";
}

function readout(bar) {
  if (!bar) return $("readout").replaceChildren();
  const way = bar.close >= bar.open ? "up" : "down";
  const pair = (name, text, kind) => el("span", {}, `${name} `, el("b", { class: kind }, text));
  const state = bar.version ? `${bar.state}, version ${bar.version}` : bar.state;
  const feed = page.source === null ? [el("span", {}, bar.source)] : [];
  const parts = [el("span", {}, moment(bar.time)), ...feed, pair("O", price(bar.open)), pair("H", price(bar.high)), pair("L", price(bar.low)), pair("C", price(bar.close), way),
    pair("Vol", amount(bar.volume)), pair("Trades", whole(bar.trades ?? 0)), el("span", { class: bar.completeness < 0.9995 || bar.version ? "warn" : "" }, `${state}, ${share(bar.completeness)} complete`)];
  return $("readout").replaceChildren(...parts);
}

function drawOverlays() {
  const there = new Set(chart.available().map((one) => one.id));
  const choices = OVERLAYS.map((one) => {
    const input = el("input", { type: "checkbox", checked: chart.shown.has(one.id), disabled: !there.has(one.id), onchange: (event) => {
      chart.show(one.id, event.target.checked);
      localStorage.setItem("tickhouse-overlays", JSON.stringify([...chart.shown]));
    } });
    const label = el("label", { title: there.has(one.id) ? null : "not enough bars yet" }, input, one.label);
    input.style.setProperty("--swatch", `var(${one.colour})`);
    return label;
  });
  $("overlays").replaceChildren($("overlays").querySelector("legend"), ...choices);
}

function say(text) {
  $("notice").textContent = text;
  $("notice").hidden = false;
}

async function drawStatus() {
  try {
    const status = await ask("/v1/status");
    page.skew = epoch(status.at) - Date.now() / 1000;
    const ok = drawLedger(status.ledger);
    fact("ledger", ok === null ? "–" : ok ? "balances" : "is off", ok === null ? "" : ok ? "good" : "bad");
  } catch (problem) {
    fact("ledger", "–", "");
  }
}

// The keyboard, the mouse, the theme.

chart.onHover((bar) => {
  page.hovered = bar;
  readout(bar ?? page.bars?.last);
});
chart.onClick(showTrace);
chart.onEarly(loadEarlier);

$("chart").addEventListener("keydown", (event) => {
  const { bars } = page;
  if (!bars?.sorted.length) return;
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -Infinity, End: Infinity };
  if (event.key in steps) {
    const from = page.cursor === null ? bars.sorted.length : bars.indexOf(page.cursor);
    const place = Math.max(0, Math.min(bars.sorted.length - 1, from + steps[event.key]));
    const bar = bars.sorted[place];
    page.cursor = bar.time;
    chart.pointAt(bar);
    readout(bar);
    $("spoken").textContent = `${moment(bar.time)}: open ${price(bar.open)}, high ${price(bar.high)}, low ${price(bar.low)}, close ${price(bar.close)}, ${bar.state}, ${share(bar.completeness)} complete`;
    event.preventDefault();
  } else if (event.key === "Enter" && page.cursor !== null) {
    showTrace(bars.byTime.get(page.cursor));
    event.preventDefault();
  } else if (event.key === "Escape") {
    page.cursor = null;
    chart.pointAt(null);
  }
});

document.querySelector(".rows").addEventListener("toggle", () => page.bars && drawTable(page.bars));
$("symbol").addEventListener("change", (event) => choose(event.target.value, page.interval));
$("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme.includes("dark");
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("tickhouse-theme", dark ? "light" : "dark");
  chart.colours();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.colours());
addEventListener("hashchange", () => {
  const [symbol, interval] = decodeURIComponent(location.hash.slice(1)).split("/");
  if (symbol !== page.symbol || interval !== page.interval) choose(symbol, interval);
});

/** Learn what symbols there are; look again while there are none. */
async function begin() {
  try {
    const found = await ask("/v1/symbols");
    const intervals = (row) => (row.intervals.length ? row.intervals : ["1m"]);
    for (const row of found.data) {
      const held = page.known.get(row.symbol);
      if (!held || intervals(row).length > held.intervals.length) page.known.set(row.symbol, { ...row, intervals: intervals(row) });
      else held.in_use = row.in_use;
    }
    const symbols = [...page.known.keys()];
    if (symbols.length !== $("symbol").options.length) {
      $("symbol").replaceChildren(...symbols.map((symbol) => el("option", { value: symbol }, symbol)));
      if (page.symbol) $("symbol").value = page.symbol;
      watch.use(symbols, page.symbol);
    }
    if (!symbols.length) say("Nothing has come in yet. This page begins by itself once something has.");
    else if (!page.symbol) {
      const [symbol, interval] = decodeURIComponent(location.hash.slice(1)).split("/");
      choose([symbol, localStorage.getItem("tickhouse-symbol"), ...FIRST].find((one) => page.known.has(one)) ?? symbols[0], interval || "1m");
    } else drawIntervals(page.known.get(page.symbol).intervals);
  } catch (problem) {
    say(problem.message);
  }
  setTimeout(begin, page.symbol ? 30_000 : 1500);
}

const kept = localStorage.getItem("tickhouse-overlays");
if (kept) chart.shown = new Set(JSON.parse(kept));
begin();
drawStatus();
setInterval(drawStatus, 5000);
