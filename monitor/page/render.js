// What is on the page, from one status document.

const healthWords = { healthy: "Healthy", degraded: "Degraded", unhealthy: "Unhealthy" };
const iconColours = { healthy: "%2312a065", degraded: "%23e09a00", unhealthy: "%23d93025", unknown: "%23808793" };

function since(at, now) {
  return at ? "for " + span(Math.max((new Date(now).getTime() - new Date(at).getTime()) / 1000, 1)) : "";
}

function ago(at, now) {
  return span(Math.max((new Date(now).getTime() - new Date(at).getTime()) / 1000, 1)) + " ago";
}

function renderHeader(s) {
  write("name", s.name);
  const v = s.server.view;
  const about = ["dbpool"];
  if (v) about.push("PostgreSQL " + v.version.split(" ")[0], "database " + v.database, "role " + v.role);
  if (v && v.in_recovery) about.push("standby, read-only");
  if (s.pooler) about.push("through " + s.pooler);
  write("about", about.join(" · "));
  byID("standing").className = "pill " + s.health.status;
  write("status", healthWords[s.health.status] || s.health.status);
  write("status-since", since(s.health.since, s.at));
  document.title = `${s.pool.checked_out}/${s.pool.max_open} ${s.name} – dbpool`;
  icon(s.health.status);
}

function icon(status) {
  const href = byID("icon")
    .getAttribute("href")
    .replace(/fill='[^']*'/, `fill='${iconColours[status] || iconColours.unknown}'`);
  if (href !== byID("icon").getAttribute("href")) byID("icon").setAttribute("href", href);
}

// renderProblems puts the diagnosis on top, and below the figures what else is
// wrong: one cause has one banner, and the figures come before the others.
function renderProblems(s) {
  const d = s.health.diagnosis,
    box = byID("diagnosis");
  box.hidden = !d;
  box.className = "notice diagnosis " + (s.health.status === "unhealthy" ? "critical" : "warning");
  if (d) keepChildren(box, d.sentence + d.since, () => diagnosisParts(d));
  if (d) write("diagnosis-since", [since(d.since, s.at), seenAgo(d)].filter(Boolean).join(", "));
  const rest = s.health.problems.filter((p) => !d || p.message !== d.sentence).map((p) => problem(p, s.at));
  const first = d ? [] : rest.splice(0, 1);
  if (!s.access.ok && s.last_dial_error) rest.push(dialNotice(s));
  byID("first-problem").replaceChildren(...first);
  byID("problems").replaceChildren(...rest);
}

function problem(p, at) {
  const words = { warning: "Warning", critical: "Critical" };
  return el(
    "li",
    { class: "notice " + p.severity },
    el("b", {}, words[p.severity] || p.severity),
    el("span", {}, p.message),
    el("span", { class: "muted" }, since(p.since, at)),
  );
}

function seenAgo(d) {
  return d.seen_age_seconds ? `the server as seen ${span(d.seen_age_seconds)} ago` : "";
}

// diagnosisParts is the sentence with its command as code, and a button to copy that.
function diagnosisParts(d) {
  const [before, after] = d.command ? split(d.sentence, d.command) : [d.sentence, ""];
  const parts = [
    el("b", {}, d.verdict),
    el("span", { id: "diagnosis-since", class: "muted" }),
    el("p", { id: "sentence" }, before, d.command ? el("code", {}, d.command) : null, after),
  ];
  if (d.command) {
    const button = el("button", { type: "button", id: "copy-command" }, "Copy command");
    button.addEventListener("click", () => copy(d.command, "the command"));
    parts.push(button);
  }
  return parts;
}

function split(text, part) {
  const at = text.indexOf(part);
  return at < 0 ? [text + ": ", ""] : [text.slice(0, at), text.slice(at + part.length)];
}

// dialNotice is what the last attempt to open a connection met, and what to do about it.
function dialNotice(s) {
  const d = s.last_dial_error,
    said = d.message || d.reason;
  const state = d.sqlstate && !said.includes(d.sqlstate) ? ` (SQLSTATE ${d.sqlstate})` : "";
  return el(
    "li",
    { class: "notice dial" },
    el("b", {}, "Last attempt to connect"),
    el("span", {}, said + state + (d.remedy ? ". To do: " + d.remedy : "")),
    el("span", { class: "muted" }, ago(d.at, s.at)),
  );
}

const slotKinds = [
  ["use", "in use", "checked_out"],
  ["idle", "idle", "checked_in"],
  ["dial", "opening", "dialing"],
  ["close", "closing", "closing"],
];

