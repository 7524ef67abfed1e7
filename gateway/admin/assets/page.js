"use strict";
// Whatever a request has brought along is text here and nothing else: it is set as textContent, never as markup.

const $ = (id) => document.getElementById(id);
const SPAN = 180; // summaries that the charts hold
const ROWS = 500; // requests that the table holds
const CLASSES = ["2xx", "3xx", "4xx", "5xx", "none"];
const COLOURS = { "2xx": "--good", "3xx": "--accent", "4xx": "--warn", "5xx": "--bad", none: "--other", "1xx": "--muted" };
const QUANTILES = { p50: "--good", p90: "--warn", p99: "--bad" };

const state = {
  view: "live", paused: false, summaries: [], records: [], past: [], seen: 0, selected: -1, watching: null, backoff: 1000,
};

// ---- asking

function token() { return sessionStorage.getItem("token"); }

async function ask(path, options = {}) {
  const headers = { Accept: "application/json" };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401) {
    await login();
    return ask(path, options);
  }
  return response;
}

async function asked(path) {
  const response = await ask(path);
  const told = await response.json();
  if (!response.ok) throw new Error(told.error || `status ${response.status}`);
  return told;
}

let entering = null;
function login() {
  if (!entering) {
    entering = new Promise((done) => {
      const dialog = $("login");
      dialog.addEventListener("close", () => {
        sessionStorage.setItem("token", $("token").value);
        $("token").value = "";
        entering = null;
        done();
      }, { once: true });
      dialog.showModal();
    });
  }
  return entering;
}

// ---- making elements

function element(name, text, kind) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

function drawn(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

// Rows are lists of cells; a cell is a text, or an element.
function table(target, titles, rows, numeric = []) {
  const head = element("tr");
  titles.forEach((title, place) => head.append(element("th", title, numeric.includes(place) ? "number" : "")));
  const body = element("tbody");
  for (const row of rows) {
    const line = element("tr");
    row.forEach((cell, place) => {
      const made = element("td", cell instanceof Node ? null : cell, numeric.includes(place) ? "number" : "");
      if (cell instanceof Node) made.append(cell);
      line.append(made);
    });
    body.append(line);
  }
  const top = element("thead");
  top.append(head);
  target.replaceChildren(top, body);
}

const round = (value) => (value === null || value === undefined ? "–" : value >= 100 ? Math.round(value).toLocaleString() : Number(value.toPrecision(3)).toLocaleString());

// ---- charts

function scaled(svg) {
  const width = svg.clientWidth || 400, height = svg.clientHeight || 110;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  return { width, height: height - 16, top: 12 };
}

function labelled(svg, most, { width, height }) {
  const text = drawn("text", { x: 0, y: 10, "font-size": 10, fill: colour("--muted") });
  text.textContent = round(most);
  svg.append(drawn("line", { x1: 0, x2: width, y1: height + 12, y2: height + 12, stroke: colour("--line") }), text);
}

function stacked(svg, points, parts, length) {
  const size = scaled(svg);
  const total = (point) => parts.reduce((sum, part) => sum + (point[part] || 0), 0);
  const most = Math.max(1e-9, ...points.map(total));
  const step = size.width / Math.max(1, length);
  points.forEach((point, place) => {
    let base = size.height + 12;
    const x = size.width - (points.length - place) * step;
    for (const part of parts) {
      const tall = ((point[part] || 0) / most) * (size.height - 2);
      if (tall <= 0) continue;
      base -= tall;
      svg.append(drawn("rect", { x, y: base, width: Math.max(0.5, step - 0.4), height: tall, fill: colour(COLOURS[part]) }));
    }
  });
  labelled(svg, most, size);
}

function lines(svg, points, parts, length) {
  const size = scaled(svg);
  const most = Math.max(1e-9, ...points.flatMap((point) => Object.keys(parts).map((part) => point[part] || 0)));
  const step = size.width / Math.max(1, length);
  for (const [part, name] of Object.entries(parts)) {
    const path = points.map((point, place) => [size.width - (points.length - place - 0.5) * step, point[part]])
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([x, value], place) => `${place ? "L" : "M"}${x.toFixed(1)} ${(size.height + 12 - (value / most) * (size.height - 2)).toFixed(1)}`).join("");
    svg.append(drawn("path", { d: path, fill: "none", stroke: colour(name), "stroke-width": 1.5 }));
  }
  labelled(svg, most, size);
}

