// Fronts as Plotly draws them, from what the server says of them.

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function inked(hex) {
  if (hex === "#000000") return color("--ink");
  return hex === "#A3A8AE" ? color("--faint") : hex;
}

function pale(hex) {
  if (!/^#[0-9a-f]{6}$/i.test(hex)) return hex;
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${red},${green},${blue},0.16)`;
}

function bands(arm, picture) {
  if (!arm.band.length || arm.grey) return [];
  const steps = [...arm.band, [picture.x_range[1], ...arm.band.at(-1).slice(1)]];
  return [1, 2].map((border) => ({
    x: steps.map((step) => step[0]),
    y: steps.map((step) => step[border]),
    mode: "lines",
    line: { width: 0, shape: "hv", color: inked(arm.color) },
    fill: border === 2 ? "tonexty" : "none",
    fillcolor: pale(inked(arm.color)),
    hoverinfo: "skip",
    showlegend: false,
    legendgroup: arm.name,
  }));
}

function line(arm, picture) {
  return {
    x: arm.line.map(([x]) => x),
    y: arm.line.map(([, y]) => y),
    mode: "lines",
    line: {
      color: inked(arm.color),
      dash: arm.dash,
      width: arm.grey ? 1 : 2,
      ...(picture.stairs ? { shape: "hv" } : {}),
    },
    hoverinfo: arm.grey ? "text" : "skip",
    text: arm.name,
    name: arm.name,
    legendgroup: arm.grey ? "others" : arm.name,
    showlegend: false,
  };
}

function markers(arm, picture, about) {
  return {
    x: arm.points.map((point) => point.x),
    y: arm.points.map((point) => point.y),
    customdata: arm.points.map((point) => point.link),
    text: arm.points.map((point) => about(arm, point, picture)),
    mode: "markers",
    marker: {
      color: inked(arm.color),
      symbol: arm.symbol,
      size: arm.symbol.startsWith("triangle") ? 10 : 8,
      line: { color: color("--paper"), width: 1 },
    },
    hovertemplate: "%{text}<extra></extra>",
    legendgroup: arm.name,
    name: arm.name,
    showlegend: false,
  };
}

function entry(arm) {
  return {
    x: [null],
    y: [null],
    mode: "lines+markers",
    line: { color: inked(arm.color), dash: arm.dash, width: 2 },
    marker: { color: inked(arm.color), symbol: arm.symbol, size: 8 },
    legendgroup: arm.name,
    name: arm.name,
  };
}

function published(picture) {
  return {
    x: picture.published.map((one) => one.nonzero),
    y: picture.published.map((one) => one.accuracy),
    text: picture.published.map((one) => one.label),
    mode: "markers",
    marker: { color: color("--soft"), symbol: "circle-open", size: 9, line: { width: 1.5 } },
    hovertemplate: "%{text}<br>%{x:,} nonzero, test %{y:.2f} %<extra></extra>",
    name: "published: reported, not re-run",
  };
}

function layout(picture, narrow) {
  const [ink, paper, rule] = [color("--ink"), color("--paper"), color("--line")];
  const axis = {
    showgrid: true,
    gridcolor: rule,
    zeroline: false,
    showline: true,
    linecolor: ink,
    mirror: true,
    ticks: "outside",
    tickcolor: ink,
  };
  const ticks = picture.ticks.filter((_, index) => !narrow || index % 2 === 0);
  const empty = picture.arms.every((arm) => !arm.points.length && !arm.line.length);
  return {
    uirevision: `${picture.track ?? ""} ${picture.size ?? ""}`, // zoom and legend stay while it grows
    font: { family: "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif", color: ink },
    paper_bgcolor: paper,
    plot_bgcolor: paper,
    xaxis: {
      ...axis,
      type: "log",
      title: { text: picture.x_name },
      range: picture.x_range.map((end) => Math.log10(end)),
      tickvals: ticks.map(([value]) => value),
      ticktext: ticks.map(([, text]) => text),
    },
    yaxis: {
      ...axis,
      title: { text: picture.y_name },
      range: picture.y_range,
      tickformat: "~g",
      nticks: 8,
    },
    legend: narrow
      ? { orientation: "h", x: 0, y: -0.2, yanchor: "top", font: { size: 11 } }
      : { x: 1.01, xanchor: "left", y: 1, tracegroupgap: 2 },
    margin: narrow ? { l: 46, r: 8, t: 8, b: 46 } : { l: 64, r: 16, t: 34, b: 56 },
    hovermode: "closest",
    hoverlabel: { align: "left", bgcolor: paper, font: { color: ink, size: 12 } },
    annotations: empty
      ? [{ text: "no complete trial yet", showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5 }]
      : [],
  };
}

// Draw a picture; `about(arm, point, picture)` is the text of a point.
export async function draw(element, picture, about, show = { bands: true, published: true }) {
  const coloured = picture.arms.filter((arm) => !arm.grey);
  const grey = picture.arms.filter((arm) => arm.grey);
  const others = { line: { color: inked("#A3A8AE"), width: 1 }, mode: "lines", x: [null], y: [null] };
  const traces = [
    ...(show.bands ? coloured.flatMap((arm) => bands(arm, picture)) : []),
    ...grey.map((arm) => line(arm, picture)),
    ...coloured.flatMap((arm) => [line(arm, picture), markers(arm, picture, about), entry(arm)]),
    ...(grey.length ? [{ ...others, legendgroup: "others", name: `${grey.length} other arms` }] : []),
    ...(show.published && picture.published.length ? [published(picture)] : []),
  ];
  const first = !element.dataset.clicks;
  element.dataset.clicks = "yes"; // before waiting: two may draw at once
  await globalThis.Plotly.react(element, traces, layout(picture, element.clientWidth < 640), {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["lasso2d", "select2d"],
  });
  if (first) {
    element.on("plotly_click", ({ points }) => {
      const link = points[0].customdata;
      if (link) window.open(link, "_blank", "noopener");
    });
  }
}