function renderRack(s) {
  const p = s.pool,
    slots = [];
  for (const [style, , key] of slotKinds) for (let i = 0; i < p[key]; i++) slots.push(style);
  while (slots.length < p.limit) slots.push("free");
  while (slots.length < p.max_open) slots.push("withheld");
  const rack = byID("rack");
  rack.classList.toggle("dense", slots.length > 120);
  while (rack.children.length < slots.length) rack.append(el("span"));
  while (rack.children.length > slots.length) rack.lastChild.remove();
  slots.forEach((style, i) => {
    if (rack.children[i].className !== style) rack.children[i].className = style;
  });

  const free = Math.max(p.limit - p.checked_out - p.checked_in - p.dialing - p.closing, 0);
  const legend = slotKinds.map(([style, label, key]) => [style, label, p[key]]);
  legend.push(["", "not open", free]);
  if (p.limit < p.max_open) legend.push(["", "withheld", p.max_open - p.limit]);
  rack.setAttribute("aria-label", legend.map(([, label, n]) => n + " " + label).join(", "));
  byID("rack-legend").replaceChildren(
    ...legend.map(([style, label, n]) =>
      el("li", {}, el("span", { class: "key " + style, "aria-hidden": "true" }), el("b", {}, number(n)), label),
    ),
  );
  write("in-use", number(p.checked_out));
  write("in-use-of", `of ${p.max_open} in use`);
  const usage = byID("usage");
  usage.className = "usage" + (p.over_threshold ? " warning" : "");
  write(
    "usage",
    `${decimals.format(p.usage_percent)} % · size ${p.size} + overflow ${p.max_overflow} · ` +
      `peak ${p.peak_in_use || p.checked_out}`,
  );
  const mark = byID("threshold");
  mark.hidden = false;
  mark.style.left = (p.threshold_percent * p.max_open) / Math.max(slots.length, 1) + "%";
  write("threshold-label", `warns at ${p.threshold_percent} %`);
}

function percentiles(d) {
  return d.count
    ? `p50\u00a0≤\u00a0${span(d.p50_seconds)}, p95\u00a0≤\u00a0${span(d.p95_seconds)}`
    : "nothing measured yet";
}

function tile(label, value, unit, sub, style) {
  return el(
    "div",
    {},
    el("dt", {}, label),
    el("dd", { class: style }, value, unit ? el("small", {}, " " + unit) : null),
    el("dd", { class: "sub" }, sub),
  );
}

// roomTile is how many sessions the server would still grant. A view that is old
// must not contradict a server that refuses now.
function roomTile(s) {
  const v = s.server.view,
    label = "Room on the server";
  if (!s.access.ok) return tile(label, "none", "", "no new connection: " + s.access.reason, "alert");
  if (!v) return tile(label, "–", "", s.server.error || "not asked yet");
  const unit = v.free === 1 ? "session" : "sessions";
  if (s.server.error)
    return tile(label, number(v.free), unit, `${span(s.server.age_seconds)} ago; ${s.server.error} since`, "muted");
  return tile(
    label,
    number(v.free),
    unit,
    `${decimals.format(v.usage_percent)} % taken of what this role may use`,
    s.server.over_threshold ? "attention" : undefined,
  );
}

// rate is a count per second over the last ten seconds or so, or the last entry
// where that is longer; null when unknown.
function rate(h, key) {
  const last = h.at_seconds.length - 1,
    first = Math.max(last - Math.max(Math.round(10 / h.step_seconds), 1), 0);
  if (last <= first) return null;
  return h[key].slice(first + 1).reduce((a, b) => a + b, 0) / (h.at_seconds[last] - h.at_seconds[first]);
}

function renderTiles(s, history) {
  const q = s.queue,
    wait = q.window_seconds ? q.recent_wait : q.wait,
    hold = q.window_seconds ? q.recent_hold : q.hold;
  const per = q.window_seconds ? "" : " in all",
    served = rate(history, "acquired");
  const away = (rate(history, "timed_out") || 0) + (rate(history, "shed") || 0);
  const [w, wu] = duration(wait.p99_seconds),
    [h, hu] = duration(hold.p99_seconds);
  byID("tiles").replaceChildren(
    tile(
      "Waiting",
      number(q.waiting),
      q.waiting === 1 ? "caller" : "callers",
      `${number(q.waited_count)} of ${number(q.acquired_count)} had to wait`,
      q.waiting ? "attention" : undefined,
    ),
    tile("Wait if served, p99" + per, wait.count ? "≤ " + w : "–", wait.count ? wu : "", percentiles(wait)),
    tile("Held, p99" + per, hold.count ? "≤ " + h : "–", hold.count ? hu : "", percentiles(hold)),
    tile(
      "Served",
      served === null ? number(q.acquired_count) : number(served),
      served === null ? "in all" : "per second",
      `${number(q.acquired_count)} in all`,
    ),
    tile(
      "Turned away",
      number(away),
      "per second",
      `${number(q.timed_out_count)} timed out, ${number(q.shed_count)} refused in all`,
      away ? "alert" : undefined,
    ),
    roomTile(s),
  );
}