// ---- now

function showSummary(summary) {
  state.summaries.push(summary);
  if (state.summaries.length > SPAN) state.summaries.shift();
  if (state.paused || state.view !== "live") {
    if (state.view === "limits" && !state.paused) showLimits(summary.limits);
    return;
  }
  const classes = summary.classes || {}, quantiles = summary.quantiles || {};
  const cards = [
    ["requests / s", round(summary.requests)], ["in progress", round(summary.active)], ["2xx / s", round(classes["2xx"] || 0)],
    ["4xx / s", round(classes["4xx"] || 0)], ["5xx / s", round(classes["5xx"] || 0)], ["p50 ms", round(quantiles.p50)],
    ["p99 ms", round(quantiles.p99)], ["connections", round(summary.connections)], ["log drops", round(summary.dropped)],
  ];
  $("numbers").replaceChildren(...cards.map(([name, value]) => {
    const card = element("div");
    card.append(element("b", value), element("span", name));
    return card;
  }));
  stacked($("rates"), state.summaries.map((each) => each.classes || {}), CLASSES, SPAN);
  lines($("latency"), state.summaries.map((each) => each.quantiles || {}), QUANTILES, SPAN);
  table($("refusals"), ["Filter", "Reason", "/ s"], [
    ...(summary.refusals || []).map((each) => [each.filter, asking(`filter = '${quote(each.filter)}' and reason = '${quote(each.reason)}'`, each.reason), round(each.rate)]),
    ...(summary.shadow || []).map((each) => [`${each.filter} (shadow)`, each.reason, round(each.rate)]),
  ], [2]);
  table($("routes"), ["Route", "/ s"], Object.entries(summary.routes || {}).map(([name, rate]) => [name || "(none)", round(rate)]), [1]);
  const endpoints = [];
  for (const [name, workers] of Object.entries(summary.upstreams || {})) {
    for (const [worker, standing] of Object.entries(workers)) {
      for (const each of standing.endpoints || []) {
        endpoints.push([name, each.address || each.url || "", element("span", each.state, each.state === "healthy" || each.state === "up" || each.state === "unknown" ? "good" : "bad"), worker]);
      }
    }
  }
  table($("upstreams"), ["Upstream", "Endpoint", "State", "Worker"], endpoints);
  table($("workers"), ["Worker", "PID", "Memory", "Requests", "Restarts"], (summary.workers || []).map((each) => [
    each.slot, each.pid, each.memory_bytes ? `${Math.round(each.memory_bytes / 1048576)} MiB` : "–", each.requests ?? "–", each.restarts ?? 0,
  ]), [1, 2, 3, 4]);
}

const quote = (text) => String(text).replaceAll("'", "''");

// A button that asks for records.
function asking(query, text) {
  const button = element("button", text);
  button.type = "button";
  button.addEventListener("click", () => { $("query").value = query; changed(); });
  return button;
}

function showLimits(buckets) {
  table($("buckets"), ["Use", "Limit", "Key", "Rate", "Left", "Next", "Consumers", "Source"], (buckets || []).map((each) => [
    element("span", `${Math.round(each.use * 100)} %`, each.wait !== 0 ? "bad" : each.use >= 0.8 ? "warn" : ""),
    `${each.filter}: ${each.limit}`,
    Object.entries(each.key).map(([name, value]) => `${name}=${value}`).join(" ") || "(everybody)",
    `${each.value}/${each.unit.toLowerCase()}`, `${each.remaining}/${each.capacity}`, each.value ? each.wait ? `in ${each.wait} s` : "now" : "never: blocked",
    each.consumers.map((consumer) => `${consumer.id} ${consumer.count}`).join(", "), each.source,
  ]), [0, 3, 4]);
}

