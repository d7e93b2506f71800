// The incident report: what somebody needs who was not there, as text. It names
// no client address, no SQL text and no stack, whatever the page shows.

function reportLines(s) {
  const q = s.queue,
    p = s.pool,
    d = s.health.diagnosis;
  const lines = [
    `${s.name}: ${s.health.status} since ${s.health.since || "?"}, seen ${s.at}`,
    d ? `diagnosis: ${d.sentence}` : "diagnosis: none",
    ...s.health.problems.map((x) => `problem: ${x.severity}: ${x.message}`),
    `connections: ${p.checked_out} in use, ${p.checked_in} idle, ${p.dialing} opening, ${p.closing} closing, ` +
      `limit ${p.limit} of ${p.max_open} (size ${p.size}, overflow ${p.max_overflow})`,
    `callers: ${q.waiting} waiting; since the start ${q.acquired_count} served, ${q.timed_out_count} timed out, ` +
      `${q.shed_count} refused; held p99 ${q.recent_hold.p99_seconds || q.hold.p99_seconds} s`,
    s.access.ok
      ? "server: grants connections"
      : `server: no new connection: ${s.access.reason} since ${s.access.since}`,
  ];
  return lines.concat(serverLines(s), holderLines(s), eventLines(s));
}

function serverLines(s) {
  const v = s.server.view;
  if (!v) return [`server's view: none (${s.server.error || "not asked"})`];
  const apps = (v.applications || []).slice(0, 8).map((a) => `${a.name || "no name"} ${a.sessions}`);
  const waits = (v.lock_waits || []).map(
    (w) =>
      `lock: pid ${w.pid} waits ${w.wait_seconds} s for ${w.mode} on ${w.relation || w.kind}, ` +
      `behind ${(w.blocked_by || []).join(", ")}`,
  );
  return [
    `server's view, ${s.server.age_seconds} s old: PostgreSQL ${v.version}, ${v.sessions} sessions, ` +
      `${v.free} of ${v.usable} free for this role; ${apps.join(", ")}`,
    ...waits,
  ];
}

function holderLines(s) {
  const routes = s.routes
    .slice(0, 10)
    .map(
      (r) =>
        `route: ${r.name || "others"}: ${r.in_use} in use, ` +
        `${r.waiting} waiting, held p95 ${r.recent_hold_p95_seconds || r.hold_p95_seconds} s, ` +
        `${r.timed_out_count} timed out, ${r.shed_count} refused`,
    );
  const holders = s.holders
    .slice(0, 10)
    .map(
      (h) =>
        `holder: ${h.held_seconds} s by ${h.caller}${h.name ? ` (${h.name})` : ""}, ${h.activity}, pid ${h.pid || "?"}`,
    );
  return holders.concat(routes);
}

function eventLines(s) {
  return s.events.slice(0, 30).map((e) => `event: ${e.at} ${e.severity}: ${e.message}`);
}

function incidentReport(s) {
  return reportLines(s).join("\n") + "\n";
}

// copy puts a text on the clipboard, or shows it where the browser allows no page
// to do that: only https and this machine itself may.
async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    announce(`Copied ${what}`);
    write("freshness", `Copied ${what}`);
  } catch (error) {
    showReport(
      text,
      `This browser does not let the page copy ${what}. The text is selected: copy it with the keyboard.`,
    );
  }
}

function showReport(text, note) {
  const area = byID("report-text");
  area.value = text;
  write("report-note", note);
  if (!byID("report").open) byID("report").showModal();
  area.select();
}
