// Small charts over the last minutes, drawn as SVG. All share one cursor: what
// the legends say at it, the pointer and the arrow keys move it.

// windows are how many seconds the charts can span, and between their labels: as
// few as hold the history, so that a young service does not show an empty page.
const windows = [
  [180, 60],
  [300, 60],
  [600, 120],
  [900, 180],
];
const longWindows = [
  [3600, 600],
  [10800, 1800],
  [21600, 3600],
  [43200, 7200],
];

function windowFor(history, end) {
  const age = history.at_seconds.length ? end - history.at_seconds[0] + history.step_seconds : 0;
  const all = history.step_seconds > 2 ? longWindows : windows;
  return all.find(([span]) => age <= span) || all[all.length - 1];
}

function spanWords(seconds) {
  return seconds < 3600 ? `${seconds / 60} minutes` : plural(seconds / 3600, "hour", "hours");
}

const margin = { top: 8, right: 0, bottom: 20, left: 52 };

function svg(name, attributes) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes || {})) e.setAttribute(key, value);
  return e;
}

// linear goes from 0 to a little above the highest value, with three to five
// lines at round numbers.
function linear(highest) {
  const top = Math.max(highest, 3) * 1.06;
  const power = 10 ** Math.floor(Math.log10(top / 3));
  const step = [1, 2, 5, 10].map((s) => s * power).find((s) => top / s < 5.5);
  const ticks = [];
  for (let v = 0; v <= top; v += step) ticks.push([v, number(v)]);
  return { share: (v) => v / top, ticks };
}

// logarithmic goes over whole powers of ten, from 100 µs or less to 100 ms or more.
function logarithmic(highest, lowest) {
  const low = Math.floor(Math.log10(Math.min(lowest || 0.001, 0.001)));
  const high = Math.max(Math.ceil(Math.log10(Math.max(highest, 0.0001)) - 1e-9), low + 2);
  const ticks = [];
  for (let p = low; p <= high; p++)
    ticks.push([10 ** p, p > 1 ? number(10 ** p) + "\u00a0s" : span(Number((10 ** p).toPrecision(1)))]);
  return { share: (v) => (Math.log10(v) - low) / (high - low), ticks };
}

// Chart draws one figure of its spec:
//   title, unit, kind ("stack", "bars" or "band"), layers [{key, label, style}],
//   line {key, label}, wide, value(history, key, i),
//   latest(status), which are the figures of this moment by key: the history's
//   entries are of the busiest moment in each step
class Chart {
  constructor(spec, cursor) {
    this.spec = spec;
    this.cursor = cursor;
    this.width = this.height = this.window = this.labelEvery = 0; // of the last drawing
    this.svg = svg("svg", { class: "chart", tabindex: "0", role: "img" });
    this.readouts = new Map();
    const legend = el("ul", { class: "legend" });
    for (const item of this.items()) {
      const value = el("b", {}, "–");
      this.readouts.set(item.key, value);
      legend.append(
        el("li", {}, el("span", { class: "key " + item.style, "aria-hidden": "true" }), item.label + " ", value),
      );
    }
    this.figure = el(
      "figure",
      { class: spec.wide ? "wide" : undefined },
      el("figcaption", {}, el("h3", {}, spec.title), legend),
      this.svg,
    );
    this.listen();
  }

  items() {
    return this.spec.line ? [...this.spec.layers, this.spec.line] : this.spec.layers;
  }

  listen() {
    this.svg.addEventListener("pointermove", (e) => {
      const box = this.svg.getBoundingClientRect();
      this.cursor.move(this.timeAt(e.clientX - box.left));
    });
    this.svg.addEventListener("pointerleave", () => this.cursor.move(null));
    this.svg.addEventListener("blur", () => this.cursor.move(null));
    this.svg.addEventListener("keydown", (e) => {
      if (this.cursor.key(e.key)) {
        e.preventDefault();
        this.cursor.announce(this.spec.title + ", " + this.describe(this.cursor.index));
      }
    });
  }

  timeAt(x) {
    const width = this.width - margin.left - margin.right;
    return this.end - this.window * (1 - (x - margin.left) / width);
  }

  x(t) {
    const width = this.width - margin.left - margin.right;
    return margin.left + width * (1 - (this.end - t) / this.window);
  }