function showRecords(records, whole = false) {
  if (whole) state.records = records;
  else state.records = [...records.reverse(), ...state.records].slice(0, ROWS);
  const body = element("tbody");
  for (const [place, record] of state.records.entries()) {
    const row = element("tr");
    const status = record.status ?? 0;
    const cells = [
      String(record.time || "").slice(11, 23), record.method, record.path ?? record.template,
      element("span", status || "–", `s${String(status)[0]}`), record.filter ? `${record.filter}: ${record.reason}` : record.reason,
      record.project_id, record.duration === undefined || record.duration === null ? "" : Number(record.duration).toFixed(1), record.request_id,
    ];
    cells.forEach((cell, column) => {
      const made = element("td", cell instanceof Node ? null : cell, column === 6 ? "number" : "");
      if (cell instanceof Node) made.append(cell);
      row.append(made);
    });
    row.setAttribute("aria-selected", place === state.selected ? "true" : "false");
    row.addEventListener("click", () => open(place));
    body.append(row);
  }
  const head = element("tr");
  ["Time", "Method", "Path", "Status", "Decision", "Project", "ms", "Request"].forEach((title, column) => head.append(element("th", title, column === 6 ? "number" : "")));
  const top = element("thead");
  top.append(head);
  $("records").replaceChildren(top, body);
}

// ---- watching

async function watch() {
  if (state.watching) state.watching.abort();
  const abort = state.watching = new AbortController();
  try {
    const response = await ask(`/live?query=${encodeURIComponent($("query").value)}`, { signal: abort.signal });
    if (!response.ok) {
      wrong((await response.json()).error);
      return;
    }
    wrong(null);
    told("live", true);
    state.backoff = 1000;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      text += value;
      const events = text.split("\n\n");
      text = events.pop();
      for (const event of events) heard(event);
    }
  } catch (error) {
    if (abort.signal.aborted) return;
  }
  if (state.watching !== abort) return;
  told("not connected", false);
  setTimeout(() => { if (state.watching === abort) watch(); }, state.backoff);
  state.backoff = Math.min(15000, state.backoff * 2);
}

function heard(event) {
  const name = /^event: (.*)$/m.exec(event), data = /^data: (.*)$/m.exec(event);
  if (!name || !data) return;
  const value = JSON.parse(data[1]);
  if (name[1] === "summary") showSummary(value);
  else if (name[1] === "records" && !state.paused && state.view === "live") showRecords(value.records);
}

function told(text, good) {
  $("state").textContent = text;
  $("state").className = good ? "good" : "bad";
}

function wrong(message) {
  $("wrong").hidden = !message;
  $("wrong").textContent = message || "";
  $("query").setAttribute("aria-invalid", message ? "true" : "false");
}

// ---- what has been

async function past() {
  const parts = new URLSearchParams({ query: $("query").value });
  if ($("since").value) parts.set("since", $("since").value);
  if ($("until").value) parts.set("until", $("until").value);
  const span = seconds($("since").value);
  try {
    const every = Math.max(1, Math.ceil(span / 120));
    const [records, series, top] = await Promise.all([
      asked(`/records?${parts}`), asked(`/records/series?${parts}&every=${every}`), asked(`/records/top?${parts}&by=${encodeURIComponent($("by").value)}`),
    ]);
    wrong(null);
    if (state.view !== "past") return;
    state.selected = -1;
    showRecords(records, true);
    const points = series.map((each) => ({ ...each, "2xx": each.ok }));
    stacked($("past-rates"), points, CLASSES, Math.max(points.length, 1));
    lines($("past-latency"), points, QUANTILES, Math.max(points.length, 1));
    table($("top"), [$("by").value, "Requests", "OK", "4xx", "5xx", "Refused", "p50", "p99"], top.map((each) => [
      each[$("by").value] === null ? "(none)" : asking(`${$("by").value} = '${quote(each[$("by").value])}'`, String(each[$("by").value])),
      each.requests, each.ok, each["4xx"], each["5xx"], each.refused, round(each.p50), round(each.p99),
    ]), [1, 2, 3, 4, 5, 6, 7]);
  } catch (error) {
    wrong(error.message);
  }
}

function seconds(text) {
  const units = { s: 1, m: 60, h: 3600, d: 86400 };
  let sum = 0;
  for (const [, number, unit] of text.matchAll(/(\d+(?:\.\d+)?)([smhd])/g)) sum += number * units[unit];
  return sum || 86400;
}

// ---- one request

