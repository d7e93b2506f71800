// What is on the page, from one status document.

const healthWords = { healthy: "Healthy", degraded: "Degraded", unhealthy: "Unhealthy" };
const iconColours = { healthy: "%2312a065", degraded: "%23e09a00", unhealthy: "%23d93025", unknown: "%23808793" };

function since(at, now) {
  return at ? "for " + span(Math.max((new Date(now) - new Date(at)) / 1000, 1)) : "";
}

function ago(at, now) {
  return span(Math.max((new Date(now) - new Date(at)) / 1000, 1)) + " ago";
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
  const href = byID("icon").getAttribute("href").replace(/fill='[^']*'/, `fill='${iconColours[status] || iconColours.unknown}'`);
  if (href !== byID("icon").getAttribute("href")) byID("icon").setAttribute("href", href);
}

function renderProblems(s) {
  const words = { warning: "Warning", critical: "Critical" };
  const notices = s.health.problems.map((p) => el("li", { class: "notice " + p.severity },
    el("b", {}, words[p.severity] || p.severity), el("span", {}, p.message), el("span", { class: "muted" }, since(p.since, s.at))));
  if (!s.access.ok && s.last_dial_error) notices.push(dialNotice(s));
  byID("problems").replaceChildren(...notices);
}

// dialNotice is what the last attempt to open a connection met, and what to do about it.
function dialNotice(s) {
  const d = s.last_dial_error, said = d.message || d.reason;
  const state = d.sqlstate && !said.includes(d.sqlstate) ? ` (SQLSTATE ${d.sqlstate})` : "";
  return el("li", { class: "notice dial" }, el("b", {}, "Last attempt to connect"),
    el("span", {}, said + state + (d.remedy ? ". To do: " + d.remedy : "")), el("span", { class: "muted" }, ago(d.at, s.at)));
}

const slotKinds = [["use", "in use", "checked_out"], ["idle", "idle", "checked_in"], ["dial", "opening", "dialing"], ["close", "closing", "closing"]];

function renderRack(s) {
  const p = s.pool, slots = [];
  for (const [style, , key] of slotKinds) for (let i = 0; i < p[key]; i++) slots.push(style);
  while (slots.length < p.limit) slots.push("free");
  while (slots.length < p.max_open) slots.push("withheld");
  const rack = byID("rack");
  rack.classList.toggle("dense", slots.length > 120);
  while (rack.children.length < slots.length) rack.append(el("span"));
  while (rack.children.length > slots.length) rack.lastChild.remove();
  slots.forEach((style, i) => { if (rack.children[i].className !== style) rack.children[i].className = style; });

  const free = Math.max(p.limit - p.checked_out - p.checked_in - p.dialing - p.closing, 0);
  const legend = slotKinds.map(([style, label, key]) => [style, label, p[key]]);
  legend.push(["", "not open", free]);
  if (p.limit < p.max_open) legend.push(["", "withheld", p.max_open - p.limit]);
  rack.setAttribute("aria-label", legend.map(([, label, n]) => n + " " + label).join(", "));
  byID("rack-legend").replaceChildren(...legend.map(([style, label, n]) =>
    el("li", {}, el("span", { class: "key " + style, "aria-hidden": "true" }), el("b", {}, number(n)), label)));
  write("in-use", number(p.checked_out));
  write("in-use-of", `of ${p.max_open} in use`);
  const usage = byID("usage");
  usage.className = "usage" + (p.over_threshold ? " warning" : "");
  write("usage", `${decimals.format(p.usage_percent)} % · size ${p.size} + overflow ${p.max_overflow} · peak ${p.peak_in_use || p.checked_out}`);
  const mark = byID("threshold");
  mark.hidden = false;
  mark.style.left = p.threshold_percent * p.max_open / Math.max(slots.length, 1) + "%";
  write("threshold-label", `warns at ${p.threshold_percent} %`);
}

function percentiles(d) {
  return d.count ? `p50\u00a0≤\u00a0${span(d.p50_seconds)}, p95\u00a0≤\u00a0${span(d.p95_seconds)}` : "nothing measured yet";
}

function tile(label, value, unit, sub, style) {
  return el("div", {}, el("dt", {}, label),
    el("dd", { class: style }, value, unit ? el("small", {}, " " + unit) : null), el("dd", { class: "sub" }, sub));
}

// roomTile is how many sessions the server would still grant. A view that is old
// must not contradict a server that refuses now.
function roomTile(s) {
  const v = s.server.view, label = "Room on the server";
  if (!s.access.ok) return tile(label, "none", "", "no new connection: " + s.access.reason, "alert");
  if (!v) return tile(label, "–", "", s.server.error || "not asked yet");
  const unit = v.free === 1 ? "session" : "sessions";
  if (s.server.error) return tile(label, number(v.free), unit, `${span(s.server.age_seconds)} ago; ${s.server.error} since`, "muted");
  return tile(label, number(v.free), unit, `${decimals.format(v.usage_percent)} % taken of what this role may use`, s.server.over_threshold ? "attention" : undefined);
}

