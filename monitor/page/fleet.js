// All replicas of the service together. There is nothing to see with DB_FLEET=off.

// needBar shows what the fleet can ask for against what it may have: the longer
// of the two is the whole width, what is too much has a colour of its own.
function needBar(f) {
  const parts = [
    { style: "use", n: Math.min(f.need, f.usable) },
    { style: "over", n: Math.max(f.need - f.usable, 0) },
    { style: "free", n: Math.max(f.usable - f.need, 0) },
  ];
  const bar = shareBar(parts, Math.max(f.need, f.usable));
  bar.setAttribute("aria-label", `${asks(f)} ${f.need}, usable ${f.usable}`);
  return bar;
}

function asks(f) {
  return f.mode === "enforce" ? "needed at least" : "can be asked for";
}

function needLegend(f) {
  const parts = [
    { style: "use", label: asks(f), n: f.need, always: true },
    { style: "free", label: "usable", n: f.usable, always: true },
    { style: "over", label: "too many", n: Math.max(f.need - f.usable, 0) },
  ];
  return shareLegend(parts);
}

function fleetFacts(f) {
  const rows = [
    ["Replicas", number(f.replicas) + (f.surge ? `, and ${number(f.surge)} more while a deploy rolls` : "")],
  ];
  if (f.mode === "enforce") {
    rows.push(
      ["This replica", `has ${number(f.tokens)}, may have ${number(f.share)}`],
      ["Budget", f.fallback ? `divided by number: ${f.fallback}` : "shared by need"],
      ["Kept free", `${number(f.headroom)} for replicas that start`],
    );
  } else {
    rows.push(["Budget", "not enforced; DB_FLEET=enforce shares it by need"]);
  }
  if (f.at) rows.push(["Looked at", span(Math.max(f.age_seconds, 1)) + " ago"]);
  const dl = el("dl", { class: "facts" });
  for (const [k, value] of rows) dl.append(el("dt", {}, k), el("dd", {}, value));
  return dl;
}

function lines(title, texts, style) {
  return [el("h3", {}, title), el("ul", { class: "lines " + style }, ...texts.map((text) => el("li", {}, text)))];
}

function renderFleet(s) {
  const f = s.fleet,
    known = f && f.fits !== undefined;
  byID("fleet").hidden = !f;
  if (!f) return;
  const verdict = byID("fleet-verdict");
  verdict.className = "tag" + (known ? (f.fits ? " good" : " warning") : "");
  write("fleet-verdict", known ? (f.fits ? "fits" : "does not fit") : "not looked at yet");
  byID("fleet-figures").replaceChildren(...(known ? [needBar(f), needLegend(f)] : []), fleetFacts(f));
  byID("fleet-words").replaceChildren(
    ...(f.arithmetic.length ? lines("How that comes about", f.arithmetic, "") : []),
    ...(f.remedies.length ? lines("To make it fit, one of these, or all of the SQL", f.remedies, "remedies") : []),
  );
}
