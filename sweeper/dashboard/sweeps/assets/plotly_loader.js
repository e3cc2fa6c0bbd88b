// Loads Plotly, which is larger than all else: whoever needs it first shows what is seen without it.

import { make } from "./common.js";

// Wait until what stands in the page is painted; a page that nobody sees is not.
export const painted = () =>
  new Promise((done) => (document.hidden ? done() : requestAnimationFrame(() => setTimeout(done))));

let loading = null;

// Load it, once; what did not come is asked for again by the next call.
export function loadPlotly() {
  loading ??= new Promise((done, failed) => {
    const script = make("script", { src: "/sweeps/_assets/plotly.js" });
    script.onload = done;
    script.onerror = () => {
      loading = null;
      script.remove();
      failed(new Error("the server does not answer"));
    };
    document.head.append(script);
  });
  return loading;
}
