"use strict";
// Numbers and durations as people read them. Everything that is shown goes
// through textContent: names and texts come from strangers.

const decimals = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

// number prints exact figures up to 99,999 and rounds beyond.
function number(n) {
  return n < 100000 ? decimals.format(n) : compact.format(n);
}

// duration splits seconds into a figure and its unit: [2.5, "ms"].
function duration(s) {
  if (s <= 0) return ["0", "s"];
  if (s < 0.001) return [String(Math.round(s * 1e6)), "µs"];
  if (s < 0.0995) return [decimals.format(s * 1000), "ms"];
  if (s < 0.9995) return [String(Math.round(s * 1000)), "ms"];
  if (s < 60) return [decimals.format(s), "s"];
  if (s < 3600) return [String(Math.floor(s / 60)), "min" + rest(s % 60, "s")];
  if (s < 172800) return [String(Math.floor(s / 3600)), "h" + rest((s % 3600) / 60, "min")];
  return [String(Math.floor(s / 86400)), "days"];
}

// rest is what a whole unit leaves over: " 05 s", or nothing.
function rest(n, unit) {
  const whole = Math.floor(n);
  return whole ? "\u00a0" + String(whole).padStart(2, "0") + "\u00a0" + unit : "";
}

function span(s) {
  return duration(s).join("\u00a0");
}

// limitOf prints a setting of which 0 means that there is none.
function limitOf(s) {
  return s > 0 ? span(s) : "none";
}

const clockFormat = new Intl.DateTimeFormat("en", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const minuteFormat = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

let now = Date.now(); // of the service, as it said last

// clock prints a time of the last hours; one of long ago, with its date.
function clock(at) {
  const t = new Date(at);
  if (Math.abs(now - t.getTime()) < 20 * 3600e3) return clockFormat.format(t);
  return t.toLocaleDateString("en", { day: "numeric", month: "short" }) + " " + minuteFormat.format(t);
}

// plural prints "1 caller" or "3 callers".
function plural(n, one, many) {
  return number(n) + " " + (n === 1 ? one : many);
}

// el makes an element: el("p", {class: "muted"}, "text", child, …). Strings become text.
function el(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== false) e.setAttribute(key, value === true ? "" : value);
  }
  e.append(...children.filter((c) => c !== undefined && c !== null && c !== false));
  return e;
}

/**
 * byID is an element of index.html, whatever its kind: a button, a dialog, an input.
 * @param {string} id
 * @returns {any}
 */
function byID(id) {
  return document.getElementById(id);
}

// write changes a text only when it differs, so that nothing is redrawn or read out for nothing.
function write(id, text) {
  const e = byID(id);
  if (e.textContent !== text) e.textContent = text;
}

// keepChildren makes an element's children only when what they show has changed,
// so that a selection and the keyboard's focus in them stay.
function keepChildren(e, key, make) {
  if (e.dataset.shows === key) return;
  e.dataset.shows = key;
  e.replaceChildren(...make());
}
