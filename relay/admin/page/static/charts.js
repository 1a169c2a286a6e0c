"use strict";
// Draws the charts of the last hour with uPlot in place of the server's drawings, and loads new figures every 10 s.
(() => {
  const EVERY = 10000;
  const HEIGHT = 110;
  const plots = [];

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  // Moments as Unix seconds, and the sum of the chart's columns at each.
  function points(history, columns) {
    const start = Date.parse(history.start) / 1000;
    const sums = history.at.map((_, at) => {
      const known = columns.map((name) => history[name][at]).filter((value) => value !== null);
      return known.length ? known.reduce((sum, value) => sum + value, 0) : null;
    });
    return [history.at.map((seconds) => start + seconds), sums];
  }

  function shown(value) {
    if (value === null || value === undefined) return "-";
    return value >= 10 ? Math.round(value).toLocaleString("en").replaceAll(",", " ") : String(Math.round(value * 10) / 10);
  }

  function short(value) {
    return value >= 1e6 ? `${value / 1e6}M` : value >= 1e4 ? `${value / 1e3}k` : String(value);
  }

  function hours(plot, moments) {
    const isShort = plot.scales.x.max - plot.scales.x.min < 300;
    const parts = { hour: "2-digit", minute: "2-digit", ...(isShort ? { second: "2-digit" } : {}) };
    return moments.map((one) => new Date(one * 1000).toLocaleTimeString("en-GB", parts));
  }

  function options(place, caption) {
    const said = caption.textContent;
    const axis = { stroke: colour("--soft"), font: "11px system-ui, sans-serif", grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    return {
      width: place.clientWidth, height: HEIGHT, legend: { show: false },
      cursor: { sync: { key: "hour" }, y: false, points: { size: 6 } },
      scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.05 : 1] } },
      axes: [
        { ...axis, size: 22, space: 60, grid: { show: false }, values: hours },
        { ...axis, size: 40, space: 28, values: (_, values) => values.map(short) },
      ],
      series: [{}, { stroke: colour("--plot"), fill: colour("--plot-ground"), width: 1.5, points: { show: false } }],
      hooks: {
        setCursor: [(plot) => {
          const at = plot.cursor.idx;
          const isOver = plot.cursor.left >= 0 && at !== null && at !== undefined;
          caption.textContent = isOver
            ? `${new Date(plot.data[0][at] * 1000).toLocaleTimeString("en-GB")}  ${shown(plot.data[1][at])} ${place.dataset.unit}`
            : caption.dataset.said || said;
        }],
      },
    };
  }

  function draw(history) {
    for (const place of document.querySelectorAll("[data-chart]")) {
      const caption = place.parentElement.querySelector("figcaption span");
      const svg = place.querySelector("svg");
      if (svg) {
        place.setAttribute("role", "img");
        place.setAttribute("aria-label", svg.getAttribute("aria-label"));
      }
      place.replaceChildren();
      const data = points(history, place.dataset.columns.split(" "));
      plots.push({ place, plot: new uPlot(options(place, caption), data, place) });
    }
  }

  function summarise(place, history, values) {
    const known = values.filter((value) => value !== null);
    if (!known.length) return;
    const limit = place.dataset.limit ? ` of ${shown(history[place.dataset.limit])}` : "";
    const text = `${shown(known.at(-1))}${limit} ${place.dataset.unit}, at most ${shown(Math.max(...known))}`;
    const caption = place.parentElement.querySelector("figcaption span");
    caption.dataset.said = text;
    place.setAttribute("aria-label", `${place.parentElement.querySelector("b").textContent}: ${text}`);
    if (!place.matches(":hover")) caption.textContent = text;
  }

  let latest = null;
  async function load() {
    if (document.hidden || !document.querySelector("[data-chart]")) return;
    try {
      const answer = await fetch("/api/v1/history", { cache: "no-store" });
      if (!answer.ok) return;
      latest = await answer.json();
    } catch {
      return; // page.js says that the relay does not answer
    }
    if (!plots.length) draw(latest);
    for (const { place, plot } of plots) {
      const data = points(latest, place.dataset.columns.split(" "));
      plot.setData(data);
      summarise(place, latest, data[1]);
    }
  }

  function redraw() {
    if (!latest) return;
    for (const { plot } of plots.splice(0)) plot.destroy();
    draw(latest);
  }

  load();
  setInterval(load, EVERY);
  document.addEventListener("boxes", () => { if (!plots.length) load(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("resize", () => {
    for (const { place, plot } of plots) plot.setSize({ width: place.clientWidth, height: HEIGHT });
  });
})();
