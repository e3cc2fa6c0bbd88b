// Draws a Plotly figure in the colours and the width of its page: for reports and for the dashboard.

const NARROW = 640; // px: the legend goes below, and of many ticks every other one is left out
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// A copy in which each colour that has a name in theme.css is the one that the page has now.
export function themed(value, theme) {
  if (typeof value === "string") return value in theme ? color(theme[value]) : value;
  if (Array.isArray(value)) return value.map((part) => themed(part, theme));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, themed(part, theme)]));
}

function fitted(layout, narrow) {
  const { title, meta, ...rest } = layout; // the caption says the title, and wraps
  const { margin, legend, xaxis } = rest;
  if (!narrow) return { ...rest, margin: { ...margin, t: 34 } };
  const most = 8; // labels that have room
  const everyOther = (list) => (list.length > most ? list.filter((_, index) => index % 2 === 0) : list);
  return {
    ...rest,
    margin: { l: 46, r: 8, t: 8, b: 46 },
    legend: {
      ...legend, orientation: "h", font: { size: 11 }, maxheight: 0.6,
      x: 0, y: -0.22, yanchor: "top",
    },
    xaxis: { ...xaxis, tickvals: everyOther(xaxis.tickvals), ticktext: everyOther(xaxis.ticktext) },
  };
}

// Traces without the names of published networks, which hovering tells: they would lie on each other.
function nameless(traces) {
  return traces.map((trace) => (trace.mode === "markers+text" ? { ...trace, mode: "markers" } : trace));
}

// Draw, or draw again, what Python made; `layout` adds to its layout.
export function draw(element, figure, layout = {}) {
  const theme = figure.layout.meta;
  const narrow = element.clientWidth < NARROW;
  return globalThis.Plotly.react(
    element,
    themed(narrow ? nameless(figure.data) : figure.data, theme),
    { ...themed(fitted(figure.layout, narrow), theme), ...layout },
    { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"] },
  );
}

// Call `redraw` when the page turns dark or light.
export function onThemeChange(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}
