// Elements, numbers as people read them, and a poll that stops while nobody looks.

export function make(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") element.className = value;
    else if (key in element && typeof value !== "string") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...content.filter((part) => part !== null && part !== undefined));
  return element;
}

export const place = (id) => document.getElementById(id);
export const count = (value) => (value === null ? "–" : Math.round(value).toLocaleString("en"));
export const percent = (value) => (value === null ? "–" : value.toFixed(2));

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const [minute, hour] = [60, 3600];
  if (seconds < minute) return `${Math.round(seconds)} s`;
  if (seconds < hour) return `${Math.round(seconds / minute)} min`;
  const minutes = Math.round((seconds % hour) / minute);
  return `${Math.floor(seconds / hour)} h ${String(minutes).padStart(2, "0")} min`;
}

const clock = (moment) => new Date(moment).toLocaleTimeString();
const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}.`.replace(/\.\.$/, ".");

export function many(number, what) {
  return `${count(number)} ${what}${number === 1 ? "" : "s"}`;
}

export function state(row) {
  const open = row.waits ? "paused" : row.workers_alive ? "running" : "waiting for workers";
  const words = { open };
  return make("span", { class: `state ${row.state}` }, words[row.state] ?? row.state);
}

// A table with a header row; cells are text, elements, or [text, small text below].
export function table(head, rows, caption = "") {
  const cell = (content, tag, attributes) => {
    const [top, below] = Array.isArray(content) ? content : [content, null];
    return make(tag, attributes, top ?? "–", below === null ? null : make("small", {}, below));
  };
  const heads = head.map((column) =>
    make("th", { scope: "col", class: column.text ? "text" : null }, column.text ?? column),
  );
  const lines = rows.map((row) =>
    make(
      "tr",
      { "data-arm": [row[0]].flat()[0]?.dataset?.arm },
      ...row.map((value, index) => {
        const best = value !== null && typeof value === "object" && value.best;
        const content = best ? value.best : value;
        if (index === 0) return cell(content, "th", { scope: "row" });
        return cell(content, "td", { class: best ? "best" : head[index].text ? "text" : null });
      }),
    ),
  );
  return make(
    "table",
    {},
    caption ? make("caption", {}, caption) : null,
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...lines),
  );
}

// Replace what an element holds, unless it is the same: a selection or a focus in it stays.
export function fill(element, ...content) {
  const fresh = make(element.tagName, {}, ...content);
  hideRows(fresh);
  if (fresh.innerHTML !== element.innerHTML) {
    const focused = element.contains(document.activeElement) && document.activeElement;
    const link = focused && focused.getAttribute("href");
    const twins = () =>
      [...element.querySelectorAll("a")].filter((a) => a.getAttribute("href") === link);
    const which = link ? twins().indexOf(focused) : -1;
    element.replaceChildren(...fresh.childNodes);
    if (which >= 0) twins()[which]?.focus({ preventScroll: true });
    reach(element);
  }
  element.removeAttribute("aria-busy");
}

const TALL = 24; // rows: a longer table scrolls within its own box, under its head

// Let a box with a table that does not fit be scrolled by keys.
function reach(box) {
  if (!box.classList.contains("wide")) return;
  box.classList.toggle("tall", box.querySelectorAll("tbody tr:not([hidden])").length > TALL);
  const scrolls = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
  if (scrolls) box.tabIndex = 0;
  else box.removeAttribute("tabindex");
}
const reachAll = () => document.querySelectorAll(".wide").forEach(reach);
window.addEventListener("resize", reachAll);
document.addEventListener("toggle", reachAll, true); // details that open

let wanted = ""; // part of the names of the arms that are shown
export const isWanted = (arm) => arm.toLowerCase().includes(wanted);

const hideRows = (within) => {
  for (const row of within.querySelectorAll("tr[data-arm]")) row.hidden = !isWanted(row.dataset.arm);
};

// Show only the rows of arms whose names hold a text, in all tables whose first column is the arm.
export function filterRows(text) {
  wanted = text.trim().toLowerCase();
  hideRows(document);
  reachAll();
}

// Say to who listens to the page how far it is; the same text is said once.
export function announce(text) {
  if (place("said").textContent !== text) place("said").textContent = text;
}

const tags = new Map();

// Return what a JSON address says, or null if that is what it said before.
export async function changed(address) {
  const headers = tags.has(address) ? { "If-None-Match": tags.get(address) } : {};
  let answer;
  try {
    const signal = AbortSignal.timeout(30_000);
    answer = await fetch(address, { headers, cache: "no-store", signal });
  } catch {
    throw new Error("the server does not answer");
  }
  if (answer.status === 304) return null;
  if (!answer.ok) {
    const refusal = await answer.json().catch(() => ({}));
    const error = new Error(refusal.reason ?? `${answer.status} ${answer.statusText}`);
    error.status = answer.status;
    throw error;
  }
  const payload = await answer.json();
  place("main").classList.remove("waiting"); // before drawing: a hidden box has no width
  tags.set(address, answer.headers.get("ETag") ?? "");
  return payload;
}

// Tell that what an address said is what another one says.
export const alike = (address, other) => tags.set(other, tags.get(address) ?? "");

// Have the next `changed` of an address return what it says in any case.
export const forget = (address) => tags.delete(address);

// Say that a page is not there, and lead on: to what was probably meant, and to all sweeps.
function showMissing(reason) {
  const main = place("main");
  const near = reason.match(/got '([^']*)'.*did you mean '([^']*)'/);
  const [said] = reason.split("; allowed");
  const links = [make("a", { href: "/sweeps/" }, "All sweeps")];
  if (near) {
    const path = location.pathname.replace(encodeURIComponent(near[1]), encodeURIComponent(near[2]));
    links.unshift(make("span", {}, "Did you mean ", make("a", { href: path }, near[2]), "?"));
  }
  main.classList.add("missing");
  main.classList.remove("waiting");
  fill(place("problem"), make("span", {}, `${said[0].toUpperCase()}${said.slice(1)}.`));
  fill(place("leads"), ...links.flatMap((link) => [link, " "]));
}

// Call `look` over and over; it returns the seconds until the next time. While it fails, what was
// shown last stays, with a line that says of when it is.
export function poll(look) {
  let timer;
  let last = 0;
  let seen = null; // the moment of what is shown
  const problem = place("problem");
  const stale = make("p", { class: "stale", hidden: true });
  stale.append(make("span", { role: "status" }), make("span", {}));
  const said = make("p", { class: "unseen", id: "said", role: "status" });
  place("main").prepend(stale, said);
  const tell = (message) => {
    const [text, age] = stale.children;
    stale.hidden = message === "";
    if (text.textContent !== message) text.textContent = message;
    const since = duration((Date.now() - seen) / 1000);
    age.textContent = message && ` Shown is what it was at ${clock(seen)}, ${since} ago.`;
  };
  const lookNow = async () => {
    const turn = ++last; // of several that overlap the last one goes on
    clearTimeout(timer);
    if (document.hidden) return; // `visibilitychange` goes on
    let seconds = 5;
    try {
      seconds = await look();
      if (place("main").classList.contains("missing")) location.reload(); // it is there now
      problem.hidden = true;
      seen = Date.now();
      tell("");
      place("at").textContent = `As of ${clock(seen)}.`;
    } catch (error) {
      if (error.status === 401) location.reload(); // the session is over: the login page asks
      const passes = !(error.status < 500); // what was asked for is not wrong
      if (error.status === 404) showMissing(error.message);
      else if (passes && seen !== null) tell(sentence(error.message));
      else problem.textContent = sentence(error.message) + (passes ? " Trying on." : "");
      problem.hidden = passes && seen !== null;
    }
    if (turn === last) timer = setTimeout(lookNow, 1000 * seconds);
  };
  document.addEventListener("visibilitychange", lookNow);
  lookNow();
  return lookNow;
}
