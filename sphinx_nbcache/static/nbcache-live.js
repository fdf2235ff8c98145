// Draws the outputs that need scripts. It runs after the libraries of the page, in the order of the
// outputs, and once the page is complete (`defer`).
(() => {
  "use strict";

  const run = (place, code) => {
    // An element, not `eval`: code may look for `document.currentScript`.
    const script = document.createElement("script");
    script.textContent = code;
    place.append(script);
  };

  const draw = {
    plotly(place, figure) {
      const { data, layout, config, frames } = figure;
      const options = { responsive: true, ...(config || {}) };
      return Plotly.newPlot(place, data, layout || {}, options).then(
        () => (frames && frames.length ? Plotly.addFrames(place, frames) : undefined),
      );
    },
    vega: (place, chart) => vegaEmbed(place, chart.spec, chart.options),
    // Jupyter gives scripts the element of their output.
    javascript: (place, code) =>
      run(place, `(function (element) {\n${code}\n})(document.currentScript.parentElement);`),
    // A script of an output in HTML, which waited for its libraries.
    script(place, script) {
      const made = document.createElement("script");
      for (const [name, value] of Object.entries(script.attributes)) made.setAttribute(name, value);
      made.textContent = script.text;
      place.replaceWith(made);
    },
  };

  const complain = (place, error) => {
    const text = document.createElement("p");
    text.className = "nbcache-live-problem";
    text.textContent = `This output cannot be drawn: ${error && error.message ? error.message : error}`;
    place.append(text);
  };

  const defineLibraries = () => {
    if (typeof define !== "function" || !define.amd) return;
    const known = { plotly: "Plotly", vega: "vega", "vega-lite": "vegaLite", "vega-embed": "vegaEmbed", bokeh: "Bokeh" };
    for (const [name, key] of Object.entries(known)) {
      if (window[key] !== undefined) define(name, [], () => window[key]);
    }
  };

  const show = (place) => {
    const source = place.querySelector('script[type="application/json"]') || place;
    try {
      const value = JSON.parse(source.textContent);
      if (source !== place) source.remove();
      Promise.resolve(draw[place.dataset.nbcacheKind](place, value)).catch((error) =>
        complain(place, error),
      );
    } catch (error) {
      complain(place, error);
    }
  };

  // A chart takes the width of its place, and what is folded away has none.
  const showWhenUnfolded = (place, folded) => {
    const again = () => {
      folded.removeEventListener("toggle", again);
      showInTurn(place);
    };
    folded.addEventListener("toggle", again);
  };

  const showInTurn = (place) => {
    const isChart = ["plotly", "vega"].includes(place.dataset.nbcacheKind);
    const folded = isChart && place.closest("details:not([open])");
    if (folded) showWhenUnfolded(place, folded);
    else show(place);
  };

  defineLibraries();
  document.querySelectorAll("[data-nbcache-kind]").forEach(showInTurn);
})();
