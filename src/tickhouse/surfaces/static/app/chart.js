// The chart: candles, volume, indicator lines, marks and hatching over one `Bars`.

import { Hatch } from "./hatch.js";
import { decimals, moment } from "./format.js";

const LC = window.LightweightCharts;

/** Each overlay: what it is called, its colour, and which values it draws. */
export const OVERLAYS = [
  { id: "sma", label: "SMA", colour: "--sma", lines: [[/^sma\(/, 1.5, 0]] },
  { id: "ema", label: "EMA", colour: "--ema", lines: [[/^ema\(/, 1.5, 0]] },
  {
    id: "band", label: "Bollinger", colour: "--band",
    lines: [[/^bollinger\(.*\.upper$/, 1, 0], [/^bollinger\(.*\.middle$/, 1, 2], [/^bollinger\(.*\.lower$/, 1, 0]],
  },
];

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Chart {
  constructor(element) {
    this.element = element;
    this.shown = new Set(OVERLAYS.map((one) => one.id));
    this.chart = LC.createChart(element, {
      autoSize: true,
      layout: { background: { color: "transparent" }, fontSize: 11, fontFamily: getComputedStyle(document.body).fontFamily,
        attributionLogo: false, panes: { enableResize: false } },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.09, bottom: 0.07 } },
      timeScale: { borderVisible: false, timeVisible: true, secondsVisible: false, rightOffset: 4, minBarSpacing: 1.2 },
      crosshair: { mode: LC.CrosshairMode.Magnet },
      localization: { timeFormatter: (time) => `${moment(time)} UTC` },
      handleScroll: { vertTouchDrag: false },
    });
    this.volume = this.chart.addSeries(LC.HistogramSeries, { priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false }, 1);
    this.candles = this.chart.addSeries(LC.CandlestickSeries, { borderVisible: true }, 0);
    this.lines = OVERLAYS.flatMap((overlay) => overlay.lines.map(([pattern, width, style]) => ({
      overlay, pattern,
      series: this.chart.addSeries(LC.LineSeries, { lineWidth: width, lineStyle: style, lastValueVisible: false,
        priceLineVisible: false, crosshairMarkerVisible: false, pointMarkersVisible: false }, 0),
    })));
    this.marks = LC.createSeriesMarkers(this.candles, []);
    const [top, bottom] = this.chart.panes();
    top.setStretchFactor(5);
    bottom.setStretchFactor(1);
    this.colours();
  }

  /** Begin with other bars. */
  use(bars) {
    for (const [series, hatch] of this.hatches ?? []) series.detachPrimitive(hatch);
    this.bars = bars;
    this.hatches = [this.candles, this.volume].map((series) => [series, new Hatch(bars.step)]);
    for (const [series, hatch] of this.hatches) series.attachPrimitive(hatch);
    this.draw();
    const room = Math.max(40, Math.min(180, Math.floor(this.element.clientWidth / 8)));
    const count = this.axis.length;
    this.chart.timeScale().setVisibleLogicalRange({ from: count - room, to: count + 3 });
  }

  /** Draw everything anew: after loading, a hole, or a change of colours. */
  draw() {
    if (!this.bars) return;
    this.axis = this.bars.axis();
    const empty = (time) => time !== undefined && !this.bars.byTime.has(time);
    this.broken = new Set(this.axis.filter((time, i) => !empty(time) && empty(this.axis[i + 1])));
    const digits = decimals(this.bars.last?.close ?? 1);
    const format = { type: "price", precision: digits, minMove: 10 ** -digits };
    this.candles.applyOptions({ priceFormat: format });
    const of = (time) => this.bars.byTime.get(time);
    this.candles.setData(this.axis.map((time) => this.candle(time, of(time))));
    this.volume.setData(this.axis.map((time) => this.column(time, of(time))));
    for (const line of this.lines) {
      line.series.applyOptions({ priceFormat: format });
      line.series.setData(this.axis.map((time) => this.point(line, time)));
    }
    this.remark();
  }

  /** Draw one bar that changed. */
  update(bar, kind) {
    const newest = this.axis.at(-1) ?? bar.time - this.bars.step;
    const follows = bar.time === newest + this.bars.step;
    if (kind === "new" && !follows) return this.draw();
    if (kind === "old" && !this.axis.includes(bar.time)) return this.draw();
    if (follows) this.axis.push(bar.time);
    this.candles.update(this.candle(bar.time, bar), bar.time < newest);
    this.volume.update(this.column(bar.time, bar), bar.time < newest);
    if (bar.state !== "forming" || bar.version > 0 || this.bars.isSwitch(bar) !== this.switches.has(bar.time)) this.remark();
    return undefined;
  }

  /** Draw the indicator values from a time on. */
  updateLines(from) {
    const newest = this.axis.at(-1);
    for (const line of this.lines) {
      for (const time of this.axis.filter((one) => one >= from)) {
        const point = this.point(line, time);
        if (point.value !== undefined) line.series.update(point, time < newest);
      }
    }
  }

  candle(time, bar) {
    if (!bar || bar.close === null) return { time };
    const colour = bar.close >= bar.open ? this.up : this.down;
    const whole = bar.completeness === null || bar.completeness >= 0.9995;
    return { time, open: bar.open, high: bar.high, low: bar.low, close: bar.close, color: whole ? colour : this.card, borderColor: colour,
      wickColor: colour };
  }

  column(time, bar) {
    if (!bar || bar.volume === null) return { time };
    return { time, value: bar.volume, color: (bar.close >= bar.open ? this.up : this.down) + "66" };
  }

  point({ overlay, pattern }, time) {
    const values = this.shown.has(overlay.id) ? this.bars.values.get(time) : undefined;
    const name = values && Object.keys(values).find((one) => pattern.test(one));
    const value = name === undefined ? null : values[name];
    if (value === null || value === undefined) return { time };
    return this.broken.has(time) ? { time, value, color: "transparent" } : { time, value };
  }

  /** Which overlays there are values for. */
  available() {
    const names = new Set([...this.bars.values.values()].flatMap((values) => Object.keys(values)));
    return OVERLAYS.filter((one) => one.lines.some(([pattern]) => [...names].some((name) => pattern.test(name))));
  }

  /** Marks and hatching. */
  remark() {
    const marks = [];
    for (const bar of this.bars.sorted) {
      if (bar.state === "corrected" || (bar.state === "forming" && bar.version > 0)) {
        marks.push({ time: bar.time, position: "belowBar", shape: "square", color: this.amber, size: 0.55 });
      }
    }
    const switches = this.bars.sorted.filter((bar) => this.bars.isSwitch(bar));
    this.switches = new Set(switches.map((bar) => bar.time));
    for (const bar of switches) marks.push({ time: bar.time, position: "belowBar", shape: "arrowUp", color: this.soft, size: 0.7, text: bar.source });
    const odd = new Set([...this.bars.anomalies.values()].map((one) => one.time));
    for (const time of odd) {
      if (this.bars.byTime.has(time)) marks.push({ time, position: "aboveBar", shape: "circle", color: this.violet, size: 0.7 });
    }
    this.marks.setMarkers(marks.sort((a, b) => a.time - b.time));
    for (const [, hatch] of this.hatches) hatch.set(this.bars.blind, this.blindColour);
  }

  show(id, on) {
    if (on) this.shown.add(id);
    else this.shown.delete(id);
    this.draw();
  }

  /** Take the colours of the page. */
  colours() {
    [this.up, this.down, this.card, this.amber, this.violet, this.blindColour, this.soft] =
      ["--up", "--down", "--paper", "--amber", "--violet", "--blind", "--soft"].map(css);
    const line = css("--grid");
    this.chart.applyOptions({
      layout: { textColor: css("--faint"), panes: { separatorColor: css("--line"), separatorHoverColor: css("--line") } },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
      crosshair: { vertLine: { color: css("--faint"), labelBackgroundColor: css("--soft") }, horzLine: { color: css("--faint"), labelBackgroundColor: css("--soft") } },
    });
    this.candles.applyOptions({ upColor: this.up, downColor: this.down, borderUpColor: this.up, borderDownColor: this.down, wickUpColor: this.up, wickDownColor: this.down });
    for (const { overlay, series } of this.lines) series.applyOptions({ color: css(overlay.colour) });
    this.draw();
  }

  /** Point at a bar, as the keyboard does. */
  pointAt(bar) {
    if (!bar) return this.chart.clearCrosshairPosition();
    const scale = this.chart.timeScale();
    const range = scale.getVisibleLogicalRange();
    const place = this.axis.indexOf(bar.time);
    if (range && (place < range.from || place > range.to)) {
      const width = range.to - range.from;
      scale.setVisibleLogicalRange({ from: place - width / 2, to: place + width / 2 });
    }
    return this.chart.setCrosshairPosition(bar.close ?? 0, bar.time, this.candles);
  }

  onHover(callback) {
    this.chart.subscribeCrosshairMove((at) => callback(at.time === undefined ? null : this.bars?.byTime.get(at.time) ?? null));
  }

  onClick(callback) {
    this.chart.subscribeClick((at) => {
      const bar = at.time === undefined ? null : this.bars?.byTime.get(at.time);
      if (bar) callback(bar);
    });
  }

  /** Call when the view comes near the oldest bar. */
  onEarly(callback) {
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && range.from < 15) callback();
    });
  }
}
