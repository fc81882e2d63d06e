// What is behind one bar: its versions, its coverage, and the raw messages it was made of.

import { ask, at } from "./api.js";
import { amount, el, epoch, moment, price, share, whole } from "./format.js";

// A page of a thousand bars is one message; its beginning is enough here.
const LONGEST = 2000;

const dialog = document.getElementById("trace");
const body = document.getElementById("trace-body");
const title = document.getElementById("trace-title");

document.getElementById("trace-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

/** Open the panel for a bar. */
export async function showTrace(bar) {
  title.textContent = `${bar.symbol} ${bar.interval}, ${moment(bar.time)} UTC`;
  body.replaceChildren(el("p", { class: "faint" }, "Looking it up."));
  if (!dialog.open) dialog.showModal();
  title.focus();
  if (bar.state === "forming" && !bar.version) {
    body.replaceChildren(el("p", {}, "This bar is still forming. Its trace is there once it has closed."));
    return;
  }
  try {
    draw(await ask(`/v1/trace/${at(bar.symbol)}`, { start: bar.start, interval: bar.interval, source: bar.source, limit: 50 }));
  } catch (problem) {
    body.replaceChildren(el("p", { role: "alert" }, problem.message));
  }
}

function draw(found) {
  const versions = found.versions.map((one) =>
    row(`${one.version}`, one.state, price(one.open), price(one.high), price(one.low), price(one.close), amount(one.volume), share(one.completeness)));
  const head = el("thead", {}, el("tr", {}, ...["", "state", "open", "high", "low", "close", "volume", "complete"].map((name) => el("th", { scope: "col" }, name))));
  const coverage = found.coverage.map((one) =>
    el("li", {}, `${one.state} from ${moment(epoch(one.start), true)} to ${moment(epoch(one.end), true)}`, one.missing ? `, ${whole(one.missing)} trades missing` : ""));
  const messages = found.raw.messages.map((one) =>
    el("li", {}, el("span", { class: "faint" }, `position ${whole(one.position)} · ${one.channel}${one.whole ? " · the whole bar" : ""} · ${moment(epoch(one.received_at), true)}`), el("pre", {}, cut(one.payload))));
  const many = found.raw.count > found.raw.shown ? `, the first ${whole(found.raw.shown)}` : "";
  body.replaceChildren(
    el("h4", {}, found.versions.length > 1 ? `${found.versions.length} versions` : "One version"),
    el("div", { class: "scroll" }, el("table", {}, head, el("tbody", {}, ...versions))),
    el("h4", {}, "Coverage"), coverage.length ? el("ul", {}, ...coverage) : el("p", { class: "faint" }, "nothing is known"),
    el("h4", {}, `${whole(found.raw.count)} raw ${found.raw.count === 1 ? "message" : "messages"}${many}`),
    messages.length ? el("ol", { class: "messages" }, ...messages) : el("p", { class: "faint" }, "No messages are kept behind this bar."),
  );
}

const cut = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)} … (${whole(text.length)} characters)` : text);

const row = (first, ...cells) => el("tr", {}, el("th", { scope: "row" }, first), ...cells.map((text) => el("td", {}, text)));