async function open(place) {
  const record = state.records[place];
  if (!record) return;
  state.selected = place;
  [...$("records").querySelectorAll("tbody tr")].forEach((row, number) => row.setAttribute("aria-selected", number === place ? "true" : "false"));
  $("detail").hidden = false;
  $("detail-title").textContent = record.request_id;
  $("detail-decision").textContent = "…";
  for (const id of ["waterfall", "steps"]) $(id).replaceChildren();
  $("source").hidden = $("again").hidden = true;
  $("raw").textContent = "";
  let whole;
  try {
    whole = await asked(`/records/${encodeURIComponent(record.request_id)}`);
  } catch (error) {
    // Not in a file: what the list has is all there is.
    $("detail-decision").textContent = `${record.decision}: ${record.reason} (${error.message})`;
    $("raw").textContent = JSON.stringify(record, null, 2);
    if (record.source) showSource(record.source);
    return;
  }
  if (state.records[state.selected]?.request_id !== record.request_id) return;
  show(whole);
}

function show(record) {
  const by = record["gateway.filter"] ? `${record["gateway.filter"]}: ` : "";
  $("detail-decision").textContent = [
    record["http.request.method"], record["url.path"] ?? record["http.route"], "→", record["http.response.status_code"] ?? "no answer",
    `· ${record["gateway.decision"]} · ${by}${record["gateway.reason"]}`, `· ${record["gateway.duration_ms"]} ms`,
  ].join(" ");
  const again = $("again");
  again.hidden = record["url.path"] === undefined;
  again.onclick = () => explainLike(record);
  waterfall(record);
  table($("steps"), ["Filter", "Verdict", "Reason", "ms", "Source"], (record["gateway.filters"] || []).map((step) => [
    step.shadow ? `${step.name} (shadow)` : step.name, element("span", step.status ? `${step.verdict} ${step.status}` : step.verdict, step.verdict === "pass" || step.verdict === "skip" ? "" : "warn"),
    step.reason, step.ms, sourced(step.source),
  ]), [3]);
  $("raw").textContent = JSON.stringify(record, null, 2);
  const source = record["gateway.source"] || (record["gateway.filters"] || []).map((step) => step.source).pop();
  if (source) showSource(source);
}

function sourced(source) {
  if (!source) return "";
  const button = element("button", source);
  button.type = "button";
  button.addEventListener("click", () => showSource(source));
  return button;
}

function waterfall(record) {
  const svg = $("waterfall");
  const bars = [];
  let at = 0;
  const steps = record["gateway.filters"] || [];
  const inward = steps.filter((step) => step.phase !== "response"), outward = steps.filter((step) => step.phase === "response");
  for (const step of inward) { bars.push([step.shadow ? `${step.name} (shadow)` : step.name, at, step.ms || 0, step.verdict]); if (!step.shadow) at += step.ms || 0; }
  if (record["gateway.queue_ms"]) { bars.push(["waits for its turn", at, record["gateway.queue_ms"], "queue"]); at += record["gateway.queue_ms"]; }
  for (const attempt of record["gateway.upstream.attempts"] || []) {
    bars.push([`${attempt.upstream} ${attempt.error || attempt.status || ""}`, at, attempt.total_ms || 0, attempt.error ? "error" : "upstream"]);
    at += attempt.total_ms || 0;
  }
  for (const step of outward) { bars.push([step.name, at, step.ms || 0, step.verdict]); at += step.ms || 0; }
  const total = Math.max(at, record["gateway.duration_ms"] || 0, 1e-6), width = 680, label = 210, high = 18;
  svg.setAttribute("viewBox", `0 0 ${width} ${bars.length * high + 4}`);
  svg.replaceChildren();
  bars.forEach(([name, begin, span, verdict], place) => {
    const fill = { pass: "--good", skip: "--muted", upstream: "--accent", queue: "--other" }[verdict] || "--bad";
    const text = drawn("text", { x: 0, y: place * high + 13, "font-size": 11, fill: colour("--ink") });
    text.textContent = name.slice(0, 34);
    const x = label + (begin / total) * (width - label - 70);
    const long = Math.max(2, (span / total) * (width - label - 70));
    const time = drawn("text", { x: x + long + 4, y: place * high + 13, "font-size": 10, fill: colour("--muted") });
    time.textContent = `${round(span)} ms`;
    svg.append(text, drawn("rect", { x, y: place * high + 3, width: long, height: high - 6, rx: 2, fill: colour(fill) }), time);
  });
}

