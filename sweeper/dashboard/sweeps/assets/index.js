import { changed, count, duration, fill, make, many, place, poll, state, table } from "./common.js";

const head = ["sweep", { text: "state" }, "trials", "workers", "trials / h", "left", { text: "question" }];

function bar(row) {
  const text = `${count(row.done)} of ${count(row.budget)}`;
  const meter = make("progress", { max: row.budget, value: row.done, "aria-label": text });
  return [text, meter];
}

function line(row, name, link) {
  const question = row.model
    ? `${many(row.arms, "arm")} × ${many(row.repeats, "repeat")}, ${row.model} on ${row.dataset}`
    : "";
  return [
    make("a", { href: link }, name),
    state(row),
    bar(row),
    count(row.workers_alive),
    row.trials_per_hour ? count(row.trials_per_hour) : "–",
    duration(row.seconds_left),
    question,
  ];
}

poll(async () => {
  const index = await changed("/sweeps/index.json");
  if (index !== null) {
    const rows = index.sweeps.flatMap((row) => {
      const link = `/sweeps/${encodeURIComponent(row.name)}/`;
      const lines = [line(row, row.name, link)];
      if (row.confirmed) {
        lines.push(line({ ...row.confirmed, model: "" }, "↳ confirmed", `${link}#confirmed-title`));
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
        : make("p", { class: "empty" }, "No sweep is registered yet: sweeper run FILE"),
      unreadable,
    );
  }
  return 3;
});
