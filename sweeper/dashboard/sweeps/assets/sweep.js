import {
  changed, count, duration, fill, forget, make, many, percent, place, poll, state, table,
} from "./common.js";
import { draw } from "./figures.js";

const here = location.pathname;
const name = decodeURIComponent(here.split("/").at(-2));
const controls = place("controls");
const known = { pictures: {} }; // what the server said last
document.title = `${name} – sweep`;
place("name").textContent = name;

// The choices stand in the address, so that a link shows the same.
const asked = new URLSearchParams(location.search);
function choose(key, ...values) {
  const button = (value) => controls.querySelector(`[name=${key}][value="${CSS.escape(value ?? "")}"]`);
  values.map(button).find(Boolean).checked = true;
}
choose("size", asked.get("size"), "nonzero");
const choice = () => {
  const { track, size } = Object.fromEntries(new FormData(controls));
  return new URLSearchParams({ track, size });
};

const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function aboutPoint(arm, point, picture) {
  return (
    `<b>${escaped(arm.name)}</b><br>${count(point.nonzero)} nonzero, ` +
    `${count(point.effective)} effective<br>${picture.line_name} ${percent(point.line)} %, ` +
    `${picture.mark_name} ${percent(point.y)} %<br>repeat ${point.repeat}, trial ${point.trial}` +
    `<br>${escaped(point.configuration)}`
  );
}

function aboutConfirmed(arm, point) {
  return (
    `<b>${escaped(arm.name)}</b><br>${count(point.x)} nonzero, test ${percent(point.y)} %` +
    `<br>repeat ${point.repeat}, ${many(point.seeds, "seed")}<br>${escaped(point.configuration)}`
  );
}

const chip = (arm) => {
  const mark = make("span", { class: "chip" });
  mark.style.background = arm.color;
  return make("span", {}, mark, arm.name);
};
const to = (link, text) => (link ? make("a", { href: link }, text) : text);

function showProgress(row) {
  const left = row.state === "finished" ? "" : `, about ${duration(row.seconds_left)} left`;
  const parts = [`${count(row.done)} of ${many(row.budget, "trial")}`];
  if (row.probed < row.probes) parts.push(`${row.probed} of ${many(row.probes, "range")} found`);
  if (row.workers_alive) {
    parts.push(`${many(row.workers_alive, "worker")}, ${count(row.trials_per_hour)} trials / h${left}`);
  }
  if (row.lost) parts.push(`${many(row.lost, "attempt")} lost and tried again`);
  const bar = make("progress", { max: row.budget, value: row.done, "aria-label": parts[0] });
  fill(place("progress"), make("div", { class: "meter" }, state(row), bar, parts.join(" · ")));
  place("question").textContent = row.question;
  const warnings = [...(row.error ? [row.error] : []), ...row.warnings];
  fill(place("warnings"), ...warnings.map((text) => make("li", {}, text)));
  place("warnings").hidden = !warnings.length;
}

function showArms(row) {
  const head = [
    "arm", { text: "kind" }, "trials", "in work", "diverged", "collapsed", "lost", "smallest",
    "best val. %", "time",
  ];
  const lines = row.arms.map((arm) => {
    const kinds = Object.entries(arm.failures).map(([kind, times]) => `${times} ${kind}`);
    const lost = Object.values(arm.failures).reduce((sum, times) => sum + times, 0);
    return [
      arm.name,
      arm.family,
      `${count(arm.done)} / ${count(arm.budget)}`,
      count(arm.claimed),
      count(arm.diverged),
      count(arm.collapsed),
      [count(lost), lost ? [...kinds, arm.last_error].filter(Boolean).join(", ") : null],
      count(arm.smallest_nonzero),
      percent(arm.best_accuracy),
      duration(arm.seconds),
    ];
  });
  fill(place("arms"), table(head, lines));
}

