// The page's life: ask every two seconds, keep 15 minutes, draw.

const pollEvery = 2000,
  keptEntries = { 2: 450, 60: 720 };
const percentileLayers = (what) => [
  { key: what + "_p99_seconds", label: "p99 ≤", style: "line p99" },
  { key: what + "_p95_seconds", label: "p95 ≤", style: "line p95" },
  { key: what + "_p50_seconds", label: "p50 ≤", style: "line p50" },
];
const perSecond = (h, key, i) => h[key][i] / (i > 0 ? h.at_seconds[i] - h.at_seconds[i - 1] : h.step_seconds);

const charts = [
  {
    title: "Connections",
    kind: "stack",
    wide: true,
    latest: (s) => ({
      in_use: s.pool.checked_out,
      idle: s.pool.checked_in,
      dialing: s.pool.dialing,
      closing: s.pool.closing,
      limit: s.pool.limit,
    }),
    line: { key: "limit", label: "limit", style: "line dashed" },
    layers: [
      { key: "in_use", label: "in use", style: "use" },
      { key: "idle", label: "idle", style: "idle" },
      { key: "dialing", label: "opening", style: "dial" },
      { key: "closing", label: "closing", style: "close" },
    ],
  },
  {
    title: "Callers waiting",
    kind: "bars",
    latest: (s) => ({ waiting: s.queue.waiting }),
    layers: [{ key: "waiting", label: "waiting", style: "waiting" }],
  },
  {
    title: "Served and turned away",
    kind: "bars",
    unit: " /s",
    value: perSecond,
    layers: [
      { key: "acquired", label: "served", style: "served" },
      { key: "timed_out", label: "timed out", style: "late" },
      { key: "shed", label: "refused", style: "shed" },
    ],
  },
  { title: "Time to get a connection", kind: "band", layers: percentileLayers("wait") },
  { title: "Time a connection is held", kind: "band", layers: percentileLayers("hold") },
];

const state = {
  history: emptyHistory(),
  next: 0,
  step: 2, // seconds of an entry of the history
  since: "",
  paused: false,
  failures: 0,
  timer: 0,
  seen: null,
  status: "",
};
const cursor = new Cursor(redraw, announce);
const drawn = charts.map((spec) => new Chart(spec, cursor));

function emptyHistory() {
  const columns = [
    "at_seconds",
    "in_use",
    "idle",
    "dialing",
    "closing",
    "limit",
    "waiting",
    "acquired",
    "timed_out",
    "shed",
    "wait_p50_seconds",
    "wait_p95_seconds",
    "wait_p99_seconds",
    "hold_p50_seconds",
    "hold_p95_seconds",
    "hold_p99_seconds",
    "server_used",
  ];
  return Object.assign({ step_seconds: 2 }, Object.fromEntries(columns.map((c) => [c, []])));
}

function announce(words) {
  byID("live").textContent = words;
}

// keep takes new entries in. A gap or another monitor starts over.
function keep(status) {
  const news = status.history,
    began = status.monitoring_since || "";
  if (news.step_seconds !== state.step) return; // an answer that was under way when the span was changed
  if (news.from !== state.next || began !== state.since) {
    state.history = emptyHistory();
    cursor.set(null);
  }
  state.since = began;
  state.next = news.next;
  state.history.step_seconds = news.step_seconds;
  const surplus = Math.max(state.history.at_seconds.length + news.at_seconds.length - keptEntries[state.step], 0);
  for (const [key, column] of Object.entries(state.history)) {
    if (Array.isArray(column)) state.history[key] = column.concat(news[key]).slice(-keptEntries[state.step]);
  }
  cursor.shift(surplus);
  cursor.at = state.history.at_seconds;
}

function redraw() {
  const at = state.history.at_seconds;
  const end = state.seen ? new Date(state.seen.at).getTime() / 1000 : Date.now() / 1000;
  for (const chart of drawn) chart.draw(state.history, end, state.seen);
  write("h-time", "The last " + spanWords(windowFor(state.history, end)[0]));
  write("cursor", cursor.index === null ? "" : clockFormat.format(new Date(at[cursor.index] * 1000)));
}