  y(v) {
    const height = this.height - margin.top - margin.bottom;
    return margin.top + height * (1 - Math.min(Math.max(this.scale.share(v), 0), 1));
  }

  value(key, i) {
    return this.spec.value ? this.spec.value(this.history, key, i) : this.history[key][i];
  }

  draw(history, end, status) {
    this.history = history;
    this.latest = status && this.spec.latest ? this.spec.latest(status) : null;
    this.end = end;
    [this.window, this.labelEvery] = windowFor(history, end);
    const box = this.svg.getBoundingClientRect();
    if (box.width === 0) return;
    [this.width, this.height] = [box.width, box.height];
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.scale = this.makeScale();
    this.svg.replaceChildren(...this.axes(), ...this.marks(), ...this.cursorLine());
    this.read();
  }

  // indexes are the entries inside the window; the first may lie a little before it.
  indexes() {
    const at = this.history.at_seconds;
    let first = 0;
    while (first < at.length && at[first] < this.end - this.window) first++;
    return { first, last: at.length - 1 };
  }

  makeScale() {
    const { first, last } = this.indexes();
    let highest = 0,
      lowest = Infinity;
    for (let i = first; i <= last; i++) {
      const values = this.items().map((item) => this.value(item.key, i));
      const sum = this.spec.layers.reduce((total, l) => total + this.value(l.key, i), 0);
      highest = Math.max(highest, this.spec.kind === "band" ? 0 : sum, ...values);
      lowest = Math.min(lowest, ...values.filter((v) => v > 0));
    }
    return this.spec.kind === "band" ? logarithmic(highest, lowest) : linear(highest);
  }

  axes() {
    const out = [],
      right = this.width - margin.right,
      bottom = this.height - margin.bottom;
    const start = this.history.at_seconds[0];
    const known = start === undefined ? right : Math.min(Math.max(this.x(start), margin.left), right);
    if (known > margin.left + 1) {
      out.push(
        svg("rect", {
          class: "void",
          x: margin.left,
          y: margin.top,
          width: known - margin.left,
          height: bottom - margin.top,
        }),
      );
    }
    for (const [value, label] of this.scale.ticks) {
      const y = Math.round(this.y(value)) + 0.5;
      out.push(svg("line", { class: y >= bottom ? "base" : "grid", x1: margin.left, x2: right, y1: y, y2: y }));
      out.push(this.text(label, margin.left - 8, y + 4, "end"));
    }
    const every = this.labelEvery;
    for (let t = Math.ceil((this.end - this.window) / every) * every; t <= this.end; t += every) {
      const x = this.x(t);
      if (x < margin.left + 14 || x > right - 14) continue;
      out.push(this.text(minuteFormat.format(new Date(t * 1000)), x, this.height - 4, "middle"));
    }
    return out;
  }

  text(words, x, y, anchor) {
    const t = svg("text", { x, y, "text-anchor": anchor, "aria-hidden": "true" });
    t.textContent = words;
    return t;
  }

  marks() {
    if (this.history.at_seconds.length === 0) return [];
    if (this.spec.kind === "stack") return [...this.areas(), this.stepLine(this.spec.line.key, "line limit")];
    if (this.spec.kind === "bars") return this.areas();
    return this.band();
  }

  // areas stacks the layers as steps: each entry covers the time up to its end.
  areas() {
    const { first, last } = this.indexes(),
      step = this.history.step_seconds;
    const base = new Array(last + 1).fill(0);
    return this.spec.layers.map((layer) => {
      let path = "";
      for (let i = first; i <= last; i++) {
        const value = this.value(layer.key, i);
        if (value <= 0) continue;
        const t = this.history.at_seconds[i];
        const left = Math.max(this.x(t - step), margin.left).toFixed(1),
          right = (this.x(t) + 0.3).toFixed(1);
        const top = this.y(base[i] + value).toFixed(1),
          bottom = this.y(base[i]).toFixed(1);
        path += `M${left} ${bottom}V${top}H${right}V${bottom}Z`;
        base[i] += value;
      }
      return svg("path", { class: layer.style, d: path });
    });
  }