async function showSource(source) {
  const line = Number(source.split(":").at(-2));
  if (!line) return;
  try {
    const told = await asked(`/source?line=${line}`);
    const box = $("source");
    box.querySelector("h3").textContent = source;
    box.querySelector("pre").replaceChildren(...told.lines.map((each) => element("span", `${String(each.line).padStart(4)}  ${each.text}\n`, each.line === line ? "here" : "")));
    box.hidden = false;
  } catch (error) {
    $("source").hidden = true;
  }
}

// A filter beside its line of the configuration.
function inspect(entry) {
  $("detail").hidden = false;
  $("detail-title").textContent = entry.name;
  $("detail-decision").textContent = entry.source;
  $("again").hidden = true;
  for (const id of ["waterfall", "steps"]) $(id).replaceChildren();
  $("raw").textContent = JSON.stringify(entry, null, 2);
  showSource(entry.source);
}

// ---- what would become of a request

function supposed() {
  const given = { request: $("asked-request").value.trim(), headers: {} };
  for (const line of $("asked-headers").value.split("\n").filter((each) => each.trim())) {
    const [, name, value] = /^([^:]+):\s*(.*)$/.exec(line.trim()) || [];
    if (!name) throw new Error(`Expected Name: value, got ${line}`);
    (given.headers[name] ||= []).push(value);
  }
  if ($("asked-body").value) given.body = $("asked-body").value;
  if ($("asked-identity").value.trim()) given.identity = $("asked-identity").value.trim();
  if ($("asked-client").value.trim()) given.client = $("asked-client").value.trim();
  if ($("asked-answer").value) given.upstream = { status: Number($("asked-answer").value) };
  if ($("asked-counters").value.trim()) {
    given.counters = {};
    for (const part of $("asked-counters").value.trim().split(/[\s,]+/)) {
      const [, name, count] = /^(.+)=(\d+)$/.exec(part) || [];
      if (!name) throw new Error(`Expected LIMIT=N, got ${part}`);
      given.counters[name] = Number(count);
    }
  }
  return given;
}

async function explain() {
  const wrong = $("asked-wrong");
  wrong.hidden = true;
  $("explained").hidden = true;
  try {
    const response = await ask("/explain", { method: "POST", body: JSON.stringify(supposed()) });
    const outcome = await response.json();
    if (!response.ok) throw new Error(outcome.error || `status ${response.status}`);
    showExplained(outcome);
  } catch (error) {
    wrong.textContent = error.message;
    wrong.hidden = false;
  }
}

function showExplained(outcome) {
  const [verdict, ...rest] = outcome.text;
  $("explained-verdict").textContent = verdict.text;
  $("explained-verdict").className = verdict.style;
  table($("explained-steps"), ["Filter", "Verdict", "Because", "Changes", "Source"], outcome.filters.map((step) => {
    const source = element("button", step.source);
    source.type = "button";
    source.addEventListener("click", () => inspect(step));
    return [
      [step.name, step.phase === "response" ? "on the answer" : "", step.mode === "shadow" ? "in shadow" : ""].filter(Boolean).join(", "),
      element("span", step.status ? `${step.verdict} ${step.status}` : step.verdict, { pass: "good", skip: "dim", undecidable: "doubtful" }[step.verdict] || "warn"),
      step.because || step.reason || step.supposed, step.changes.map((change) => `${change.name}: ${change.value}`).join("; "), source,
    ];
  }));
  $("explained-text").replaceChildren(...rest.map((each) => element("span", `${each.text}\n`, each.style)));
  $("explained").hidden = false;
}

// Who asked and for what, as far as a record tells: tokens and bodies are none of it.
function explainLike(record) {
  const query = record["url.query"] ? `?${record["url.query"]}` : "";
  $("asked-request").value = `${record["http.request.method"]} ${record["url.path"]}${query}`;
  const roles = record["user.roles"] || [];
  $("asked-identity").value = record["user.id"] ? [`user=${record["user.id"]}`, record["gateway.project.id"] ? `project=${record["gateway.project.id"]}` : "", roles.length ? `roles=${roles.join(",")}` : ""].filter(Boolean).join(",") : "";
  $("asked-client").value = record["client.address"] || "";
  $("asked-headers").value = $("asked-body").value = $("asked-counters").value = $("asked-answer").value = "";
  $("detail").hidden = true;
  view("explain");
  explain();
}

