"use strict";
// Shows the newest lines of GET /api/v1/tap. The stream is open only while a person looks: not in a hidden window, and
// not after Stop. Text of users is set as text, never as HTML.
(() => {
  const form = document.getElementById("tap-form");
  if (!form) return;
  const MOST = 50;
  const RATE = 20;
  const lines = document.getElementById("tap-lines");
  const total = document.getElementById("tap-total");
  const button = document.getElementById("tap-start");
  let stream = null;
  let isWanted = false;
  let before = null;

  // As wording.printable: what could move, hide or reorder other text becomes an escape.
  function printable(text) {
    return text.replace(/[\p{C}\p{Z}]/gu, (one) => (one === " " ? one : `\\u{${one.codePointAt(0).toString(16)}}`));
  }

  function part(tag, text, name) {
    const found = document.createElement(tag);
    found.textContent = printable(text);
    if (name) found.className = name;
    return found;
  }

  function number(value) {
    return value.toLocaleString("en").replaceAll(",", " ");
  }

  function clock(at) {
    const moment = new Date(at);
    return `${moment.toLocaleTimeString("en-GB")}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
  }

  function tags(event) {
    return Object.entries(event.dimensions).map(([key, value]) => `${key}=${value}`).join(" ");
  }

  function outcome(event) {
    const name = event.namespace ? `${event.namespace}/${event.metric}` : event.metric;
    switch (event.verdict) {
      case "rejected": return part("strong", `REJECTED ${event.reason}: ${event.explanation}`);
      case "dropped": return part("strong", event.rule ? `DROPPED by rule ${event.rule} ${event.pattern}` : `DROPPED ${event.reason}`);
      case "event": return part("span", "event", "soft");
      default: return part("span", `${event.type} ${name} ${tags(event)} ${event.code}`.trim(), "soft");
    }
  }

  function add(...parts) {
    const item = document.createElement("div");
    for (const one of parts) item.append(one, " ");
    lines.prepend(item);
    while (lines.children.length > MOST) lines.lastElementChild.remove();
  }

  function showLine(event) {
    add(part("time", clock(event.at)), part("span", event.sender, "soft"), part("code", event.line), outcome(event));
  }

  function showPoint(event) {
    const values = Object.entries(event.values).map(([key, value]) => `${key} ${value}`).join(" ");
    const name = event.namespace ? `${event.namespace}/${event.metric}` : event.metric;
    const said = event.outcome === "accepted" ? part("span", "accepted", "soft") : part("strong", `${event.outcome} ${event.detail}`);
    add(part("time", clock(event.at)), part("code", `${name} ${tags(event)} ${values}`), said);
  }

  function showTotals(event) {
    const last = before && before.seconds < event.seconds ? before : { seconds: 0, shown: 0, matched: 0, received: 0 };
    const seconds = Math.max(event.seconds - last.seconds, 0.001);
    const rate = (key) => number(Math.round((event[key] - last[key]) / seconds));
    total.textContent = `${rate("shown")} of ${rate("matched")} matching lines/s shown, ${rate("received")} came; lost by the tap: ${number(event.lost)}`;
    before = event;
    if (event.is_last) stop("The relay ended the tap.");
  }

  function showNothing(event) {
    const near = event.near.length ? ` Near: ${event.near.map(printable).join(", ")}.` : "";
    total.textContent = `${number(event.received)} lines came, none matches.${near}`;
  }

  function open() {
    const query = new URLSearchParams({ glob: form.elements["tap-glob"].value, of: form.elements["tap-of"].value, rate: RATE });
    before = null;
    stream = new EventSource(`/api/v1/tap?${query}`);
    const handlers = { line: showLine, sent: showPoint, totals: showTotals, nothing: showNothing };
    for (const [name, show] of Object.entries(handlers)) {
      stream.addEventListener(name, (message) => show(JSON.parse(message.data)));
    }
    stream.onerror = () => {
      if (stream && stream.readyState === EventSource.CLOSED) stop("The relay refused the tap: four run at most, or the filter is wrong.");
    };
  }

  function close() {
    if (stream) stream.close();
    stream = null;
  }

  function stop(text) {
    close();
    isWanted = false;
    button.textContent = "Start";
    if (text) total.textContent = text;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (isWanted) return stop("Stopped.");
    isWanted = true;
    button.textContent = "Stop";
    total.textContent = "Waiting for lines.";
    lines.replaceChildren();
    open();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (isWanted && !stream) open();
  });
  form.hidden = false;
})();
