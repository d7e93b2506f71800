// The lists and tables below the charts, and their filter.

// matching are the items that hold what the filter says, in whatever they show.
function matching(items) {
  const wanted = byID("filter").value.trim().toLowerCase();
  return wanted ? items.filter((item) => JSON.stringify(item).toLowerCase().includes(wanted)) : items;
}

// noneLeft is said where the filter leaves nothing.
function noneLeft() {
  return el("p", { class: "note" }, "Nothing here matches the filter.");
}

function renderEvents(s) {
  const graded = byID("severity").value ? s.events.filter((e) => e.severity !== "info") : s.events;
  const shown = matching(graded);
  const rows = shown.map((e) =>
    el(
      "li",
      {},
      el("span", { class: "mark " + e.severity, "aria-hidden": "true" }),
      el("time", { datetime: e.at }, clock(e.last_at || e.at)),
      el(
        "span",
        {},
        e.severity === "info" ? null : el("span", { class: "unseen" }, e.severity + ": "),
        e.message,
        e.count > 1 ? el("span", { class: "tag" }, `${number(e.count)} times since ${clock(e.at)}`) : null,
      ),
    ),
  );
  const none = el("li", { class: "muted" }, s.events.length ? "None matches the filter." : "Nothing yet.");
  byID("events").replaceChildren(...(rows.length ? rows : [none]));
}

// renderRoutes shows what each route and task has, wants and was denied.
function renderRoutes(s) {
  byID("routes").hidden = s.routes.length === 0;
  byID("routes-table").replaceChildren(namedTable("Connections by route and task", "Route or task", s.routes));
}

// renderStatements shows the same by statement.
function renderStatements(s) {
  const statements = s.statements || [];
  byID("statements").hidden = statements.length === 0;
  byID("statements-note").hidden = s.queries.text_shown;
  byID("statements-table").replaceChildren(namedTable("Connections by statement", "Statement", statements));
}

// upTo is a percentile, which is the upper bound of its bucket.
function upTo(seconds) {
  return seconds ? "≤ " + span(seconds) : "–";
}

function namedTable(caption, what, figures) {
  const rows = matching(figures).map((r) =>
    el(
      "tr",
      {},
      el("td", { class: "block" }, r.name || el("span", { class: "muted" }, "all others")),
      el("td", { class: "num" }, number(r.in_use)),
      el("td", { class: "num" }, r.waiting ? el("span", { class: "tag warning" }, number(r.waiting)) : "0"),
      el("td", { class: "num plain" }, upTo(r.recent_hold_p95_seconds)),
      el("td", { class: "num plain wide-only" }, upTo(r.recent_wait_p95_seconds)),
      el("td", { class: "num plain wide-only" }, number(r.acquired_count)),
      el("td", { class: "num plain" }, number(r.timed_out_count)),
      el("td", { class: "num plain" }, number(r.shed_count)),
    ),
  );
  return table(
    caption,
    [
      [what],
      ["In use", true],
      ["Waiting", true],
      ["Held, p95", true],
      ["Wait, p95", true, "wide-only"],
      ["Served", true, "wide-only"],
      ["Timed out", true],
      ["Refused", true],
    ],
    rows,
    "routes",
  );
}

function table(caption, heads, rows, style) {
  if (rows.length === 0) return noneLeft();
  const head = heads.map(([label, num, style]) =>
    el("th", { scope: "col", class: (num ? "num " : "") + (style || "") }, label),
  );
  return el(
    "table",
    { class: style },
    el("caption", { class: "unseen" }, caption),
    el("thead", {}, el("tr", {}, ...head)),
    el("tbody", {}, ...rows),
  );
}

const openStacks = new Set();

function stack(h) {
  if (!h.stack || h.stack.length === 0) return null;
  const key = h.pid + " " + h.caller;
  const details = el(
    "details",
    { open: openStacks.has(key) },
    el("summary", {}, "Stack"),
    el("pre", {}, h.stack.join("\n")),
  );
  details.addEventListener("toggle", () => (details.open ? openStacks.add(key) : openStacks.delete(key)));
  return details;
}

