// The server's own view.

function shareBar(parts, total) {
  const bar = el("div", {
    class: "share",
    role: "img",
    "aria-label": parts.map((p) => p.n + " " + p.label).join(", ") + " of " + total,
  });
  for (const p of parts) {
    const segment = el("span", { class: p.style });
    segment.style.width = (100 * p.n) / Math.max(total, 1) + "%";
    bar.append(segment);
  }
  return bar;
}

function shareLegend(parts) {
  return el(
    "ul",
    { class: "legend" },
    ...parts
      .filter((p) => p.n > 0 || p.always)
      .map((p) =>
        el("li", {}, el("span", { class: "key " + p.style, "aria-hidden": "true" }), el("b", {}, number(p.n)), p.label),
      ),
  );
}

// serverParts divides the server. What is ours is known for this moment only, and
// an old view is not of this moment.
function serverParts(s, v) {
  const old = Boolean(s.server.error);
  const ours = old ? 0 : Math.min(s.pool.checked_out + s.pool.checked_in + s.pool.closing, v.role_sessions);
  const kept = v.superuser ? 0 : v.superuser_reserved_connections + (v.may_use_reserved ? 0 : v.reserved_connections);
  return [
    { style: "use", label: "this pool", n: ours, always: !old },
    { style: "idle", label: old ? "this role" : "others of this role", n: v.role_sessions - ours, always: true },
    { style: "close", label: "other roles", n: v.sessions - v.role_sessions, always: true },
    { style: "free", label: "free", n: Math.max(v.max_connections - kept - v.sessions, 0), always: true },
    { style: "reserved", label: "reserved", n: Math.max(Math.min(kept, v.max_connections - v.sessions), 0) },
  ];
}

const bounds = {
  server: "max_connections less what is reserved",
  role: "this role's connection limit",
  database: "this database's connection limit",
};

function noLimit(n) {
  return n < 0 ? "none" : number(n);
}

function serverFacts(v) {
  const reserve =
    `${v.superuser_reserved_connections} for superusers` +
    (v.version_num >= 160000 ? `, ${v.reserved_connections} for pg_use_reserved_connections` : "");
  const dl = el("dl", { class: "facts" });
  const rows = [
    ["Usable by this role", `${number(v.usable)} sessions, ${number(v.free)} free now`],
    ["Fullest limit", `${decimals.format(v.usage_percent)} % of ${bounds[v.bound_by] || v.bound_by}`],
    ["max_connections", number(v.max_connections)],
    ["Reserved", reserve],
    ["Role's limit", `${noLimit(v.role_connection_limit)} (${number(v.role_sessions)} in use)`],
    ["Database's limit", `${noLimit(v.database_connection_limit)} (${number(v.database_sessions)} in use)`],
    ["By state", (v.states || []).map((g) => `${number(g.count)} ${g.state}`).join(", ")],
  ];
  for (const [k, value] of rows) dl.append(el("dt", {}, k), el("dd", {}, value));
  return dl;
}

function applicationTable(v) {
  const most = Math.max(...v.applications.map((a) => a.sessions), 1);
  const rows = v.applications.slice(0, 12).map((a) => {
    const bar = el("i");
    bar.style.width = (100 * a.sessions) / most + "%";
    return el(
      "tr",
      {},
      el("td", {}, a.name || el("span", { class: "muted" }, "no name")),
      el("td", { class: "num" }, el("span", { class: "meter", "aria-hidden": "true" }, bar), number(a.sessions)),
      el("td", { class: "num plain" }, number(a.active)),
      el("td", { class: "num plain wide-only" }, number(a.idle)),
      el("td", { class: "num plain" }, number(a.idle_in_transaction)),
    );
  });
  return table(
    "Sessions on the server by application",
    [["Application"], ["Sessions", true], ["Active", true], ["Idle", true, "wide-only"], ["Idle in tx", true]],
    rows,
  );
}

function renderServer(s) {
  const v = s.server.view,
    note = byID("server-note");
  note.hidden = !s.server.error;
  write(
    "server-note",
    s.server.error
      ? `The server could not be asked: ${s.server.error}.` +
          (v ? ` What follows is ${span(s.server.age_seconds)} old.` : "")
      : "",
  );
  byID("server").classList.toggle("old", Boolean(s.server.error));
  if (!v) {
    byID("server").replaceChildren(el("p", { class: "note" }, s.server.error ? "" : "Not asked yet."));
    return;
  }
  const parts = serverParts(s, v);
  byID("server").replaceChildren(
    shareBar(parts, v.max_connections),
    shareLegend(parts),
    serverFacts(v),
    v.applications && v.applications.length ? el("div", { class: "scroll" }, applicationTable(v)) : "",
    v.sees_all
      ? ""
      : el(
          "p",
          { class: "note" },
          "States of other roles' sessions are hidden from this role; pg_read_all_stats shows them.",
        ),
  );
}