function showWorkers(row) {
  const gone = row.workers_gone ? `${many(row.workers_gone, "worker")} left or died.` : "";
  if (!row.workers.length) {
    fill(place("workers"), make("p", { class: "soft" }, `No worker is alive. ${gone}`));
    return;
  }
  const head = ["worker", "device", "pack", "slots", "done", "trials / h", "for"];
  const lines = row.workers.map((one) => [
    `${one.host}:${one.pid}`,
    one.device,
    make("progress", { max: 1, value: one.progress, "aria-label": `${Math.round(100 * one.progress)} %` }),
    count(one.slots),
    count(one.done),
    count(one.trials_per_hour),
    duration(60 * one.minutes),
  ]);
  fill(place("workers"), table(head, lines, gone));
}

function showRanges(row) {
  place("ranges-part").hidden = !row.ranges.length;
  const lines = row.ranges.map((one) => [
    one.arm,
    one.parameter,
    one.low.toPrecision(3),
    one.high.toPrecision(3),
    [
      one.open_below ? "may go on below" : "",
      one.open_above ? "may go on above" : "",
      one.reused ? "known from another sweep" : "",
    ].filter(Boolean).join(", ") || "–",
  ]);
  fill(place("ranges"), table(["arm", "strength", "from", "to", { text: "note" }], lines));
}

function showDownloads(row) {
  const files = [["report.html", "report"], ["facts.csv", "all trials (CSV)"], ["fronts.csv", "fronts (CSV)"]];
  if (row.confirmed !== null) files.push(["confirmed.csv", "confirmed trials (CSV)"]);
  if (row.networks) files.push(["networks.zip", "confirmed networks (safetensors)"]);
  const items = files.map(([file, text]) => make("li", {}, make("a", { href: here + file, download: "" }, text)));
  const json = make("a", { href: `${here}fronts.json?${choice()}` }, "fronts (JSON)");
  fill(place("downloads"), ...items, make("li", {}, json));
}

function showLevels(picture) {
  const smallest = picture.accuracies.map((_, index) =>
    Math.min(...picture.arms.map((arm) => arm.points[arm.at_accuracy[index]]?.x ?? Infinity)),
  );
  const beside = (point) => `${picture.mark_name} ${percent(point.y)} %`;
  const lines = picture.arms.map((arm) => [
    chip(arm),
    ...arm.at_accuracy.map((index, target) => {
      if (index === null) return "–";
      const point = arm.points[index];
      const content = [to(point.link, count(point.x)), beside(point)];
      return point.x === smallest[target] ? { best: content } : content;
    }),
    arm.hypervolume.toFixed(4),
    count(arm.trials),
  ]);
  const head = ["arm", ...picture.accuracies.map((target) => `at ${+target.toFixed(2)} %`), "hypervolume", "networks"];
  const caption =
    `${picture.x_name[0].toUpperCase()}${picture.x_name.slice(1)} of the smallest network that ` +
    `reaches a ${picture.line_name} accuracy, over all repeats, below it the ${picture.mark_name} ` +
    "accuracy of that same network; – is not reached.";
  fill(place("levels"), table(head, lines, caption));
  place("edges").textContent = picture.edges;
}

function showPoints(picture) {
  const head = [
    "arm", "nonzero", "effective", `${picture.line_name} %`, `${picture.mark_name} %`, "repeat",
    "trial", { text: "configuration" },
  ];
  const lines = picture.arms.flatMap((arm) =>
    arm.points.map((point) => [
      chip(arm), count(point.nonzero), count(point.effective), percent(point.line),
      percent(point.y), point.repeat, to(point.link, String(point.trial)), point.configuration,
    ]),
  );
  fill(place("points"), table(head, lines));
}

function caption(element, picture) {
  const said = picture.subtitle.replaceAll(" · ", "; ");
  const tail = "Click on a marker to open its trial; double-click shows everything.";
  element.textContent = `${said[0].toUpperCase()}${said.slice(1)}. ${tail}`;
}

async function showFronts() {
  const picture = known.fronts;
  if (!picture) return;
  const show = { bands: controls.bands.checked, published: controls.published.checked };
  await draw(place("fronts"), picture, aboutPoint, show);
  caption(place("fronts-caption"), picture);
  showLevels(picture);
  showPoints(picture);
}

