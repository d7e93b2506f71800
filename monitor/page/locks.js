// Who waits for whom on the server: each session that waits for nobody and is
// waited for, and below it those that wait for it.

// lockTree returns the roots of the view's lock waits, who blocks most first.
function lockTree(view) {
  const nodes = new Map();
  const node = (pid) => {
    if (!nodes.has(pid)) nodes.set(pid, { pid, waits: null, below: [], about: { pid } });
    return nodes.get(pid);
  };
  for (const w of view.lock_waits || []) {
    const me = node(w.pid);
    me.waits = w;
    me.about = w;
    for (const by of w.blocked_by || []) {
      const above = node(by);
      const seen = (w.held_by || []).find((h) => h.pid === by);
      if (!above.waits && seen) above.about = seen;
      if (!above.below.includes(me)) above.below.push(me);
    }
  }
  const all = [...nodes.values()],
    roots = all.filter((n) => !n.waits);
  return (roots.length ? roots : all.slice(0, 1)).sort((a, b) => size(b) - size(a));
}

function size(node, seen = new Set()) {
  if (seen.has(node)) return 0;
  seen.add(node);
  return node.below.reduce((n, child) => n + 1 + size(child, seen), 0);
}

// whoHolds names our own holder of a server process.
function whoHolds(s, pid) {
  const h = s.holders.find((holder) => holder.pid && holder.pid === pid);
  return h ? [h.name, h.caller].filter(Boolean).join(", ") : "";
}

function sessionWords(s, n) {
  const a = n.about,
    ours = whoHolds(s, n.pid);
  const who = n.pid
    ? `${n.pid} ${a.application_name || "no application name"}, ${a.role || "role unknown"}`
    : "a prepared transaction";
  const doing = n.waits
    ? `waits ${span(n.waits.wait_seconds)} for ${n.waits.mode} on ${n.waits.relation || n.waits.kind}`
    : !a.state || a.state === "hidden"
      ? ""
      : `${a.state} ${a.state_seconds ? span(a.state_seconds) : ""}`;
  return [
    el("b", {}, who),
    doing ? " " + doing.trim() : null,
    ours ? el("span", { class: "muted" }, " for " + ours) : null,
  ];
}

// mostShown bounds the sessions listed below one.
const mostShown = 12;

function branch(s, n, seen) {
  if (seen.has(n)) return el("li", {}, el("span", { class: "muted" }, `${n.pid}, as above`));
  seen.add(n);
  const below = n.below.slice(0, mostShown).map((child) => branch(s, child, seen));
  const more = n.below.length - below.length;
  if (more > 0) below.push(el("li", { class: "muted" }, `and ${number(more)} more`));
  const tag = n.waits ? null : el("span", { class: "tag warning" }, `blocks ${number(size(n))}`);
  return el("li", {}, el("span", {}, tag, " ", ...sessionWords(s, n)), below.length ? el("ul", {}, ...below) : null);
}

function renderLocks(s) {
  const v = s.server.view,
    roots = v && v.lock_waits && v.lock_waits.length ? lockTree(v) : [];
  byID("locks").hidden = roots.length === 0;
  byID("locks").classList.toggle("old", Boolean(s.server.error));
  const seen = new Set();
  byID("lock-tree").replaceChildren(el("ul", {}, ...roots.map((n) => branch(s, n, seen))));
}
