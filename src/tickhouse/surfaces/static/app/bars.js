// The bars of one symbol and interval, as this page knows them.

import { epoch } from "./format.js";

export class Bars {
  constructor(step) {
    this.step = step;
    this.byTime = new Map();
    this.values = new Map();
    this.anomalies = new Map();
    this.coverage = new Map();
    this.sorted = [];
  }

  /** Takes a row in unless something newer is known. Says what it was: "new", "last", "old" or null. */
  put(row) {
    const time = epoch(row.start);
    const held = this.byTime.get(time);
    if (held && !isNewer(row, held)) return null;
    const bar = { ...row, time };
    this.byTime.set(time, bar);
    const last = this.sorted.at(-1);
    if (held) {
      this.sorted[this.indexOf(time)] = bar;
      return last.time === time ? "last" : "old";
    }
    if (!last || time > last.time) this.sorted.push(bar);
    else {
      this.sorted.push(bar);
      this.sorted.sort((a, b) => a.time - b.time);
      return "old";
    }
    return "new";
  }

  /** Whether a bar is of another source than the one before it: there a group took another feed. */
  isSwitch(bar) {
    const before = this.sorted[this.indexOf(bar.time) - 1];
    return before !== undefined && before.source !== bar.source;
  }

  /** The place of a time in `sorted`, or of the bar before it. */
  indexOf(time) {
    let low = 0, high = this.sorted.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.sorted[middle].time <= time) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  get last() {
    return this.sorted.at(-1);
  }

  /** The newest bar that has closed. */
  get closed() {
    return this.sorted.findLast((bar) => bar.state !== "forming");
  }

  putValues(rows) {
    for (const row of rows) this.values.set(epoch(row.start), row.values ?? row.indicators ?? {});
  }

  putAnomaly(row) {
    const key = `${row.start} ${row.detector}`;
    if (row.retracted) this.anomalies.delete(key);
    else this.anomalies.set(key, { ...row, time: epoch(row.start) });
  }

  putCoverage(row) {
    this.coverage.set(`${row.source} ${row.channel} ${row.start}`, { ...row, from: epoch(row.start), to: epoch(row.end) });
    this.painted = null;
  }

  /** Stretches in order of time. Where channels overlap, the one that knew more counts. */
  get stretches() {
    return this.painted ??= paint([...this.coverage.values()]);
  }

  get blind() {
    return this.stretches.filter((one) => one.state === "blind");
  }

  /** The times of the axis: every bar, and empty places where a feed was missing (at most 240 in one hole). */
  axis() {
    const holes = this.blind;
    const times = [];
    let before = null;
    for (const bar of this.sorted) {
      if (before !== null && bar.time - before > this.step) times.push(...this.empty(before + this.step, bar.time, holes));
      times.push(bar.time);
      before = bar.time;
    }
    const open = holes.at(-1);
    if (before !== null && open && open.to > before + this.step) times.push(...this.empty(before + this.step, open.to, holes));
    return times;
  }

  empty(from, to, holes) {
    if (!holes.some((hole) => hole.from < to && hole.to > from)) return [];
    const times = [];
    for (let time = from; time < to && times.length < 240; time += this.step) times.push(time);
    return times;
  }
}

const KNOWS = { blind: 0, quiet: 1, delayed: 2, backfilled: 3, live: 4 };

/** Stretches that do not overlap, from those of several channels, and of several feeds in a group. */
function paint(rows) {
  const begins = [...rows].sort((a, b) => a.from - b.from);
  const edges = [...new Set(rows.flatMap((row) => [row.from, row.to]))].sort((a, b) => a - b);
  const found = [];
  let open = [], next = 0;
  for (let i = 0; i + 1 < edges.length; i++) {
    const [from, to] = [edges[i], edges[i + 1]];
    while (next < begins.length && begins[next].from <= from) open.push(begins[next++]);
    open = open.filter((row) => row.to > from);
    if (!open.length) continue;
    const best = open.reduce((a, b) => ((KNOWS[b.state] ?? 0) > (KNOWS[a.state] ?? 0) ? b : a));
    const last = found.at(-1);
    if (last && last.to === from && last.state === best.state) {
      last.to = to;
      if (!last.of.has(best)) last.missing += best.missing ?? 0;
      last.of.add(best);
    } else found.push({ state: best.state, from, to, start: best.start, missing: best.missing ?? 0, of: new Set([best]) });
  }
  return found;
}

const RANK = { forming: 0, final: 1, corrected: 1 };

/** Of two feeds of a group the one told last counts. */
function isNewer(row, held) {
  if (row.source !== held.source) return true;
  if (row.version !== held.version) return row.version > held.version;
  if (RANK[row.state] !== RANK[held.state]) return RANK[row.state] > RANK[held.state];
  return row.known_at >= held.known_at;
}
