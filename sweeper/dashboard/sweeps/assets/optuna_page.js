// In the pages of Optuna's dashboard: links to all sweeps, and to the sweep that a study is of.

const bar = document.createElement("nav");
bar.id = "sweeper";
bar.setAttribute("aria-label", "sweeps");
const link = (text, address) => {
  const element = document.createElement("a");
  element.href = address;
  element.textContent = text;
  return element;
};

const pages = new Map(); // id of a study -> the sweep that it is of, or null
let shown;

async function pageOf(study) {
  if (!pages.has(study)) {
    const answer = await fetch(`/sweeps/_study/${study}.json`);
    if (!answer.ok) return null; // asked again at the next look
    pages.set(study, await answer.json());
  }
  return pages.get(study);
}

async function show() {
  const study = location.pathname.match(/^\/dashboard\/studies\/(\d+)/)?.[1] ?? null;
  if (study === shown) return;
  shown = study;
  const links = [link("Sweeps", "/sweeps/")];
  const { sweep, page } = (study && (await pageOf(study).catch(() => null))) ?? {};
  if (study !== shown) return; // somebody went on meanwhile
  if (sweep) links.push(link(sweep, page));
  bar.replaceChildren(...links);
}

// It has one page, and tells nobody when it shows another study.
for (const name of ["pushState", "replaceState"]) {
  const usual = history[name];
  history[name] = function (...given) {
    usual.apply(this, given);
    show();
  };
}
window.addEventListener("popstate", show);
document.body.append(bar);
show();
