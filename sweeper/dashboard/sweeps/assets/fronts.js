// Figures of fronts and the tables below them, for the page of a sweep and that of several.

import { count, isWanted, make, percent, table } from "./common.js";
import { draw, themed } from "./draw_figure.js";
import { loadPlotly, painted } from "./plotly_loader.js";

// Draw the figure of a payload without traces of hidden kinds, and of arms that are filtered out; a
// click on a marker or a curve opens its trial. Until Plotly is there, its sketch is shown if it has one.
export async function drawIn(element, payload, hidden) {
  const arms = new Set((payload.arms ?? []).map((arm) => arm.name));
  const isShown = (name) => !arms.has(name) || isWanted(name);
  const data = payload.figure.data.filter(
    ({ meta, name, legendgroup }) => !hidden.includes(meta) && isShown(legendgroup ?? name) && isShown(name),
  );
  if (payload.sketch && !globalThis.Plotly) {
    element.classList.add("sketch");
    element.innerHTML = payload.sketch;
    await painted();
  }
  await loadPlotly();
  if (element.classList.contains("sketch")) {
    element.classList.remove("sketch");
    element.replaceChildren();
  }
  // Zoom and legend stay while it grows.
  const uirevision = `${payload.track ?? ""} ${payload.size ?? ""}`;
  const first = !element.dataset.clicks;
  element.dataset.clicks = "yes"; // before waiting: two may draw at once
  await draw(element, { ...payload.figure, data }, { uirevision });
  if (!first) return;
  element.on("plotly_click", ({ points: [{ customdata }] }) => {
    const link = Array.isArray(customdata) ? customdata.at(-1) : null;
    if (String(link).startsWith("/sweeps/")) window.open(link, "_blank", "noopener");
  });
}

// The marker that an arm has in every picture.
function swatch(arm, paint) {
  const [open, dot] = [/open|ringed/.test(arm.filling), { ringed: paint, pierced: "var(--paper)" }[arm.filling]];
  const part = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const picture = part("svg", { class: "chip", viewBox: "-7 -7 14 14", "aria-hidden": "true" });
  const fill = open ? "none" : paint;
  picture.append(part("path", { d: arm.outline, fill, stroke: paint, "stroke-width": open ? 1.7 : 0 }));
  if (dot) picture.append(part("circle", { r: 1.7, fill: dot }));
  return picture;
}

export const chip = (arm, payload) => {
  const paint = themed(arm.color, payload.figure.layout.meta);
  return make("span", { "data-arm": arm.name }, swatch(arm, paint), arm.name);
};

export const capitalised = (text) => `${text[0].toUpperCase()}${text.slice(1)}`;

export const to = (link, text) => (link ? make("a", { href: link }, text) : text);

// The smallest networks at accuracies; with `rank` the smallest of all arms are bold.
export function levelsTable(picture, { rank, hypervolume }) {
  const smallest = picture.accuracies.map((_, index) =>
    Math.min(...picture.arms.map((arm) => arm.points[arm.at_accuracy[index]]?.x ?? Infinity)),
  );
  const beside = (point) => `${picture.mark_name} ${percent(point.y)} %`;
  const lines = picture.arms.map((arm) => [
    chip(arm, picture),
    ...arm.at_accuracy.map((index, target) => {
      if (index === null) return "–";
      const point = arm.points[index];
      const content = [to(point.link, count(point.x)), beside(point)];
      return rank && point.x === smallest[target] ? { best: content } : content;
    }),
    ...(hypervolume ? [arm.hypervolume.toFixed(4)] : []),
    count(arm.trials),
  ]);
  const head = [
    "arm",
    ...picture.accuracies.map((target) => `at ${+target.toFixed(2)} %`),
    ...(hypervolume ? ["hypervolume"] : []),
    "networks",
  ];
  const explanation =
    `${capitalised(picture.x_name)} of the smallest network that ` +
    `reaches a ${picture.line_name} ${picture.measure}, over all repeats, below it the ${picture.mark_name} ` +
    `${picture.measure} of that same network; – is not reached.`;
  return table(head, lines, explanation);
}

export function pointsTable(picture) {
  const counts = picture.script ? [picture.unit] : ["nonzero", "effective"];
  const counted = (point) => (picture.script ? [point.x] : [point.nonzero, point.effective]);
  const head = [
    "arm", ...counts, `${picture.line_name} %`, `${picture.mark_name} %`, "repeat",
    "trial", { text: "configuration" },
  ];
  const lines = picture.arms.flatMap((arm) =>
    arm.points.map((point) => [
      chip(arm, picture), ...counted(point).map(count), percent(point.line),
      percent(point.y), point.repeat, to(point.link, String(point.trial)), point.configuration,
    ]),
  );
  return table(head, lines);
}

export function caption(element, payload) {
  const text = payload.subtitle.replaceAll(" · ", "; ");
  const tail = "Click on a marker to open its trial; double-click shows everything. The tables below have the same.";
  element.textContent = `${capitalised(text)}. ${tail}`;
}