function show(status) {
  renderHeader(status);
  renderProblems(status);
  renderRack(status);
  renderLocks(status);
  renderTiles(status, state.history);
  renderServer(status);
  renderFleet(status);
  renderLists(status);
  renderTasks(status);
  renderCounts(status);
  const off = status.monitoring === "on" ? "" : `The monitor is ${status.monitoring}: no history is kept.`;
  byID("no-history").hidden = !off;
  byID("charts").hidden = Boolean(off) && status.history.at_seconds.length === 0;
  write("no-history", off);
  write(
    "footer",
    "Times are the service's, in this browser's time zone. “≤” marks the upper bound of the histogram bucket a " +
      `percentile lies in; wait and hold figures are of the last ${minutes(status.queue.window_seconds)}. ` +
      `SQL texts are ${status.queries.text_shown ? "shown without their literals" : "not shown"}.`,
  );
  if (state.status && state.status !== status.health.status) announce("Now " + status.health.status);
  state.status = status.health.status;
}

// renderLists draws what the filter is about.
function renderLists(status) {
  renderEvents(status);
  renderRoutes(status);
  renderStatements(status);
  renderHolders(status);
  renderQueries(status);
}

function minutes(s) {
  return s > 0 ? plural(Math.max(Math.round(s / 60), 1), "minute", "minutes") : "minutes";
}

async function fetchStatus() {
  const answer = await fetch(`${location.pathname}?history=${state.next}&step=${state.step}`, {
    headers: { Accept: "application/json" },
    cache: "no-store",
    credentials: "same-origin",
    signal: AbortSignal.timeout(10000),
  });
  if (!answer.ok) throw new Error(`the service answered ${answer.status}`);
  const status = await answer.json();
  if (status.service !== "dbpool") throw new Error("the answer is not dbpool's");
  return status;
}

async function poll() {
  clearTimeout(state.timer);
  try {
    const status = await fetchStatus();
    state.seen = status;
    state.failures = 0;
    now = new Date(status.at).getTime();
    keep(status);
    show(status);
    redraw();
    online(true);
  } catch (error) {
    state.failures++;
    online(false, error);
  }
  schedule();
}

function schedule() {
  clearTimeout(state.timer);
  if (state.paused || document.hidden) return;
  state.timer = setTimeout(poll, Math.min(pollEvery * 2 ** Math.max(state.failures - 1, 0), 15000));
}

function online(yes, error) {
  document.body.classList.toggle("stale", !yes);
  const box = byID("offline");
  if (!yes)
    write(
      "offline",
      `No answer from the service (${error.message}). ` +
        (state.seen ? `Shown is what it said at ${clock(state.seen.at)}. ` : "") +
        "Trying again …",
    );
  box.hidden = yes;
  if (!yes) silent();
  freshness();
}

// silent takes the verdict back: what was healthy need not be so any more.
function silent() {
  icon("unknown");
  byID("standing").className = "pill unknown";
  write("status", "No answer");
  write("status-since", state.seen ? "since " + clock(state.seen.at) : "");
  if (state.status !== "no answer") announce("The service does not answer");
  state.status = "no answer";
  document.title = "No answer – dbpool";
}

function freshness() {
  if (!state.seen) return;
  write("freshness", state.paused ? "Paused at " + clock(state.seen.at) : "As of " + clock(state.seen.at));
}

byID("charts").append(...drawn.map((chart) => chart.figure));
byID("json").href = location.pathname + "?format=json";
byID("pause").addEventListener("click", () => {
  state.paused = !state.paused;
  byID("pause").setAttribute("aria-pressed", String(state.paused));
  write("pause", state.paused ? "Resume" : "Pause");
  freshness();
  if (!state.paused) poll();
  else schedule();
});
for (const id of ["filter", "severity"]) {
  byID(id).addEventListener("input", () => state.seen && renderLists(state.seen));
}
byID("span").addEventListener("change", () => {
  state.step = Number(byID("span").value);
  state.next = 0;
  state.since = ""; // the other timeline is another history
  poll();
});
byID("incident").addEventListener("click", () => {
  if (state.seen) copy(incidentReport(state.seen), "the incident report");
});
document.addEventListener("visibilitychange", () => (document.hidden ? schedule() : state.paused || poll()));
new ResizeObserver(redraw).observe(byID("charts"));
poll();
