"use strict";
// Loads the page again every 5 s and replaces its boxes, as a browser without JavaScript does for the whole page. Charts
// and the tap bring their own data. An input that has the focus stays as it is.
(() => {
  const EVERY = 5000;
  const FOCUSABLE = "a, button, input, [tabindex]";

  function replace(section, fresh) {
    const active = document.activeElement;
    const place = section.contains(active) ? [...section.querySelectorAll(FOCUSABLE)].indexOf(active) : -1;
    const offsets = [...section.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    keepOpen(section, fresh);
    section.replaceWith(fresh);
    fresh.querySelectorAll(".scroll").forEach((one, number) => { one.scrollLeft = offsets[number] || 0; });
    if (place >= 0) fresh.querySelectorAll(FOCUSABLE)[place]?.focus({ preventScroll: true });
  }

  // Folded parts that are open stay open.
  function keepOpen(section, fresh) {
    const open = [...section.querySelectorAll("details")].map((one) => one.open);
    fresh.querySelectorAll("details").forEach((one, number) => { one.open = open[number] || false; });
  }

  function hasOwnData(section) {
    return section.querySelector("canvas, #tap-lines") !== null;
  }

  function isInUse(section) {
    const selection = document.getSelection();
    const isSelected = selection && !selection.isCollapsed && section.contains(selection.anchorNode);
    return isSelected || (section.contains(document.activeElement) && document.activeElement.matches("input"));
  }

  function show(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    document.title = fresh.title;
    document.querySelector("link[rel=icon]").href = fresh.querySelector("link[rel=icon]").href;
    document.querySelector("header").replaceWith(fresh.querySelector("header"));
    for (const section of document.querySelectorAll("main > section")) {
      const next = fresh.getElementById(section.id);
      if (next && !hasOwnData(section) && !isInUse(section)) replace(section, next);
    }
    document.dispatchEvent(new Event("boxes"));
  }

  function tell(text) {
    const line = document.getElementById("stale");
    line.hidden = !text;
    if (line.textContent !== text) line.textContent = text;
  }

  let asOf = new Date();
  async function refresh() {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.pathname + location.search, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      show(await answer.text());
      asOf = new Date();
      tell("");
    } catch {
      tell(`The relay does not answer. This page is as of ${asOf.toLocaleTimeString("en-GB")}.`);
    }
  }

  setInterval(refresh, EVERY);
  document.addEventListener("visibilitychange", refresh);
})();
