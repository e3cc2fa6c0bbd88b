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
      {},
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
  if (fresh.innerHTML !== element.innerHTML) {
    const focused = element.contains(document.activeElement) && document.activeElement;
    const link = focused && focused.getAttribute("href");
    const alike = () =>
      [...element.querySelectorAll("a")].filter((a) => a.getAttribute("href") === link);
    const which = link ? alike().indexOf(focused) : -1;
    element.replaceChildren(...fresh.childNodes);
    if (which >= 0) alike()[which]?.focus({ preventScroll: true });
  }
  element.removeAttribute("aria-busy");
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
    throw new Error("The server does not answer; trying on.");
  }
  if (answer.status === 304) return null;
  if (!answer.ok) {
    const refusal = await answer.json().catch(() => ({}));
    const error = new Error(refusal.reason ?? `${answer.status} ${answer.statusText}`);
    error.status = answer.status;
    throw error;
  }
  const payload = await answer.json();
  tags.set(address, answer.headers.get("ETag") ?? "");
  return payload;
}

// Have the next `changed` of an address return what it says in any case.
export const forget = (address) => tags.delete(address);

// Call `look` over and over; it returns the seconds until the next time.
export function poll(look) {
  let timer;
  let last = 0;
  const problem = place("problem");
  const lookNow = async () => {
    const turn = ++last; // of several that overlap the last one goes on
    clearTimeout(timer);
    if (document.hidden) return; // `visibilitychange` goes on
    let seconds = 5;
    try {
      seconds = await look();
      problem.hidden = true;
      place("at").textContent = `As of ${new Date().toLocaleTimeString()}.`;
    } catch (error) {
      if (error.status === 401) location.reload(); // the session is over: the login page asks
      problem.textContent = error.message;
      problem.hidden = false;
    }
    if (turn === last) timer = setTimeout(lookNow, 1000 * seconds);
  };
  document.addEventListener("visibilitychange", lookNow);
  lookNow();
  return lookNow;
}
