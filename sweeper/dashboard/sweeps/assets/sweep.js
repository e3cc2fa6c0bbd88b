import {
  alike, announce, changed, count, duration, fill, filterRows, forget, make, many, percent, place, poll, state, table,
} from "./common.js";
import { onThemeChange } from "./draw_figure.js";
import { caption, capitalised, chip, drawIn, levelsTable, pointsTable, to } from "./fronts.js";

const here = location.pathname;
const name = decodeURIComponent(here.split("/").at(-2));
const controls = place("controls");
const last = { fronts: {} }; // answers of the server: status, fronts by choice, confirmed
document.title = `${name} – sweep`;
place("name").textContent = name;

// The choices stand in the address, so that a link shows the same.
const linked = new URLSearchParams(location.search);
function choose(key, ...values) {
  const button = (value) => controls.querySelector(`[name=${key}][value="${CSS.escape(value ?? "")}"]`);
  values.map(button).find(Boolean).checked = true;
}
choose("size", linked.get("size"), "nonzero");
const choice = () => {
  const { track, size } = Object.fromEntries(new FormData(controls));
  return new URLSearchParams({ ...(track && { track }), size }); // none before it is known
};

const MANY = 12; // arms: more are easier to find by a part of their names
const hidden = () => ["bands", "published"].filter((name) => !controls[name].checked);

function showProgress(row) {
  const tenths = Math.floor((10 * row.done) / row.budget);
  announce(`${row.state}, ${10 * tenths} % of the trials are done`);
  const left = row.seconds_left ? `, about ${duration(row.seconds_left)} left` : "";
  const parts = [`${count(row.done)} of ${many(row.budget, "trial")}`];
  if (row.probed < row.probes) parts.push(`${row.probed} of ${many(row.probes, "range")} found`);
  if (row.workers_alive) {
    parts.push(`${many(row.workers_alive, "worker")}, ${count(row.trials_per_hour)} trials / h${left}`);
  }
  if (row.paused.length && !row.waits) parts.push(`${many(row.paused.length, "arm")} paused`);
  if (row.lost) parts.push(`${many(row.lost, "attempt")} lost and tried again`);
  const bar = make("progress", { max: row.budget, value: row.done, "aria-label": parts[0] });
  fill(place("progress"), make("div", { class: "meter" }, state(row), bar, parts.join(" · ")));
  place("question").textContent = row.question;
  place("optuna").href = row.optuna ?? "/dashboard"; // its study, where its figures and notes are
  const warnings = [...(row.error ? [row.error] : []), ...row.warnings];
  for (const part of controls.querySelectorAll(".packs")) part.hidden = row.script;
  place("filter-part").hidden = row.arms.length < MANY;
  fill(place("warnings"), ...warnings.map((text) => make("li", {}, text)));
  place("warnings").hidden = !warnings.length;
}

// The kinds of attempts that were lost, and the last error, which leads to its trial.
function failures(kinds, arm) {
  const error = arm.last_error ? to(arm.last_error_link, arm.last_error) : null;
  return make("span", {}, kinds.join(", "), error && kinds.length ? ", " : "", error);
}

// What somebody did to an arm.
function notes(arm) {
  return [arm.paused ? "paused" : "", arm.dropped ? `${arm.dropped} dropped` : ""].filter(Boolean).join(", ") || null;
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
      [make("span", { "data-arm": arm.name }, arm.name), notes(arm)],
      arm.family,
      [`${count(arm.done)} / ${count(arm.budget)}`, arm.networks > arm.done ? many(arm.networks, "network") : null],
      count(arm.claimed),
      count(arm.diverged),
      count(arm.collapsed),
      [count(lost), lost ? failures(kinds, arm) : null],
      count(arm.smallest_nonzero),
      percent(arm.best_accuracy),
      duration(arm.seconds),
    ];
  });
  fill(place("arms"), table(head, lines));
}

function showWorkers(row) {
  const left = row.workers_gone ? `${many(row.workers_gone, "worker")} left or died.` : "";
  if (!row.workers.length) {
    const starts = row.state === "open" ? [make("code", {}, `sweeper worker ${name}`), " starts one."] : [];
    fill(place("workers"), make("p", { class: "soft" }, `No worker is alive. ${left} `, ...starts));
    return;
  }
  const head = ["worker", "device", "pack", "slots", "done", "trials / h", "for"];
  const lines = row.workers.map((worker) => {
    const { progress } = worker;
    return [
      `${worker.host}:${worker.pid}`,
      worker.device,
      make("progress", { max: 1, value: progress, "aria-label": `${Math.round(100 * progress)} %` }),
      count(worker.slots),
      count(worker.done),
      count(worker.trials_per_hour),
      duration(60 * worker.minutes),
    ];
  });
  fill(place("workers"), table(head, lines, left));
}

