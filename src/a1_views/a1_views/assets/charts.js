// The three charts, drawn by uPlot. Ticks are what board.py calls ticks; times are in seconds.

export const STAGES = ["age", "preprocess", "vision", "backbone", "head", "publish", "judge"];
export const WINDOW_S = 60;
const RECENT = 40;
const REASONS = {
  CONVERGED: "--backbone", LAST_EXIT: "--bad", DEADLINE: "--preprocess", FIXED: "--age", FULL: "--age",
};

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// A chart that fills its box, is drawn anew when light turns to dark, and says why it is empty.
class Chart {
  constructor(box, empty) {
    this.box = box;
    this.note = Object.assign(document.createElement("div"), { className: "empty", textContent: empty });
    box.append(this.note);
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.plot?.destroy();
      this.plot = null;
      if (this.last) this.draw(...this.last);
    });
  }

  size() {
    return { width: Math.max(50, this.box.clientWidth), height: Math.max(50, this.box.clientHeight) };
  }

  show(data, options) {
    this.note.hidden = data !== null;
    if (data === null) return;
    if (!this.plot) this.plot = new uPlot({ ...options(), ...this.size() }, data, this.box);
    else this.plot.setData(data);
  }
}

const axis = (label, more = {}) => ({
  label, labelSize: 18, labelFont: "12px system-ui", font: "11px system-ui", stroke: colour("--soft"),
  grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, ...more,
});
const timeAxis = () => axis("time before now [s]", { size: 30, values: (_, at) => at.map((t) => `${-t}`) });
const plain = { cursor: { show: false }, legend: { show: false }, padding: [8, 12, 0, 0] };
const recent = (ticks, now) => ticks.filter((tick) => tick.t > now - WINDOW_S - 5);
const window_ = () => ({ time: false, range: [-WINDOW_S, 0] });

export class ExitChart extends Chart {
  draw(ticks, now) {
    this.last = [ticks, now];
    const shown = recent(ticks, now);
    if (!shown.length) return this.show(null);
    this.layers = shown.at(-1).num_layers;
    const reasons = Object.keys(REASONS);
    const data = [
      shown.map((tick) => tick.t - now),
      shown.map((tick) => tick.exit_layer),
      ...reasons.map((reason) => shown.map((tick) => (tick.reason === reason ? tick.exit_layer : null))),
    ];
    this.show(data, () => ({
      ...plain,
      scales: { x: window_(), y: { range: () => [0.5, this.layers + 0.5] } },
      axes: [timeAxis(), axis("exit layer", { size: 34, splits: () => whole(this.layers) })],
      series: [
        {},
        { stroke: colour("--soft"), width: 1, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } },
        ...reasons.map((reason) => ({
          paths: () => null, stroke: colour(REASONS[reason]),
          points: { show: true, size: 6, fill: colour(REASONS[reason]), width: 0 },
        })),
      ],
    }));
  }
}

// 1 .. layers, no more than about eight of them.
function whole(layers) {
  const step = Math.ceil(layers / 8);
  return Array.from({ length: Math.floor(layers / step) }, (_, k) => (k + 1) * step);
}

export class DiscrepancyChart extends Chart {
  // Discrepancies of the last ticks at every exit they looked at, and the thresholds in force.
  draw(ticks, thresholds) {
    this.last = [ticks, thresholds];
    const layers = thresholds?.exits ?? [];
    const points = [];
    ticks.slice(-RECENT).forEach((tick, age, all) => tick.exits.forEach((exit, k) => {
      const value = tick.discrepancies[k];
      if (value > 0 && layers[exit]) points.push([layers[exit], value, age === all.length - 1, tick.exit_layer === layers[exit]]);
    }));
    if (!points.length) return this.show(null);
    points.sort((a, b) => a[0] - b[0]);
    this.layers = layers;
    this.metric = thresholds.metric;
    this.thresholds = thresholds.values;
    const limits = thresholds.values.filter((value) => value > 0);
    const values = [...points.map((point) => point[1]), ...limits];
    this.range = [Math.min(...values) / 1.6, Math.max(...values) * 1.6];
    const of = (wanted) => points.map((point) => (wanted(point) ? point[1] : null));
    const data = [
      points.map((point) => point[0]),
      of((point) => !point[2] && !point[3]), of((point) => !point[2] && point[3]), of((point) => point[2]),
    ];
    const dots = (name, size, fill) => ({
      paths: () => null, stroke: colour(name),
      points: { show: true, size, width: 1.4, stroke: colour(name), fill: fill ? colour(name) : "transparent" },
    });
    this.show(data, () => ({
      ...plain,
      scales: { x: { time: false, range: () => [0.5, Math.max(...this.layers) + 0.5] }, y: { distr: 3, range: () => this.range } },
      axes: [
        axis("exit layer", { size: 30, splits: () => this.layers }),
        axis(`discrepancy (${this.metric})`, { size: 52, splits: () => decades(...this.range), values: (_, at) => at.map((v) => (v === null ? "" : shown(v))) }),
      ],
      series: [{}, dots("--age", 5, false), dots("--backbone", 6, true), dots("--head", 9, true)],
      hooks: { draw: [(plot) => this.drawThresholds(plot)] },
    }));
  }

  drawThresholds(plot) {
    const { ctx } = plot;
    ctx.save();
    ctx.strokeStyle = colour("--bad");
    ctx.lineWidth = 3 * devicePixelRatio;
    this.layers.forEach((layer, k) => {
      if (!(this.thresholds[k] > 0)) return;
      const y = plot.valToPos(this.thresholds[k], "y", true);
      ctx.beginPath();
      ctx.moveTo(plot.valToPos(layer - 0.38, "x", true), y);
      ctx.lineTo(plot.valToPos(layer + 0.38, "x", true), y);
      ctx.stroke();
    });
    ctx.restore();
  }
}

// 1, 2, 5, 10, 20 .. within a range, as marks of a logarithmic axis.
function decades(low, high) {
  const marks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    marks.push(...[1, 2, 5].map((step) => +`${step}e${power}`));
  }
  return marks.filter((mark) => mark >= low && mark <= high);
}

const shown = (value) => (value >= 0.01 && value < 1000 ? `${+value.toPrecision(2)}` : value.toExponential(0));

export class LatencyChart extends Chart {
  // Stages on top of each other, one bar a chunk.
  draw(ticks, now) {
    this.last = [ticks, now];
    const ticksShown = recent(ticks, now);
    if (!ticksShown.length) return this.show(null);
    const sums = ticksShown.map(() => 0);
    const stacked = STAGES.map((stage) => ticksShown.map((tick, k) => (sums[k] += tick[`${stage}_ms`] ?? 0)));
    const highest = Math.max(...sums);
    this.top = 10 ** Math.floor(Math.log10(highest));
    this.top *= [1, 1.5, 2, 3, 5, 10].find((step) => step * this.top >= highest);
    // The tallest first: each next one covers its lower part.
    const data = [ticksShown.map((tick) => tick.t - now), ...stacked.reverse()];
    this.show(data, () => ({
      ...plain,
      scales: { x: window_(), y: { range: () => [0, this.top] } },
      axes: [timeAxis(), axis("since the stamp [ms]", { size: 44 })],
      series: [
        {},
        ...[...STAGES].reverse().map((stage) => ({
          stroke: colour(`--${stage}`), fill: colour(`--${stage}`), width: 0, points: { show: false },
          paths: uPlot.paths.bars({ size: [0.7, 14] }),
        })),
      ],
    }));
  }
}
