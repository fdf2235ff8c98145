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
      made.async = false;
      const isLoaded = Boolean(made.src);
      // A library that finds `define` would register itself there, without a name.
      const hidden = /\bdefine\s*\.\s*amd\b/.test(script.text) ? window.define : undefined;
      if (hidden) window.define = undefined;
      const done = isLoaded
        ? new Promise((resolve) => {
            made.addEventListener("load", resolve);
            made.addEventListener("error", resolve);
          })
        : undefined;
      place.replaceWith(made);
      if (hidden) window.define = hidden;
      return done;
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
      return Promise.resolve(draw[place.dataset.nbcacheKind](place, value)).catch((error) =>
        complain(place, error),
      );
    } catch (error) {
      complain(place, error);
    }
  };

  // A chart takes the width of its place, and what is folded away, or in a closed tab, has none.
  // In a closed `details`, Chromium has boxes for it.
  const isHidden = (place) =>
    Boolean(place.closest("details:not([open])")) || !place.getClientRects().length;

  const showWhenVisible = (place) => {
    const observer = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      show(place);
    });
    observer.observe(place);
  };

  const showAll = async () => {
    for (const place of document.querySelectorAll("[data-nbcache-kind]")) {
      const kind = place.dataset.nbcacheKind;
      if (["plotly", "vega"].includes(kind) && isHidden(place)) showWhenVisible(place);
      // Scripts run in their order, also after one that is loaded from an address.
      else if (kind === "script") await show(place);
      else show(place);
    }
  };

  defineLibraries();
  showAll();
})();
