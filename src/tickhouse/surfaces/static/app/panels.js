// The lists beside the chart: symbols with their prices, coverage, the ledger.

import { amount, el, moment, price, span, whole } from "./format.js";

const SHOWN = 60;
const $ = (id) => document.getElementById(id);

export class Watch {
  /** `choose` is called with a symbol, `changed` with the symbols that are on the list. */
  constructor(choose, changed) {
    Object.assign(this, { choose, changed, rows: new Map(), symbols: [], prices: new Map(), states: new Map() });
    $("find").addEventListener("input", () => this.draw());
    $("watch").addEventListener("keydown", (event) => this.move(event));
  }

  use(symbols, current) {
    this.symbols = symbols;
    this.current = current;
    $("find").hidden = symbols.length <= 12;
    this.draw();
  }

  select(current) {
    this.current = current;
    for (const [symbol, row] of this.rows) row.button.setAttribute("aria-current", symbol === current);
  }

  draw() {
    const wanted = $("find").value.trim().toUpperCase();
    const found = this.symbols.filter((symbol) => symbol.includes(wanted));
    const shown = found.slice(0, SHOWN);
    this.rows = new Map(shown.map((symbol) => [symbol, this.row(symbol)]));
    $("watch").replaceChildren(...[...this.rows.values()].map(({ button }) => el("li", {}, button)));
    $("more").hidden = found.length <= SHOWN;
    $("more").textContent = `and ${whole(found.length - SHOWN)} more; find them by name`;
    this.select(this.current);
    for (const symbol of shown) this.paint(symbol);
    this.changed(shown);
  }

  row(symbol) {
    const dot = el("span", { class: "dot" });
    const value = el("span", { class: "value" }, "–");
    const button = el("button", { type: "button", onclick: () => this.choose(symbol) }, dot, el("span", { class: "name" }, symbol), value);
    return { button, dot, value };
  }

  price(row) {
    const held = this.prices.get(row.symbol);
    if (held && row.event_time < held.event_time) return;
    this.prices.set(row.symbol, { ...row, before: held?.price });
    this.paint(row.symbol);
  }

  state(row) {
    const held = this.states.get(row.symbol);
    if (held && row.end < held.end) return;
    this.states.set(row.symbol, row);
    this.paint(row.symbol);
  }

  paint(symbol) {
    const row = this.rows.get(symbol);
    if (!row) return;
    const now = this.prices.get(symbol);
    if (now) {
      row.value.textContent = price(now.price);
      if (now.before !== undefined && now.before !== now.price) {
        row.value.dataset.way = now.price > now.before ? "up" : "down";
        clearTimeout(row.timer);
        row.timer = setTimeout(() => delete row.value.dataset.way, 120);
      }
    }
    const state = this.states.get(symbol)?.state;
    if (state) {
      row.dot.dataset.state = state;
      row.button.title = `${symbol}: ${state}`;
    }
  }

  move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const buttons = [...$("watch").querySelectorAll("button")];
    const place = buttons.indexOf(document.activeElement);
    if (!step || place < 0) return;
    event.preventDefault();
    buttons[Math.max(0, Math.min(buttons.length - 1, place + step))].focus();
  }
}

const WORDS = { live: "live", quiet: "quiet: no trades", blind: "blind: no feed", delayed: "delayed", backfilled: "backfilled" };

