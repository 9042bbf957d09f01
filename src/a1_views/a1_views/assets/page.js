// Fills the page from the node's news. It asks nobody but the node that served it.

import { DISCREPANCY_LEGEND, DiscrepancyChart, EXIT_LEGEND, ExitChart, LatencyChart, RECENT, STAGES, WINDOW_S } from "./charts.js";

const at = (id) => document.getElementById(id);
const made = (tag, fields = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), fields);
  element.append(...children);
  return element;
};
const number = (value, digits = 1) => (value === null || value === undefined ? "–" : value.toFixed(digits));
const percent = (share) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(0)} %`);

const KEPT = 300;
const CONFIRM_MS = 3000;
const LABELS = {
  age: "age of the observation", preprocess: "preprocess", vision: "vision", backbone: "backbone",
  head: "action head", publish: "publish", judge: "until the verdict", whole: "whole",
};
const MODES = { TRACKING: "good", HOLD: "good", SHADOW: "warn", DISARMED: "warn", STOPPED: "bad", FAULT: "bad", SILENT: "bad" };
const SIGNS = { OK: "●", WARN: "▲", ERROR: "■", STALE: "○" };
const LEVEL_CLASSES = { OK: "ok", WARN: "warn-text", ERROR: "error", STALE: "stale" };
const ORDER = ["ERROR", "WARN", "STALE", "OK"];

const ticks = new Map();
const charts = {
  exit: new ExitChart(at("exit-chart"), `no chunk in the last ${WINDOW_S} s`),
  discrepancy: new DiscrepancyChart(at("discrepancy-chart"), "no exit was compared with a threshold: mode full or fixed, or no chunk yet"),
  latency: new LatencyChart(at("latency-chart"), `no chunk in the last ${WINDOW_S} s`),
};
for (const [id, entries] of [["exit-legend", EXIT_LEGEND], ["discrepancy-legend", DISCREPANCY_LEGEND]]) {
  at(id).replaceChildren(...entries.map(([sign, name, text]) => {
    const shown = made("span", { textContent: sign });
    shown.style.color = `var(${name})`;
    return made("span", {}, shown, ` ${text}`);
  }));
}
let token = "";

function take(news) {
  for (const tick of news.ticks) ticks.set(tick.n, tick);
  while (ticks.size > KEPT) ticks.delete(ticks.keys().next().value);
  const list = [...ticks.values()];
  drawHeader(news);
  charts.exit.draw(list, news.now_s);
  charts.discrepancy.draw(list, news.thresholds);
  charts.latency.draw(list, news.now_s);
  const newest = list.at(-1);
  drawExitNote(newest, news.refusal);
  at("latency-note").textContent = newest ? `${number(newest.total_ms)} ms in the network` : "";
  at("discrepancy-note").textContent = list.length ? `last ${Math.min(RECENT, list.length)} chunks` : "";
  drawStages(news.latency_ms);
  drawExits(news);
  drawController(news.controller);
  drawVerdicts(news);
  drawThresholds(news.thresholds);
  drawStatuses(news);
  if (news.picture) drawPicture(news.picture);
  if (!performance.getEntriesByName("a1-first-picture").length) {
    requestAnimationFrame(() => performance.mark("a1-first-picture"));
  }
}

// Where the newest chunk left, or why none came since.
function drawExitNote(newest, refusal) {
  const refused = refusal && (!newest || refusal.stamp_s > newest.t);
  const left = newest ? `${newest.exit_layer} of ${newest.num_layers}, ${newest.reason.toLowerCase().replace("_", " ")}` : "";
  at("exit-note").textContent = at("exit-note").title = refused ? `no chunk: ${refusal.message}` : left;
  at("exit-note").className = refused ? "error" : "";
}

function drawHeader(news) {
  const mode = news.controller?.mode;
  at("mode").textContent = mode ?? "no controller";
  at("mode").className = `badge ${MODES[mode] ?? ""}`;
  at("reason").textContent = at("reason").title = news.controller?.reason ?? "";
  at("instruction").textContent = news.instruction ? `“${news.instruction}”` : "no instruction";
  const { episode } = news;
  at("episode").textContent = episode?.number ? `episode ${episode.number}, ${outcome(episode)}` : "";
}

function outcome(episode) {
  if (episode.success) return "done";
  if (episode.failed) return "failed";
  return episode.running ? `${episode.phase} ${number(episode.elapsed_s, 0)} s` : "over";
}

function drawStages(latency) {
  const head = made("tr", {}, ...["stage", "p50", "p95", "p99"].map((text) => made("th", { textContent: text })));
  const rows = [...STAGES, "whole"].map((stage) => {
    const label = made("td", {}, LABELS[stage]);
    if (stage !== "whole") {
      const swatch = made("span", { className: "swatch" });
      swatch.style.background = `var(--${stage})`;
      label.prepend(swatch);
    }
    const cells = [0, 1, 2].map((k) => made("td", { textContent: number(latency[stage]?.[k]) }));
    return made("tr", { className: stage === "whole" ? "whole" : "" }, label, ...cells);
  });
  at("stages").replaceChildren(head, ...rows);
}

function bar(name, share, count, refused = false) {
  const fill = made("div", { className: refused ? "fill refused" : "fill" });
  fill.style.width = `${100 * share}%`;
  return made("div", { className: "bar" },
    made("span", { className: "name", textContent: name }),
    made("div", { className: "track" }, fill), made("span", { className: "count", textContent: count }));
}

function drawExits(news) {
  const { of, layers, counts } = news.exits;
  at("exits-note").textContent = of ? `${percent(news.saved)} compute saved` : "no chunk yet";
  const step = Math.ceil(layers / 12);
  const rows = [];
  for (let layer = 1; layer <= layers; layer += step) {
    let count = 0;
    for (let k = layer; k < layer + step; k += 1) count += counts[k] ?? 0;
    const name = step === 1 ? `${layer}` : `${layer}–${Math.min(layers, layer + step - 1)}`;
    rows.push(bar(name, of ? count / of : 0, of ? percent(count / of) : ""));
  }
  at("exits").replaceChildren(...rows);
}

function facts(id, pairs) {
  at(id).replaceChildren(...pairs.flatMap(([name, value]) => [made("dt", { textContent: name }), made("dd", { textContent: value })]));
}

function drawController(state) {
  if (!state) return facts("controller", [["", "no controller is heard"]]);
  facts("controller", [
    ["chunk, row", state.seq ? `${state.seq}, row ${state.row}` : "none"],
    ["chunk age", `${number(state.chunk_age_ms, 0)} ms`],
    ["joint state age", `${number(state.state_age_ms, 0)} ms`],
    ["tracking error", `${number(state.tracking_error_rad, 4)} rad`],
    ["accepted / refused", `${state.chunks_accepted} / ${state.chunks_refused}`],
    ["clamped / slowed", `${state.clamped} / ${state.slowed}`],
    ["underruns", state.underruns],
    ["late ticks", state.late_ticks],
  ]);
}

function drawVerdicts(news) {
  const total = Object.values(news.verdicts).reduce((sum, count) => sum + count, 0);
  at("verdict-note").textContent = total ? `${total} chunks` : "none yet";
  const rows = Object.entries(news.verdicts).map(([name, count]) => {
    const row = bar(name, count / total, count, name !== "ACCEPTED" && name !== "SHADOW");
    row.append(row.children[1]);
    return row;
  });
  const bad = news.verdict && !["ACCEPTED", "SHADOW"].includes(news.verdict.code);
  if (bad) rows.push(made("p", { className: "error", textContent: news.verdict.detail }));
  at("verdicts").replaceChildren(...rows);
}

function drawThresholds(info) {
  at("choice").textContent = info ? `mode ${info.mode}` : "";
  if (!info) return facts("thresholds", [["", "no policy is heard"]]);
  if (!info.file) return facts("thresholds", [["file", "none: full depth"], ["checkpoint", info.checkpoint || "–"]]);
  const certificate = info.certified
    ? `loss of an episode at most ${info.risk} with confidence ${number(1 - info.failure, 2)}, of ${info.certificate_episodes} episodes, tolerance ${info.tolerance}`
    : "none";
  facts("thresholds", [
    ["certificate", certificate],
    ["file", info.file], ["checkpoint", info.checkpoint],
    ["fit", `${info.fit}, ${info.samples} ticks of ${info.episodes} episodes`],
    ["metric, head", `${info.metric}, ${info.head}`],
  ]);
}

function drawStatuses(news) {
  const rows = [...news.statuses].sort((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level)).map((status) => made("li", {},
    made("span", { className: `level ${LEVEL_CLASSES[status.level] ?? ""}`, textContent: `${SIGNS[status.level] ?? "?"} ${status.level}` }),
    made("span", {}, `${status.node} ${status.what} `, made("span", { className: "message", textContent: status.message }))));
  at("statuses").replaceChildren(...(rows.length ? rows : [made("li", {}, "", "nothing on /diagnostics yet")]));
}

function drawPicture(picture) {
  const image = made("img", { src: `data:image/jpeg;base64,${picture.jpeg}`, alt: "cameras, side by side" });
  const names = made("div", { className: "names" }, ...picture.cameras.map((name) => made("span", { textContent: name })));
  at("pictures").replaceChildren(image, names);
}

function say(text, kind) {
  at("link").textContent = text;
  at("link").className = `badge ${kind}`;
}

function listen() {
  const source = new EventSource("/news");
  let heard = 0;
  source.addEventListener("hello", (event) => {
    const hello = JSON.parse(event.data);
    document.title = at("title").textContent = hello.title;
    token = hello.token;
    at("controls").hidden = !token;
    ticks.clear();
  });
  source.addEventListener("news", (event) => {
    heard = performance.now();
    say(token ? "live, with controls" : "live, read only", "good");
    take(JSON.parse(event.data));
  });
  source.addEventListener("error", () => say("the node is gone", "bad"));
  setInterval(() => {
    if (heard && performance.now() - heard > 3000) say("nothing new", "warn");
  }, 1000);
}

const answer = (name, text) => { at("answer").textContent = at("answer").title = `${name}: ${text}`; };

async function order(name, argument = "") {
  answer(name, "asked");
  try {
    const response = await fetch(`/act/${name}`, { method: "POST", headers: { "X-A1-Token": token }, body: argument });
    const told = response.ok ? await response.json() : { done: false, message: await response.text() };
    answer(name, told.message || (told.done ? "done" : "refused"));
  } catch {
    answer(name, "NOT DONE, the page's node does not answer; open the page anew");
  }
}

// After arming the arm may move, so that takes a second press within CONFIRM_MS.
function confirmed(button) {
  if (!("twice" in button.dataset)) return true;
  const label = button.dataset.label ??= button.textContent;
  clearTimeout(button.waiting);
  if (button.textContent !== label) {
    button.textContent = label;
    return true;
  }
  button.textContent = "Press again";
  button.waiting = setTimeout(() => { button.textContent = label; }, CONFIRM_MS);
  return false;
}

at("controls").addEventListener("click", (event) => {
  const { order: name, argument } = event.target.dataset;
  if (name && confirmed(event.target)) order(name, argument);
});
at("instruct").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = new FormData(event.target).get("text").trim();
  if (text) order("instruction", text);
});
listen();