async function showConfirmed() {
  const picture = known.confirmed;
  if (!picture) return;
  place("confirmed-part").hidden = false; // before drawing: a hidden box has no width
  await draw(place("confirmed"), picture, aboutConfirmed, { bands: false, published: controls.published.checked });
  caption(place("confirmed-caption"), picture);
  place("answer").hidden = !picture.answer;
  place("answer").textContent = picture.answer;
  const head = ["arm", { text: "kind" }, ...picture.accuracies.map((target) => `at ${+target.toFixed(2)} %`)];
  const level = (one) => {
    if (one === null) return "–";
    if (one.low !== null) return [count(one.center), `${count(one.low)} to ${count(one.high)}`];
    if (one.at_most !== null) return [one.center === null ? `≤ ${count(one.at_most)}` : count(one.center), `n = ${one.repeats}`];
    return ["–", one.reached ? `in ${one.reached} of ${many(one.repeats, "repeat")}` : "not reached"];
  };
  const lines = picture.arms.map((arm) => [chip(arm), arm.family, ...arm.levels.map(level)]);
  const said =
    `Nonzero parameters at a test accuracy: read between the means of each repeat's ` +
    `configurations, trained again with ${many(picture.seeds, "fresh seed")}; geometric mean over ` +
    `repeats with its 95 % t-interval. ${count(picture.done)} of ${count(picture.budget)} trainings are done.`;
  fill(place("confirmed-levels"), table(head, lines, said));
  const points = picture.arms.flatMap((arm) =>
    arm.points.map((point) => [
      chip(arm), count(point.x), percent(point.y), point.repeat,
      point.within.map((size) => count(size)).join(", "),
      make("span", {}, ...point.links.flatMap((link, seed) => [to(link, String(seed)), " "])),
      point.configuration,
    ]),
  );
  const columns = ["arm", "nonzero", "test %", "repeat", "best within", "seeds", { text: "configuration" }];
  fill(place("confirmed-points"), table(columns, points));
}

async function look() {
  const status = await changed(`${here}status.json`);
  if (status !== null) {
    if (!known.status) choose("track", asked.get("track"), status.track); // the study's objective
    known.status = status;
    showProgress(status);
    showArms(status);
    showWorkers(status);
    showRanges(status);
    showDownloads(status);
  }
  const query = String(choice());
  const fronts = await changed(`${here}fronts.json?${query}`);
  if (fronts !== null) known.pictures[query] = fronts;
  // Another choice may have been made meanwhile: whoever asked for that one draws it.
  if (query === String(choice()) && (fronts !== null || known.shown !== query)) {
    known.fronts = known.pictures[query];
    await showFronts();
    known.shown = query; // after it was drawn: what failed is tried again
  }
  if (known.status.confirmed !== null) {
    const confirmed = await changed(`${here}confirmed.json`);
    if (confirmed !== null) known.confirmed = confirmed;
    if (known.confirmed !== known.confirmedShown) {
      await showConfirmed();
      const first = !known.confirmedShown; // a link to this part found it hidden
      if (first && location.hash === "#confirmed-title") place("confirmed-title").scrollIntoView();
      known.confirmedShown = known.confirmed;
    }
  } else if (known.confirmed) {
    // It was deleted, and its answer with it.
    known.confirmed = known.confirmedShown = undefined;
    forget(`${here}confirmed.json`);
    place("confirmed-part").hidden = place("answer").hidden = true;
  }
  const going = known.status.state === "open" || known.status.confirmed === false;
  return going ? 3 : 15;
}

window.addEventListener("load", () => {
  const again = poll(look);
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.addEventListener("change", (event) => {
    if (event.target.type === "checkbox") {
      showFronts();
      showConfirmed();
      return;
    }
    history.replaceState(null, "", `?${choice()}`);
    again();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    showFronts();
    showConfirmed();
  });
});
