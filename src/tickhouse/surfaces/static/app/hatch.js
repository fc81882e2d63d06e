// Stretches without a feed, hatched behind the candles. A primitive of lightweight-charts.

export class Hatch {
  constructor(step) {
    this.step = step;
    this.stretches = [];
    this.colour = "#888";
    this.view = { zOrder: () => "bottom", renderer: () => ({ draw: (target) => this.draw(target) }) };
  }

  attached({ chart, requestUpdate }) {
    this.chart = chart;
    this.refresh = requestUpdate;
  }

  detached() {
    this.chart = null;
  }

  updateAllViews() {}

  paneViews() {
    return [this.view];
  }

  set(stretches, colour) {
    this.stretches = stretches;
    this.colour = colour;
    this.refresh?.();
  }

  /** Left and right of a stretch in pixels, or null when none of its bars are on the axis. */
  place(stretch) {
    const scale = this.chart.timeScale();
    const half = scale.options().barSpacing / 2;
    const first = Math.floor(stretch.from / this.step) * this.step;
    const last = Math.ceil(stretch.to / this.step) * this.step - this.step;
    let left = null, right = null;
    for (let time = first; time <= last && left === null; time += this.step) left = scale.timeToCoordinate(time);
    for (let time = last; time >= first && right === null; time -= this.step) right = scale.timeToCoordinate(time);
    return left === null || right === null ? null : [left - half, right + half];
  }

  draw(target) {
    target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio: ratio }) => {
      for (const stretch of this.stretches) {
        const place = this.place(stretch);
        if (!place) continue;
        const [left, right] = place.map((x) => Math.round(x * ratio));
        if (right < 0 || left > bitmapSize.width) continue;
        this.fill(context, Math.max(left, 0), Math.min(right, bitmapSize.width), bitmapSize.height, ratio);
      }
    });
  }

  fill(context, left, right, height, ratio) {
    context.save();
    context.beginPath();
    context.rect(left, 0, right - left, height);
    context.clip();
    context.strokeStyle = this.colour;
    context.globalAlpha = 0.32;
    context.lineWidth = ratio;
    const gap = 7 * ratio;
    context.beginPath();
    for (let x = Math.floor((left - height) / gap) * gap; x < right; x += gap) {
      context.moveTo(x, height);
      context.lineTo(x + height, 0);
    }
    context.stroke();
    context.restore();
  }
}
