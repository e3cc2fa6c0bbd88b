import { changed, count, duration, fill, make, many, place, poll, state, table } from "./common.js";

const head = ["sweep", { text: "state" }, "trials", "workers", "trials / h", "left", { text: "question" }];

function bar(row) {
  const text = `${count(row.done)} of ${count(row.budget)}`;
  const meter = make("progress", { max: row.budget, value: row.done, "aria-label": text });
  return [text, meter];
}

const MOST = 8; // sweeps in one figure
const chosen = new Set(); // names of sweeps to compare

function showChosen() {
  const names = [...chosen];
  const usable = names.length > 1 && names.length <= MOST;
  const text = usable ? `Compare ${names.length} sweeps` : `Tick two to ${MOST} sweeps to compare them`;
  const address = `/sweeps/_compare?sweeps=${names.map(encodeURIComponent).join(",")}`;
  fill(place("compare"), usable ? make("a", { href: address }, text) : text);
}

function named(name, link) {
  const box = make("input", { type: "checkbox", checked: chosen.has(name), "aria-label": `compare ${name}` });
  box.addEventListener("change", () => {
    if (box.checked) chosen.add(name);
    else chosen.delete(name);
    showChosen();
  });
  return make("span", { class: "named" }, box, make("a", { href: link }, name));
}

function line(row, first) {
  const question = row.subject
    ? `${many(row.arms, "arm")} × ${many(row.repeats, "repeat")}, ${row.subject}`
    : "";
  return [
    first,
    state(row),
    bar(row),
    count(row.workers_alive),
    row.trials_per_hour ? count(row.trials_per_hour) : "–",
    duration(row.seconds_left),
    question,
  ];
}

// What to do where there is no sweep yet; the next look shows the first.
function beginning() {
  const command = (text) => make("li", {}, make("code", {}, text));
  return make(
    "div",
    { class: "empty" },
    make("p", {}, "No sweep is in this database yet. These commands make one; it appears here by itself:"),
    make("ul", { class: "commands" }, command("sweeper init my-study"), command("sweeper run my-study/study.yaml")),
  );
}

poll(async () => {
  const index = await changed("/sweeps/index.json");
  if (index !== null) {
    const several = index.sweeps.length > 1;
    for (const name of chosen) {
      if (!index.sweeps.some((row) => row.name === name)) chosen.delete(name); // deleted since
    }
    const rows = index.sweeps.flatMap((row) => {
      const link = `/sweeps/${encodeURIComponent(row.name)}/`;
      const lines = [line(row, several ? named(row.name, link) : make("a", { href: link }, row.name))];
      if (row.confirmed) {
        const confirmed = make("a", { href: `${link}#confirmed-title` }, "↳ confirmed");
        lines.push(line({ ...row.confirmed, subject: "" }, confirmed));
      }
      return lines;
    });
    const unreadable = index.unreadable.length
      ? make("p", { class: "soft" }, `Registered by another version of sweeper: ${index.unreadable.join(", ")}`)
      : null;
    fill(
      place("sweeps"),
      rows.length
        ? table(head, rows)
        : beginning(),
      unreadable,
    );
    place("compare").hidden = !several;
    showChosen();
  }
  return 3;
});
