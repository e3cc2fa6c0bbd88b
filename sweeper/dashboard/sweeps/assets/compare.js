import { changed, fill, make, place, poll } from "./common.js";
import { onThemeChange } from "./draw_figure.js";
import { caption, drawIn, levelsTable, pointsTable } from "./fronts.js";

// All choices stand in the address, so that a link shows the same.
const linked = new URLSearchParams(location.search);
const list = (key) => linked.getAll(key).join(",").split(",").filter(Boolean);
const sweeps = list("sweeps");
const controls = place("controls");
const pictures = {}; // answers of the server by query
const last = { arms: list("arms") }; // none: all
document.title = `${sweeps.join(", ")} – sweeps compared`;

function query() {
  const choice = new URLSearchParams({ sweeps: sweeps.join(",") });
  if (last.arms.length) choice.set("arms", last.arms.join(","));
  for (const key of ["track", "size"]) {
    const value = controls[key].value || linked.get(key);
    if (value) choice.set(key, value);
  }
  return choice.toString().replaceAll("%2C", ",").replaceAll("%2F", "/");
}

// Tick what the picture shows, once it is known which arms there are.
function showControls(picture) {
  for (const key of ["track", "size"]) controls[key].value = picture[key];
  const shown = (arm) => picture.arms.some(({ name }) => name.slice(name.indexOf("/") + 1) === arm);
  const boxes = picture.all_arms.map((arm) =>
    make("label", {}, make("input", { type: "checkbox", name: "arm", value: arm, checked: shown(arm) }), arm),
  );
  place("arms").replaceChildren(make("legend", {}, "Arms"), ...boxes);
}

async function show() {
  const picture = last.drawn;
  if (!picture) return;
  const hidden = ["bands", "published"].filter((name) => !controls[name].checked);
  caption(place("fronts-caption"), picture);
  fill(place("notes"), ...picture.notes.map((note) => make("li", {}, note)));
  place("notes-part").hidden = !picture.notes.length;
  fill(place("levels"), levelsTable(picture, { rank: !picture.notes.length, hypervolume: false }));
  fill(place("points"), pointsTable(picture));
  await drawIn(place("fronts"), picture, hidden);
}

async function look() {
  const asked = query();
  const picture = await changed(`/sweeps/_compare.json?${asked}`);
  if (picture !== null) pictures[asked] = picture;
  // Another choice may have been made meanwhile: whoever asked for that one draws it.
  if (asked === query() && (picture !== null || last.asked !== asked)) {
    const known = pictures[asked];
    place("part").hidden = false; // before drawing: a hidden box has no width
    if (!last.drawn) showControls(known);
    last.drawn = known;
    await show();
    last.asked = asked; // after it was drawn: what failed is tried again
  }
  return 5;
}

place("names").replaceChildren(
  ...sweeps.flatMap((name, index) => [
    index ? ", " : "",
    make("a", { href: `/sweeps/${encodeURIComponent(name)}/` }, name),
  ]),
);
{
  const lookNow = poll(look);
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.addEventListener("change", ({ target }) => {
    if (target.name === "bands" || target.name === "published") {
      show();
      return;
    }
    if (target.name === "arm") {
      const boxes = [...controls.querySelectorAll("[name=arm]")];
      const ticked = boxes.filter((box) => box.checked).map((box) => box.value);
      if (!ticked.length) target.checked = true; // a figure has an arm
      else last.arms = ticked.length === boxes.length ? [] : ticked;
    }
    history.replaceState(null, "", `?${query()}`);
    lookNow();
  });
  onThemeChange(show);
}