// ---- what is in force

async function plan() {
  try {
    const told = await asked("/plan");
    const entry = (each) => {
      const made = element("li", null, each.mode === "shadow" ? "shadow" : "");
      const name = element("button", each.name);
      name.type = "button";
      name.addEventListener("click", () => inspect(each));
      const hits = told.hits[each.name] || {};
      made.append(name, element("small", [each.type === each.name ? "" : each.type, each.mode === "enforce" ? "" : each.mode, each.conditional ? "conditional" : "", ...Object.entries(hits).map(([verdict, count]) => `${verdict} ${count.toLocaleString()}`)].filter(Boolean).join(" · ")));
      return made;
    };
    $("chain").replaceChildren(...told.filters.map(entry));
    $("plan-routes").replaceChildren(...told.routes.map((route) => {
      const box = element("div");
      box.append(element("h3", `${route.name}  ${route.methods ? route.methods.join(" ") : ""} ${route.host || ""}${route.path} → ${route.upstream}`));
      const chain = element("ol", null, "chain");
      chain.append(...route.filters.map(entry));
      box.append(chain);
      return box;
    }));
  } catch (error) {
    told(error.message, false);
  }
}

// ---- views and keys

function view(name) {
  state.view = name;
  for (const tab of document.querySelectorAll("[role=tab]")) tab.setAttribute("aria-selected", tab.dataset.view === name ? "true" : "false");
  for (const panel of document.querySelectorAll("[data-panel]")) panel.hidden = !panel.dataset.panel.split(" ").includes(name);
  state.records = [];
  state.selected = -1;
  showRecords([], true);
  if (name === "past") past();
  if (name === "plan") plan();
  if (name === "live") watch();
  if (name === "limits" && state.summaries.length) showLimits(state.summaries.at(-1).limits);
}

let typing = null;
function changed() {
  clearTimeout(typing);
  typing = setTimeout(() => {
    state.records = [];
    if (state.view === "past") past();
    else { showRecords([], true); watch(); }
  }, 250);
}

function select(step) {
  const place = Math.min(state.records.length - 1, Math.max(0, state.selected + step));
  if (place === state.selected || place < 0) return;
  if (!$("detail").hidden) { open(place); return; }
  state.selected = place;
  const rows = [...$("records").querySelectorAll("tbody tr")];
  rows.forEach((row, number) => row.setAttribute("aria-selected", number === place ? "true" : "false"));
  rows[place]?.scrollIntoView({ block: "nearest" });
}

function pause() {
  state.paused = !state.paused;
  $("pause").setAttribute("aria-pressed", state.paused ? "true" : "false");
  $("pause").textContent = state.paused ? "Go on" : "Pause";
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const editing = event.target.matches("input, select, textarea");
  if (event.key === "Escape") { if (!$("detail").hidden) $("detail").hidden = true; else if (editing) event.target.blur(); return; }
  if (editing) return;
  const views = { 1: "live", 2: "past", 3: "limits", 4: "plan", 5: "explain" };
  if (views[event.key]) view(views[event.key]);
  else if (event.key === "/") { event.preventDefault(); $("query").focus(); }
  else if (event.key === "p") pause();
  else if (event.key === "j") select(1);
  else if (event.key === "k") select(-1);
  else if (event.key === "Enter" && !event.target.matches("button")) open(Math.max(0, state.selected));
  else if (event.key === "?") $("keys").showModal();
});
for (const tab of document.querySelectorAll("[role=tab]")) tab.addEventListener("click", () => view(tab.dataset.view));
$("query").addEventListener("input", changed);
$("query-form").addEventListener("submit", (event) => { event.preventDefault(); changed(); });
$("period").addEventListener("submit", (event) => { event.preventDefault(); past(); });
$("asked").addEventListener("submit", (event) => { event.preventDefault(); explain(); });
$("pause").addEventListener("click", pause);
$("close").addEventListener("click", () => { $("detail").hidden = true; });
$("help").addEventListener("click", () => $("keys").showModal());
$("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
});
for (const name of ["reason", "filter", "project_id", "user_id", "route", "client", "status", "method", "upstream"]) {
  const option = element("option", name);
  option.value = name;
  $("by").append(option);
}
view("live");