// rate is a count per second over the last ten seconds or so; null when unknown.
function rate(h, key) {
  const last = h.at_seconds.length - 1, first = Math.max(last - 5, 0);
  if (last <= first) return null;
  return h[key].slice(first + 1).reduce((a, b) => a + b, 0) / (h.at_seconds[last] - h.at_seconds[first]);
}

function renderTiles(s, history) {
  const q = s.queue, wait = q.window_seconds ? q.recent_wait : q.wait, hold = q.window_seconds ? q.recent_hold : q.hold;
  const per = q.window_seconds ? "" : " in all", served = rate(history, "acquired");
  const away = (rate(history, "timed_out") || 0) + (rate(history, "shed") || 0);
  const [w, wu] = duration(wait.p99_seconds), [h, hu] = duration(hold.p99_seconds);
  byID("tiles").replaceChildren(
    tile("Waiting", number(q.waiting), q.waiting === 1 ? "caller" : "callers", `${number(q.waited_count)} of ${number(q.acquired_count)} had to wait`, q.waiting ? "attention" : undefined),
    tile("Wait if served, p99" + per, wait.count ? "≤ " + w : "–", wait.count ? wu : "", percentiles(wait)),
    tile("Held, p99" + per, hold.count ? "≤ " + h : "–", hold.count ? hu : "", percentiles(hold)),
    tile("Served", served === null ? number(q.acquired_count) : number(served), served === null ? "in all" : "per second", `${number(q.acquired_count)} in all`),
    tile("Turned away", number(away), "per second", `${number(q.timed_out_count)} timed out, ${number(q.shed_count)} refused in all`, away ? "alert" : undefined),
    roomTile(s),
  );
}

function renderEvents(s) {
  const rows = s.events.map((e) => el("li", {},
    el("span", { class: "mark " + e.severity, "aria-hidden": "true" }), el("time", { datetime: e.at }, clock(e.at)),
    el("span", {}, e.severity === "info" ? null : el("span", { class: "unseen" }, e.severity + ": "), e.message)));
  byID("events").replaceChildren(...(rows.length ? rows : [el("li", { class: "muted" }, "Nothing yet.")]));
}