/** The strip of coverage, and how long each state lasted. */
export function drawCoverage(stretches) {
  const strip = $("strip");
  if (!stretches.length) {
    strip.replaceChildren();
    strip.setAttribute("aria-label", "nothing is known yet");
    $("covered").replaceChildren();
    $("span").textContent = "";
    return;
  }
  const to = Math.max(...stretches.map((one) => one.to));
  const from = Math.max(stretches[0].from, to - 86400);
  const within = stretches.filter((one) => one.to > from);
  const total = to - from || 1;
  const sums = new Map();
  let missing = 0, at = from;
  const parts = [];
  for (const one of within) {
    const begin = Math.max(one.from, at);
    if (one.to <= begin) continue;
    if (begin > at) parts.push(part(null, (begin - at) / total));
    parts.push(part(one, (one.to - begin) / total));
    sums.set(one.state, (sums.get(one.state) ?? 0) + one.to - begin);
    missing += one.missing ?? 0;
    at = one.to;
  }
  strip.replaceChildren(...parts);
  $("span").textContent = `last ${span(total)}`;
  const shares = [...sums].sort((a, b) => b[1] - a[1]);
  const rows = shares.map(([state, length]) =>
    el("div", {}, el("i", { "data-state": state }), el("dt", {}, WORDS[state] ?? state), el("dd", {}, span(length))));
  if (missing) rows.push(el("div", {}, el("i"), el("dt", {}, "trades known to be lost"), el("dd", {}, whole(missing))));
  $("covered").replaceChildren(...rows);
  strip.setAttribute("aria-label", shares.map(([state, length]) => `${WORDS[state] ?? state} ${span(length)}`).join(", "));
}

function part(one, share) {
  const made = el("i", { "data-state": one?.state, title: one ? `${WORDS[one.state]} from ${moment(one.from)} to ${moment(one.to)}` : "nothing known" });
  made.style.width = `${share * 100}%`;
  return made;
}

const LINES = [["received", "received"], ["parsed", "parsed"], ["control", "control"], ["rejected", "rejected"],
  ["rows", "ticks", "sum"], ["accepted", "accepted"], ["duplicate", "duplicate"], ["late", "late, applied"], ["invalid", "invalid"], ["pending", "not yet processed"]];

/** The ledger of each source; says whether all of them balance. */
export function drawLedger(ledger) {
  const sources = Object.entries(ledger ?? {});
  const tables = sources.map(([source, book]) => {
    const rows = LINES.filter(([name]) => book[name] !== undefined && (book[name] !== 0 || !["invalid", "pending", "control"].includes(name)))
      .map(([name, label, kind]) => el("tr", { class: kind }, el("th", { scope: "row" }, label), el("td", {}, whole(book[name]))));
    const ok = balances(book);
    const note = el("span", { class: ok ? "ok" : "bad" }, ok ? "balances" : "does not balance");
    return el("table", {}, el("caption", {}, `${source} `, note), el("tbody", {}, ...rows));
  });
  $("books").replaceChildren(...(tables.length ? tables : [el("p", { class: "faint" }, "Nothing received yet.")]));
  return sources.length ? sources.every(([, book]) => balances(book)) : null;
}

function balances(book) {
  const messages = book.received === book.parsed + book.control + book.rejected;
  const ticks = book.rows === book.accepted + book.duplicate + book.late + book.invalid + (book.pending ?? 0);
  return messages && ticks && (book.pending ?? 0) >= 0;
}

const COLUMNS = ["Start", "Open", "High", "Low", "Close", "Volume", "Trades", "Complete", "State"];

/** The newest bars as a table, for those who read rather than look. */
export function drawTable(bars) {
  const head = el("thead", {}, el("tr", {}, ...COLUMNS.map((name) => el("th", { scope: "col" }, name))));
  const rows = bars.sorted.slice(-15).reverse().map((bar) => {
    const cells = [bar.open, bar.high, bar.low, bar.close].map((value) => price(value));
    const state = bar.version ? `${bar.state}, version ${bar.version}` : bar.state;
    const rest = [amount(bar.volume), whole(bar.trades ?? 0), bar.completeness === null ? "–" : `${Math.floor(bar.completeness * 1000) / 10} %`, state];
    return el("tr", {}, el("th", { scope: "row" }, moment(bar.time)), ...[...cells, ...rest].map((text) => el("td", {}, text)));
  });
  $("table").replaceChildren(head, el("tbody", {}, ...rows));
}
