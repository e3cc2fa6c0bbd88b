// Draws the interactive figures; where this fails, the sketches stay.
(async () => {
  const text = (id) => document.getElementById(id).textContent;
  const packed = Uint8Array.from(atob(text("plotly").trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const inked = (trace, ink, paper) => {
    for (const part of [trace.line, trace.marker]) {
      if (part && part.color === "#000000") part.color = ink;
      if (part && part.color === "#A3A8AE") part.color = color("--faint");
    }
    if (trace.marker) trace.marker.line.color = paper;
    return trace;
  };
  const draw = (figure) => {
    const { data, layout } = JSON.parse(text(figure.dataset.figure));
    const [ink, paper, line] = [color("--ink"), color("--paper"), color("--line")];
    const narrow = figure.clientWidth < 640;
    delete layout.title; // the caption says it, and wraps
    layout.margin = narrow ? { l: 46, r: 8, t: 8, b: 46 } : { l: 62, r: 10, t: 34, b: 52 };
    layout.font.color = ink;
    layout.paper_bgcolor = layout.plot_bgcolor = paper;
    for (const axis of [layout.xaxis, layout.yaxis]) {
      Object.assign(axis, { gridcolor: line, linecolor: ink, tickcolor: ink });
    }
    layout.hoverlabel.bgcolor = paper;
    layout.hoverlabel.font.color = ink;
    if (narrow) {
      layout.legend = { orientation: "h", y: -0.2, yanchor: "top", x: 0, font: { size: 11 } };
      layout.xaxis.tickvals = layout.xaxis.tickvals.filter((_, index) => index % 2 === 0);
      layout.xaxis.ticktext = layout.xaxis.ticktext.filter((_, index) => index % 2 === 0);
    }
    figure.classList.add("live"); // before drawing: a hidden box has no width
    return Plotly.react(
      figure.querySelector(".drawn"),
      data.map((trace) => inked(trace, ink, paper)),
      layout,
      { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"] },
    );
  };
  const figures = [...document.querySelectorAll("figure[data-figure]")];
  const all = () => Promise.all(figures.map(draw));
  try {
    await all();
    dark.addEventListener("change", all);
  } catch (error) {
    figures.forEach((figure) => figure.classList.remove("live"));
    throw error;
  }
})();