function table(caption, heads, rows, style) {
  const head = heads.map(([label, num, style]) => el("th", { scope: "col", class: (num ? "num " : "") + (style || "") }, label));
  return el("table", { class: style }, el("caption", { class: "unseen" }, caption), el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
}

const openStacks = new Set();

function stack(h) {
  if (!h.stack || h.stack.length === 0) return null;
  const key = h.pid + " " + h.caller;
  const details = el("details", { open: openStacks.has(key) }, el("summary", {}, "Stack"), el("pre", {}, h.stack.join("\n")));
  details.addEventListener("toggle", () => details.open ? openStacks.add(key) : openStacks.delete(key));
  return details;
}

function renderHolders(s) {
  if (s.holders.length === 0) {
    byID("holders").replaceChildren(el("p", { class: "note" }, "No connection is in use."));
    return;
  }
  const rows = s.holders.map((h) => el("tr", {},
    el("td", { class: "num" }, span(h.held_seconds)),
    el("td", {}, h.activity, h.leaking ? " " : null, h.leaking ? el("span", { class: "tag warning" }, "held too long") : null),
    el("td", {}, h.name || el("span", { class: "muted" }, h.lane)),
    el("td", { class: "block" }, el("code", {}, h.caller || "unknown"), stack(h)),
    el("td", { class: "num plain wide-only" }, h.pid ? String(h.pid) : "–")));
  byID("holders").replaceChildren(table("Connections in use, longest first",
    [["Held for", true], ["Doing"], ["Route or task"], ["Taken by"], ["Server process", true]], rows, "stack"));
}

// renderTasks shows background tasks once there has been one; they may run
// without a connection, so that the holders do not tell.
function renderTasks(s) {
  const t = s.tasks;
  byID("tasks").hidden = t.started_count + t.refused_count === 0;
  const failed = `${number(t.failed_count)} failed` + (t.panic_count ? ` (${number(t.panic_count)} by panic)` : "");
  const refused = t.refused_count ? `, ${number(t.refused_count)} refused at shutdown` : "";
  write("tasks-note", `${number(t.running_count)} running, ${number(t.started_count)} started, ${failed}${refused}.`);
  const rows = t.running.map((r) => el("tr", {}, el("td", { class: "num" }, span(r.running_seconds)), el("td", {}, r.name || el("span", { class: "muted" }, "no name"))));
  if (t.running_count > t.running.length) rows.push(el("tr", {}, el("td", {}), el("td", { class: "muted" }, `and ${number(t.running_count - t.running.length)} more`)));
  byID("tasks-running").replaceChildren(...(rows.length ? [table("Background tasks that run, oldest first", [["Running for", true], ["Task"]], rows)] : []));
}

function renderQueries(s) {
  const note = byID("queries-note");
  note.hidden = !s.queries.error;
  const old = s.queries.longest.length ? ` What follows is ${span(s.queries.age_seconds)} old.` : "";
  write("queries-note", s.queries.error ? `The server could not be asked: ${s.queries.error}.${old}` : "");
  byID("queries").classList.toggle("old", Boolean(s.queries.error));
  if (s.queries.longest.length === 0) {
    byID("queries").replaceChildren(el("p", { class: "note" }, s.queries.error ? "" : s.queries.at ? "No statement of others is running, and no transaction is idle." : "Not asked yet."));
    return;
  }
  const ours = new Map(s.holders.filter((h) => h.pid).map((h) => [h.pid, h.name || h.caller]));
  const rows = s.queries.longest.map((q) => el("tr", {},
    el("td", { class: "num" }, span(q.query_seconds)),
    el("td", { class: "most" }, q.state + " ", q.blocked_by && q.blocked_by.length ? el("span", { class: "tag warning" }, "blocked by " + q.blocked_by.join(", ")) : null,
      ours.has(q.pid) ? el("span", { class: "muted" }, " for " + ours.get(q.pid)) : null,
      q.text ? el("code", { class: "sql" }, q.text) : null),
    el("td", { class: "wide-only" }, q.waiting_for || "–"),
    el("td", {}, q.application_name || el("span", { class: "muted" }, "no name"), q.client_address ? el("span", { class: "muted" }, " " + q.client_address) : null),
    el("td", { class: "wide-only" }, q.role),
    el("td", { class: "num plain wide-only" }, q.transaction_seconds ? span(q.transaction_seconds) : "–"),
    el("td", { class: "num plain wide-only" }, String(q.pid))));
  byID("queries").replaceChildren(table("Statements and open transactions on the server, longest first",
    [["For", true], ["State"], ["Waiting for"], ["Application"], ["Role"], ["Transaction", true], ["Process", true]], rows, "stack"));
}

function facts(title, pairs) {
  const dl = el("dl");
  for (const [k, v] of pairs) dl.append(el("dt", {}, k), el("dd", {}, v));
  return el("div", {}, el("h3", {}, title), dl);
}

function renderCounts(s) {
  const c = s.connections, q = s.queue, x = s.settings, l = s.pipeline;
  byID("counts").replaceChildren(
    facts("Callers", [["served", number(q.acquired_count)], ["had to wait", number(q.waited_count)], ["timed out", number(q.timed_out_count)],
      ["refused at once", number(q.shed_count)], ["gave up", number(q.canceled_count)], ["asked while holding", number(q.nested_count)]]),
    ...(l && l.mode !== "off" ? [facts("Sent together", [["statements", number(l.shared_count)], ["times", number(l.run_count)], ["each time, on average", l.run_count ? (l.shared_count / l.run_count).toFixed(1) : "–"],
      ...[["text", "may not: its text"], ["new", "not yet: new"], ["slow", "not now: slow"], ["large", "not now: large result"],
        ["nested", "caller holds a connection"], ["not_select", "no query after all"], ["arguments", "arguments"]]
        .filter(([key]) => l.unshared[key]).map(([key, label]) => [label, number(l.unshared[key])])])] : []),
    facts("Connections", [["opened", number(c.opened_count)], ["attempts to open", number(c.dial_count)], ["failed attempts", number(c.dial_error_count)],
      ...(s.last_dial_error ? [["the last of them", ago(s.last_dial_error.at, s.at)]] : []),
      ["statements cancelled", number(c.canceled_statement_count)], ["held too long, ever", number(s.leaks.warned_count)], ["overdue in closing", number(s.pool.quarantined)]]),
    facts("Closed, by reason", [["replaced by age", number(c.closed.recycled)], ["no longer needed", number(c.closed.surplus)], ["broken", number(c.closed.broken)],
      ["cancel not confirmed", number(c.closed.canceled)], ["not reusable", number(c.closed.unclean)], ["pool closed", number(c.closed.shutdown)]]),
    facts("Settings", [["wait at most", span(x.pool_timeout_seconds)], ["replace after", span(x.pool_recycle_seconds)], ["connect within", span(x.connect_timeout_seconds)],
      ["statement timeout", limitOf(s.statement_timeout.want_seconds)], ["which is kept by", s.statement_timeout.how || "–"],
      ["overflow lingers", limitOf(x.overflow_linger_seconds)], ["held too long after", limitOf(x.leak_threshold_seconds)]]));
}