function showRanges(row) {
  place("ranges-part").hidden = !row.ranges.length;
  const lines = row.ranges.map((range) => [
    make("span", { "data-arm": range.arm }, range.arm),
    range.parameter,
    range.low.toPrecision(3),
    range.high.toPrecision(3),
    [
      range.open_below ? "may go on below" : "",
      range.open_above ? "may go on above" : "",
      range.reused ? "known from another sweep" : "",
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

async function showFronts() {
  const picture = last.drawn;
  if (!picture) return;
  caption(place("fronts-caption"), picture);
  fill(place("levels"), levelsTable(picture, { rank: picture.ranked, hypervolume: true }));
  fill(place("points"), pointsTable(picture));
  place("edges").textContent = picture.edges;
  await drawIn(place("fronts"), picture, hidden());
}

async function showLearning() {
  const picture = last.learning;
  place("learning-part").hidden = !picture?.figure;
  if (!picture?.figure) return;
  await drawIn(place("learning"), picture, []);
  const tail = "Click on a curve to open its trial; double-click shows everything.";
  const text = picture.subtitle.replaceAll(" · ", "; ");
  place("learning-caption").textContent = `${capitalised(picture.y_name)} of ${text}. ${tail}`;
}

function showAnswer() {
  const answer = last.confirmed?.answer ?? "";
  place("answer").hidden = !answer;
  place("answer").textContent = answer;
}

async function showConfirmed() {
  const picture = last.confirmed;
  if (!picture) return;
  place("confirmed-part").hidden = false; // before drawing: a hidden box has no width
  await drawIn(place("confirmed"), picture, hidden());
  caption(place("confirmed-caption"), picture);
  const head = ["arm", { text: "kind" }, ...picture.accuracies.map((target) => `at ${+target.toFixed(2)} %`)];
  const level = (size) => {
    if (size === null) return "–";
    const { center, low, high, at_most: atMost, limited, reached, repeats } = size;
    if (low !== null) return [count(center), `${count(low)} to ${count(high)}`];
    if (center !== null) return [count(center), `n = ${repeats}, no interval`];
    if (atMost !== null) return [`≤ ${count(atMost)}`, limited ? "one-sided 95 % limit" : `n = ${repeats}, no limit`];
    return ["–", reached ? `in ${reached} of ${many(repeats, "repeat")}` : "not reached"];
  };
  const lines = picture.arms.map((arm) => [chip(arm, picture), arm.family, ...arm.levels.map(level)]);
  const explanation =
    `${capitalised(picture.x_name)} at a test ${picture.measure}: read between the means of each repeat's ` +
    `configurations, trained again with ${many(picture.seeds, "fresh seed")}; geometric mean over ` +
    `repeats with its 95 % t-interval. ${count(picture.done)} of ${count(picture.budget)} trainings are done.`;
  fill(place("confirmed-levels"), table(head, lines, explanation));
  const points = picture.arms.flatMap((arm) =>
    arm.points.map((point) => [
      chip(arm, picture), count(point.x), percent(point.y), point.repeat,
      point.within.map((size) => count(size)).join(", "),
      make("span", {}, ...point.links.flatMap((link, seed) => [to(link, String(seed)), " "])),
      point.configuration,
    ]),
  );
  const columns = ["arm", picture.unit, "test %", "repeat", "best within", "seeds", { text: "configuration" }];
  fill(place("confirmed-points"), table(columns, points));
}

async function look() {
  // Asked for at the same time: who opens the page waits once.
  let query = String(choice());
  const asked = [`${here}status.json`, `${here}fronts.json?${query}`, `${here}learning.json`].map(changed);
  // Kept when it comes: it is not sent again, even if what is drawn before it fails.
  asked[2] = asked[2].then((learning) => {
    if (learning !== null) last.learning = learning;
  });
  for (const answer of asked) answer.catch(() => {}); // told where it is waited for
  const status = await asked[0];
  if (status !== null) {
    if (!last.status) choose("track", linked.get("track"), status.track); // the study's objective
    last.status = status;
    showProgress(status);
    showArms(status);
    showWorkers(status);
    showRanges(status);
    showDownloads(status);
  }
  // Its answer stands above all figures, and does not wait for them.
  const answered = last.status.confirmed !== null && changed(`${here}confirmed.json`).then((confirmed) => {
    if (confirmed !== null) last.confirmed = confirmed;
    showAnswer();
  });
  if (answered) answered.catch(() => {});
  const fronts = await asked[1];
  if (fronts !== null && !query.includes("track=")) {
    const first = `${here}fronts.json?${query}`;
    query = String(new URLSearchParams({ track: fronts.track, size: fronts.size }));
    alike(first, `${here}fronts.json?${query}`);
  }
  if (fronts !== null) last.fronts[query] = fronts;
  // Another choice may have been made meanwhile: whoever asked for that one draws it.
  if (query === String(choice()) && (fronts !== null || last.choice !== query)) {
    last.drawn = last.fronts[query];
    await showFronts();
    last.choice = query; // after it was drawn: what failed is tried again
  }
  await asked[2];
  if (last.learning !== last.learningDrawn) {
    await showLearning();
    last.learningDrawn = last.learning;
  }
  if (answered) {
    await answered;
    if (last.confirmed !== last.confirmedDrawn) {
      await showConfirmed();
      const first = !last.confirmedDrawn; // a link to this part found it hidden
      if (first && location.hash === "#confirmed-title") place("confirmed-title").scrollIntoView();
      last.confirmedDrawn = last.confirmed;
    }
  } else if (last.confirmed) {
    // It was deleted, and its answer with it.
    last.confirmed = last.confirmedDrawn = undefined;
    forget(`${here}confirmed.json`);
    place("confirmed-part").hidden = true;
    showAnswer();
  }
  const running = last.status.state === "open" || last.status.confirmed === false;
  return running ? 3 : 15;
}

const redraw = () => {
  showFronts();
  showConfirmed();
};

{
  const lookNow = poll(look);
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.addEventListener("input", ({ target }) => {
    if (target.name !== "filter") return;
    filterRows(target.value);
    redraw();
  });
  controls.addEventListener("change", (event) => {
    if (event.target.name === "filter") return;
    if (event.target.type === "checkbox") {
      redraw();
      return;
    }
    history.replaceState(null, "", `?${choice()}`);
    lookNow();
  });
  onThemeChange(() => {
    redraw();
    showLearning();
  });
}
