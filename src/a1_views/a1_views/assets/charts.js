// The three charts, drawn by uPlot. Ticks are what board.py calls ticks; times are in seconds.

export const STAGES = ["age", "preprocess", "vision", "backbone", "head", "publish", "judge"];
export const WINDOW_S = 60;
export const RECENT = 40;
const SPREAD = 0.8;
// Shape, colour and name of every reason to leave; the window of a1_rqt and the report have the same.
const REASONS = {
  CONVERGED: ["●", "--green", "converged"], LAST_EXIT: ["■", "--orange", "last exit"],
  DEADLINE: ["▼", "--bad", "deadline"], FIXED: ["◆", "--purple", "fixed"], FULL: ["★", "--sky", "full"],
};
const WITHIN = ["●", "--green", "within threshold"], BEYOND = ["✖", "--orange", "beyond"];
const NEWEST = ["◯", "--ink", "newest"], THRESHOLD = ["▬", "--ink", "threshold"];
export const EXIT_LEGEND = Object.values(REASONS);
export const DISCREPANCY_LEGEND = [WITHIN, BEYOND, THRESHOLD, NEWEST];

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

// Corners of shapes about (0, 0), in radii.
const CORNERS = {
  "■": [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
  "▼": [[-1.1, -0.9], [1.1, -0.9], [0, 1.1]],
  "◆": [[0, -1.3], [1.1, 0], [0, 1.3], [-1.1, 0]],
  "★": Array.from({ length: 10 }, (_, k) => {
    const radius = k % 2 ? 0.55 : 1.4, angle = (k * Math.PI) / 5;
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  }),
};

// One mark on a chart, `size` CSS pixels wide; what lies outside of the axes is not drawn.
function mark(plot, [shape, name], x, y, size) {
  const { ctx, bbox } = plot, radius = (size / 2) * devicePixelRatio;
  const left = plot.valToPos(x, "x", true), top = plot.valToPos(y, "y", true);
  if (left < bbox.left - 1 || left > bbox.left + bbox.width + 1) return;
  ctx.save();
  ctx.translate(left, top);
  ctx.fillStyle = ctx.strokeStyle = colour(name);
  ctx.lineWidth = 1.6 * devicePixelRatio;
  ctx.beginPath();
  if (shape === "●" || shape === "◯") ctx.arc(0, 0, radius, 0, 2 * Math.PI);
  else if (shape === "✖") [[-1, -1], [1, 1], [-1, 1], [1, -1]].forEach(([a, b], k) => (k % 2 ? ctx.lineTo(a * radius, b * radius) : ctx.moveTo(a * radius, b * radius)));
  else CORNERS[shape].forEach(([a, b]) => ctx.lineTo(a * radius, b * radius));
  if (shape === "◯" || shape === "✖") ctx.stroke();
  else ctx.fill();
  ctx.restore();
}

const plain = { cursor: { show: false }, legend: { show: false }, padding: [8, 12, 0, 0] };
const recent = (ticks, now) => ticks.filter((tick) => tick.t > now - WINDOW_S - 5);
const window_ = () => ({ time: false, range: [-WINDOW_S, 0] });

export class ExitChart extends Chart {
  draw(ticks, now) {
    this.last = [ticks, now];
    const shown = recent(ticks, now);
    if (!shown.length) return this.show(null);
    this.layers = shown.at(-1).num_layers;
    this.ticks = shown.map((tick) => ({ ...tick, ago: tick.t - now }));
    const data = [this.ticks.map((tick) => tick.ago), this.ticks.map((tick) => tick.exit_layer)];
    this.show(data, () => ({
      ...plain,
      scales: { x: window_(), y: { range: () => [0.5, this.layers + 0.5] } },
      axes: [timeAxis(), axis("exit layer [1]", { size: 34, splits: () => whole(this.layers) })],
      series: [
        {},
        { stroke: colour("--soft"), width: 1, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } },
      ],
      hooks: { draw: [(plot) => this.ticks.forEach((tick) => mark(plot, REASONS[tick.reason] ?? REASONS.FIXED, tick.ago, tick.exit_layer, 6))] },
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
    ticks.slice(-RECENT).reverse().forEach((tick, age) => tick.exits.forEach((exit, k) => {
      const value = tick.discrepancies[k];
      // From left to right as they came.
      const x = layers[exit] + SPREAD * (0.5 - age / (RECENT - 1));
      if (value > 0 && layers[exit]) points.push({ x, value, sign: tick.within[k] ? WITHIN : BEYOND, newest: age === 0 });
    }));
    if (!points.length) return this.show(null);
    points.sort((a, b) => a.x - b.x);
    this.points = points;
    this.layers = layers;
    this.thresholds = thresholds.values;
    const limits = thresholds.values.filter((value) => value > 0);
    const values = [...points.map((point) => point.value), ...limits];
    this.range = [Math.min(...values) / 1.6, Math.max(...values) * 1.6];
    const data = [points.map((point) => point.x), points.map((point) => point.value)];
    this.show(data, () => ({
      ...plain,
      scales: { x: { time: false, range: () => [Math.min(...this.layers) - 0.6, Math.max(...this.layers) + 0.6] }, y: { distr: 3, range: () => this.range } },
      axes: [
        axis("exit layer [1]", { size: 30, splits: () => this.layers }),
        axis(`${thresholds.metric} discrepancy [1]`, { size: 52, splits: () => decades(...this.range), values: (_, at) => at.map((v) => (v === null ? "" : shown(v))) }),
      ],
      series: [{}, { paths: () => null, points: { show: false } }],
      hooks: { draw: [(plot) => this.drawPoints(plot)] },
    }));
  }

  drawPoints(plot) {
    const { ctx } = plot;
    ctx.save();
    ctx.strokeStyle = colour(THRESHOLD[1]);
    ctx.lineWidth = 3 * devicePixelRatio;
    this.layers.forEach((layer, k) => {
      if (!(this.thresholds[k] > 0)) return;
      const y = plot.valToPos(this.thresholds[k], "y", true);
      ctx.beginPath();
      ctx.moveTo(plot.valToPos(layer - SPREAD / 2, "x", true), y);
      ctx.lineTo(plot.valToPos(layer + SPREAD / 2, "x", true), y);
      ctx.stroke();
    });
    ctx.restore();
    for (const point of this.points) mark(plot, point.sign, point.x, point.value, 6);
    for (const point of this.points) if (point.newest) mark(plot, NEWEST, point.x, point.value, 13);
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