function renderHolders(s) {
  if (s.holders.length === 0) {
    byID("holders").replaceChildren(el("p", { class: "note" }, "No connection is in use."));
    return;
  }
  const rows = matching(s.holders).map((h) =>
    el(
      "tr",
      {},
      el("td", { class: "num" }, span(h.held_seconds)),
      el(
        "td",
        {},
        h.activity,
        h.leaking ? " " : null,
        h.leaking ? el("span", { class: "tag warning" }, "held too long") : null,
      ),
      el("td", {}, h.name || el("span", { class: "muted" }, h.lane)),
      el("td", { class: "block" }, el("code", {}, h.caller || "unknown"), stack(h)),
      el("td", { class: "num plain wide-only" }, h.pid ? String(h.pid) : "–"),
    ),
  );
  byID("holders").replaceChildren(
    table(
      "Connections in use, longest first",
      [["Held for", true], ["Doing"], ["Route or task"], ["Taken by"], ["Server process", true]],
      rows,
      "stack",
    ),
  );
}

// renderTasks shows background tasks once there has been one; they may run
// without a connection, so that the holders do not tell.
function renderTasks(s) {
  const t = s.tasks;
  byID("tasks").hidden = t.started_count + t.refused_count === 0;
  const failed = `${number(t.failed_count)} failed` + (t.panic_count ? ` (${number(t.panic_count)} by panic)` : "");
  const refused = t.refused_count ? `, ${number(t.refused_count)} refused at shutdown` : "";
  write("tasks-note", `${number(t.running_count)} running, ${number(t.started_count)} started, ${failed}${refused}.`);
  const rows = t.running.map((r) =>
    el(
      "tr",
      {},
      el("td", { class: "num" }, span(r.running_seconds)),
      el("td", {}, r.name || el("span", { class: "muted" }, "no name")),
    ),
  );
  if (t.running_count > t.running.length)
    rows.push(
      el(
        "tr",
        {},
        el("td", {}),
        el("td", { class: "muted" }, `and ${number(t.running_count - t.running.length)} more`),
      ),
    );
  byID("tasks-running").replaceChildren(
    ...(rows.length ? [table("Background tasks that run, oldest first", [["Running for", true], ["Task"]], rows)] : []),
  );
}

// sameStatements makes one row of the sessions that run the same statement, without
// its literals, and wait for the same: the longest of them, and how many they are.
function sameStatements(queries) {
  const groups = new Map();
  for (const q of queries) {
    const key = q.text ? [q.text, q.state, q.waiting_for, q.application_name, q.role].join("\n") : String(q.pid);
    const group = groups.get(key);
    if (group) {
      group.count++;
      group.blocked_by = [...new Set([...(group.blocked_by || []), ...(q.blocked_by || [])])];
    } else {
      groups.set(key, { ...q, count: 1 });
    }
  }
  return [...groups.values()];
}

