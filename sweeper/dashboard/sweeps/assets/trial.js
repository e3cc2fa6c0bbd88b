// The page of a trial: what it was given, what it measured, its curve, its attempts and its output.

import { changed, count, fill, make, percent, place, poll, table } from "./common.js";
import { draw, onThemeChange } from "./draw_figure.js";
import { capitalised, to } from "./fronts.js";
import { loadPlotly, painted } from "./plotly_loader.js";

const here = location.pathname;
let shown = null;

// A number as people read it: counts whole, others with as many digits as say something.
function number(value) {
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? value.toLocaleString("en") : String(+value.toPrecision(6));
}

function showHead(trial) {
  const name = `${trial.arm}, repeat ${trial.repeat}, slot ${trial.slot}`;
  document.title = `${name} – ${trial.sweep}`;
  place("name").textContent = trial.is_confirmation ? `${name}, confirmed` : name;
  const method = trial.method ? `; ${trial.method}` : "";
  place("subject").textContent = `${trial.subject}${method}`;
  const sweep = place("sweep");
  sweep.href = `/sweeps/${encodeURIComponent(trial.sweep)}/`;
  sweep.textContent = trial.sweep;
  sweep.hidden = false;
  const kinds = { complete: "finished", diverged: "failed", collapsed: "failed", "in work": "open" };
  const at = trial.host && !trial.is_done ? ` on ${trial.host}` : "";
  const trials = trial.last_trial > trial.trial ? `trials ${trial.trial} to ${trial.last_trial}` : `trial ${trial.trial}`;
  const link = trial.optuna ? make("a", { href: trial.optuna }, `${trials} of ${trial.study} in the Optuna dashboard`) : null;
  const label = make("span", { class: `state ${kinds[trial.state] ?? ""}` }, `${trial.state}${at}`);
  place("optuna").href = trial.optuna ?? "/dashboard";
  const dropped = trial.dropped.map((text) => make("p", {}, `Dropped, and in no front, table or comparison: ${text}.`));
  fill(place("progress"), make("div", { class: "meter" }, label, link), ...dropped);
}

function showMeasured({ sizes, numbers, layers, layers_of: layersOf }) {
  place("sizes-part").hidden = !sizes && !numbers.length;
  if (sizes) {
    const cell = (value, column) => {
      if (value === null) return "–";
      return sizes.head[column].endsWith("%") ? percent(value) : typeof value === "number" ? count(value) : value;
    };
    const head = sizes.head[0] ? sizes.head : sizes.head.slice(1);
    const linked = (cells, row) => [to(sizes.links[row], cells[0]), ...cells.slice(1)];
    const rows = sizes.rows.map((row, number) => linked(row.map(cell), number).slice(sizes.head[0] ? 0 : 1));
    fill(place("sizes"), table(head, rows));
  }
  const rows = numbers.map(([name, value]) => [name, number(value)]);
  fill(place("numbers"), ...(rows.length ? [table(["further number", "value"], rows)] : []));
  place("layers-part").hidden = !layers.length;
  const lines = layers.map((layer) => [
    layer.name, count(layer.weights), count(layer.of), count(layer.biases),
  ]);
  fill(place("layers"), table(["layer", "weights", "of", "biases"], lines, layersOf && `Of the network with ${layersOf}.`));
}

async function showCurves({ curves }) {
  place("curves-part").hidden = !curves.length;
  const box = place("curves");
  while (box.children.length > curves.length) box.lastChild.remove();
  while (box.children.length < curves.length) {
    // All of them before one is drawn: each takes the width that is left.
    const plot = make("div", { class: "plot", role: "group" });
    box.append(make("figure", {}, plot, make("figcaption", {})));
  }
  if (!curves.length) return;
  await painted(); // the tables above
  await loadPlotly();
  for (const [index, curve] of curves.entries()) {
    const [plot, caption] = box.children[index].children;
    const cut = curve.cut === null ? "" : `; dotted: ${curve.cut_name}`;
    caption.textContent = `${capitalised(curve.y_name)}${cut}`;
    plot.setAttribute("aria-label", `learning curve: ${curve.y_name}`);
    await draw(plot, curve.figure, { showlegend: false });
  }
}

function showGiven({ values, enqueued }) {
  const source = (name) => enqueued.find(({ names }) => names.includes(name))?.source;
  const kind = ({ name, searched }) => source(name) ?? (searched ? "searched" : "fixed");
  const rows = values.map((given) => [given.name, number(given.value), kind(given)]);
  fill(
    place("values"),
    rows.length
      ? table(["name", "value", { text: "kind" }], rows)
      : make("p", { class: "soft" }, "Nothing is asked for it yet."),
  );
}

function showAttempts({ attempts }) {
  place("attempts-part").hidden = !attempts.length;
  const rows = attempts.map((lost) => [
    String(lost.number),
    lost.kind,
    lost.host || "–",
    new Date(1000 * lost.at).toLocaleString(),
    lost.error || "–",
  ]);
  const head = ["attempt", { text: "came to" }, { text: "machine" }, "at", { text: "error" }];
  fill(place("attempts"), table(head, rows));
}

function showLog({ log }) {
  place("log-part").hidden = log === null;
  if (log === null) return;
  const part = log.is_whole ? "all" : "the end";
  place("log-place").textContent = `Attempt ${log.attempt}, ${part} of ${log.path} on the dashboard's machine`;
  const box = place("log");
  const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 4;
  if (box.textContent === log.text) return;
  box.textContent = log.text;
  if (atEnd) box.scrollTop = box.scrollHeight;
}

async function look() {
  const trial = await changed(`${here}.json`);
  if (trial !== null) {
    shown = trial;
    showHead(trial);
    showMeasured(trial);
    showGiven(trial);
    showAttempts(trial);
    showLog(trial);
    place("facts-part").hidden = !trial.facts.length;
    fill(place("facts"), table(["what", { text: "value" }], trial.facts));
    await showCurves(trial);
  }
  return shown.is_done ? 30 : 3;
}

poll(look);
onThemeChange(() => shown && showCurves(shown));
