// Draws the interactive figures with `draw` of draw_figure.js; where that fails, the sketches stay.
(async () => {
  const text = (id) => document.getElementById(id).textContent;
  const packed = Uint8Array.from(atob(text("plotly").trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);

  const figures = [...document.querySelectorAll("figure[data-figure]")];
  const drawOne = (figure) => {
    figure.classList.add("live"); // before drawing: a hidden box has no width
    return draw(figure.querySelector(".drawn"), JSON.parse(text(figure.dataset.figure)));
  };
  const drawAll = () => Promise.all(figures.map(drawOne));
  try {
    await drawAll();
    onThemeChange(drawAll);
  } catch (error) {
    figures.forEach((figure) => figure.classList.remove("live"));
    throw error;
  }
})();