  // stepLine leaves a gap where nothing was observed.
  stepLine(key, style) {
    const { first, last } = this.indexes(),
      step = this.history.step_seconds;
    let path = "",
      open = false;
    for (let i = first; i <= last; i++) {
      const value = this.value(key, i),
        t = this.history.at_seconds[i];
      if (value <= 0) {
        open = false;
        continue;
      }
      const y = this.y(value).toFixed(1),
        left = Math.max(this.x(t - step), margin.left).toFixed(1);
      path += open ? `V${y}H${this.x(t).toFixed(1)}` : `M${left} ${y}H${this.x(t).toFixed(1)}`;
      open = true;
    }
    return svg("path", { class: style, d: path });
  }

  // band shades from the lowest to the highest percentile and draws each.
  band() {
    const { first, last } = this.indexes(),
      step = this.history.step_seconds;
    const keys = this.spec.layers.map((l) => l.key);
    let path = "";
    for (let i = first; i <= last; i++) {
      const low = this.value(keys[keys.length - 1], i),
        high = this.value(keys[0], i),
        t = this.history.at_seconds[i];
      if (high <= 0) continue;
      const left = Math.max(this.x(t - step), margin.left).toFixed(1),
        right = this.x(t).toFixed(1);
      path += `M${left} ${this.y(low).toFixed(1)}V${this.y(high).toFixed(1)}H${right}V${this.y(low).toFixed(1)}Z`;
    }
    const lines = this.spec.layers.map((l) => this.stepLine(l.key, "line " + l.style.split(" ").pop()));
    return [svg("path", { class: "band", d: path }), ...lines.reverse()];
  }

  cursorLine() {
    const i = this.cursor.index;
    if (i === null || i >= this.history.at_seconds.length) return [];
    const x = this.x(this.history.at_seconds[i]).toFixed(1);
    return [svg("line", { class: "cursor", x1: x, x2: x, y1: margin.top, y2: this.height - margin.bottom })];
  }

  // show prints a value of entry i, or, where i is null, the latest there is.
  show(item, i) {
    if (i === null && this.latest) return number(this.latest[item.key]);
    const at = i === null ? this.history.at_seconds.length - 1 : i;
    const v = at < 0 ? undefined : this.value(item.key, at);
    if (v === undefined || Number.isNaN(v)) return "–";
    if (this.spec.kind === "band") return v > 0 ? span(v) : "–";
    return number(v) + (this.spec.unit || "");
  }

  // read writes the values at the cursor, or the latest, into the legend.
  read() {
    const n = this.history.at_seconds.length;
    const i = this.cursor.index === null ? null : Math.min(this.cursor.index, n - 1);
    for (const item of this.items()) {
      const text = this.show(item, i),
        at = this.readouts.get(item.key);
      if (at.textContent !== text) at.textContent = text;
    }
    this.svg.setAttribute(
      "aria-label",
      `${this.spec.title}, chart of the last ${spanWords(this.window)}. ` +
        `${n ? "Latest: " + this.describe(null) : "No data yet"}. Arrow keys move through time.`,
    );
  }

  describe(i) {
    return this.items()
      .map((item) => item.label + " " + this.show(item, i))
      .join(", ");
  }
}

// Cursor is the moment that all charts point at; index is null when none.
class Cursor {
  constructor(changed, announce) {
    this.index = null;
    this.at = [];
    this.changed = changed;
    this.announce = (words) => announce(clockFormat.format(new Date(this.at[this.index] * 1000)) + ": " + words);
  }

  set(index) {
    if (index === this.index) return;
    this.index = index;
    this.changed();
  }

  move(t) {
    if (t === null || this.at.length === 0) return this.set(null);
    let nearest = 0;
    for (let i = 1; i < this.at.length; i++) {
      if (Math.abs(this.at[i] - t) < Math.abs(this.at[nearest] - t)) nearest = i;
    }
    this.set(nearest);
  }

  // key moves by one entry, or a minute with Page Up and Down; true when it did.
  key(name) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -Infinity, End: Infinity };
    if (name === "Escape") {
      this.set(null);
      return false;
    }
    if (!(name in steps) || this.at.length === 0) return false;
    const from = this.index === null ? this.at.length : this.index;
    this.set(Math.min(Math.max(from + steps[name], 0), this.at.length - 1));
    return true;
  }

  // shift keeps pointing at the same moment when n old entries went.
  shift(n) {
    if (this.index !== null) this.index = Math.max(this.index - n, 0);
  }
}