function renderQueries(s) {
  const note = byID("queries-note");
  note.hidden = !s.queries.error;
  const old = s.queries.longest.length ? ` What follows is ${span(s.queries.age_seconds)} old.` : "";
  write("queries-note", s.queries.error ? `The server could not be asked: ${s.queries.error}.${old}` : "");
  byID("queries").classList.toggle("old", Boolean(s.queries.error));
  if (s.queries.longest.length === 0) {
    byID("queries").replaceChildren(
      el(
        "p",
        { class: "note" },
        s.queries.error
          ? ""
          : s.queries.at
            ? "No statement of others is running, and no transaction is idle."
            : "Not asked yet.",
      ),
    );
    return;
  }
  const ours = new Map(s.holders.filter((h) => h.pid).map((h) => [h.pid, h.name || h.caller]));
  const rows = matching(sameStatements(s.queries.longest)).map((q) =>
    el(
      "tr",
      {},
      el(
        "td",
        { class: "num" },
        span(q.query_seconds),
        q.count > 1 ? el("span", { class: "tag" }, `${q.count} of them`) : null,
      ),
      el(
        "td",
        { class: "most" },
        q.state + " ",
        q.blocked_by && q.blocked_by.length
          ? el("span", { class: "tag warning" }, "blocked by " + q.blocked_by.join(", "))
          : null,
        ours.has(q.pid) ? el("span", { class: "muted" }, " for " + ours.get(q.pid)) : null,
        q.text ? el("code", { class: "sql" }, q.text) : null,
      ),
      el("td", { class: "wide-only" }, q.waiting_for || "–"),
      el(
        "td",
        {},
        q.application_name || el("span", { class: "muted" }, "no name"),
        q.client_address ? el("span", { class: "muted" }, " " + q.client_address) : null,
      ),
      el("td", { class: "wide-only" }, q.role),
      el("td", { class: "num plain wide-only" }, q.transaction_seconds ? span(q.transaction_seconds) : "–"),
      el("td", { class: "num plain wide-only" }, String(q.pid)),
    ),
  );
  byID("queries").replaceChildren(
    table(
      "Statements and open transactions on the server, longest first",
      [
        ["For", true],
        ["State"],
        ["Waiting for"],
        ["Application"],
        ["Role"],
        ["Transaction", true],
        ["Process", true],
      ],
      rows,
      "stack",
    ),
  );
}

function facts(title, pairs) {
  const dl = el("dl");
  for (const [k, v] of pairs) dl.append(el("dt", {}, k), el("dd", {}, v));
  return el("div", {}, el("h3", {}, title), dl);
}

function renderCounts(s) {
  const c = s.connections,
    q = s.queue,
    x = s.settings,
    l = s.pipeline;
  byID("counts").replaceChildren(
    facts("Callers", [
      ["served", number(q.acquired_count)],
      ["had to wait", number(q.waited_count)],
      ["timed out", number(q.timed_out_count)],
      ["refused at once", number(q.shed_count)],
      ["gave up", number(q.canceled_count)],
      ["asked while holding", number(q.nested_count)],
    ]),
    ...(l && l.mode !== "off"
      ? [
          facts("Sent together", [
            ["statements", number(l.shared_count)],
            ["times", number(l.run_count)],
            ["each time, on average", l.run_count ? (l.shared_count / l.run_count).toFixed(1) : "–"],
            ...[
              ["text", "may not: its text"],
              ["new", "not yet: new"],
              ["slow", "not now: slow"],
              ["large", "not now: large result"],
              ["nested", "caller holds a connection"],
              ["not_select", "no query after all"],
              ["arguments", "arguments"],
            ]
              .filter(([key]) => l.unshared[key])
              .map(([key, label]) => [label, number(l.unshared[key])]),
          ]),
        ]
      : []),
    facts("Connections", [
      ["opened", number(c.opened_count)],
      ["attempts to open", number(c.dial_count)],
      ["failed attempts", number(c.dial_error_count)],
      ...(s.last_dial_error ? [["the last of them", ago(s.last_dial_error.at, s.at)]] : []),
      ["statements cancelled", number(c.canceled_statement_count)],
      ["held too long, ever", number(s.leaks.warned_count)],
      ["overdue in closing", number(s.pool.quarantined)],
    ]),
    facts("Closed, by reason", [
      ["replaced by age", number(c.closed.recycled)],
      ["no longer needed", number(c.closed.surplus)],
      ["broken", number(c.closed.broken)],
      ["cancel not confirmed", number(c.closed.canceled)],
      ["not reusable", number(c.closed.unclean)],
      ["pool closed", number(c.closed.shutdown)],
    ]),
    facts("Settings", [
      ["wait at most", span(x.pool_timeout_seconds)],
      ["replace after", span(x.pool_recycle_seconds)],
      ["connect within", span(x.connect_timeout_seconds)],
      ["statement timeout", limitOf(s.statement_timeout.want_seconds)],
      ["which is kept by", s.statement_timeout.how || "–"],
      ["overflow lingers", limitOf(x.overflow_linger_seconds)],
      ["held too long after", limitOf(x.leak_threshold_seconds)],
    ]),
  );
}
