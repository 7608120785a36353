"use strict";

// The page: requests the system's state in intervals, and shows it.

const POLL_MS = 1000;
const POLL_WHEN_LOST_MS = 2000;
const SHOWN_INVOCATIONS = 100;
const SHOWN_ITEMS = 200;
const SHOWN_COLUMNS = 8;
const KEYS = ["coupon", "member", "entry"]; // The key columns of the tables.

const PURPOSES = {
  "aghanim-coupon-redeemed": "A player of a game redeemed a code.",
  "zupy-coupon-redeemed": "A customer turned points into a coupon.",
  "zupy-coupon-used": "A customer used a coupon at a store.",
  "zupy": "Any event of Zupy, which lets a company register only one URL.",
  "reports": "The counted figures, as JSON and as CSV, for callers with a token.",
};

// ---- Routes ----

function showRoutes(routes) {
  const list = byId("routes");
  showOrEmpty(list, routes.length === 0);
  follow(list, routes, (route) => `${route.method} ${route.path}`, createRoute, updateRoute);
}

function createRoute(route) {
  const method = element("span", { className: "mark", textContent: route.method });
  const path = element("code", { className: "path", textContent: route.path });
  const name = element("span", { className: "quiet function" });
  const purpose = element("p", { className: "purpose", textContent: route.description ?? PURPOSES[route.function] ?? "" });
  const card = element("article", { className: "route" }, element("div", { className: "line" }, method, path, name), purpose);
  card.append(element("div", { className: "actions" }), element("pre", { className: "curl", hidden: true }));
  card.append(element("div", { className: "answer", hidden: true, role: "status" }));
  if (route.example) addActions(card, route);
  return card;
}

function addActions(card, { method, path }) {
  const where = `${method} ${path}`;
  const curl = card.querySelector(".curl");
  const sendIt = element("button", { className: "button main", type: "button", textContent: "Send", "aria-label": `Send the example of ${where}` });
  sendIt.addEventListener("click", () => send(card, sendIt));
  const copyIt = element("button", { className: "button", type: "button", textContent: "Copy curl", "aria-label": `Copy the curl command for ${where}` });
  copyIt.addEventListener("click", () => copy(card.route.example.curl, copyIt));
  const show = element("button", { className: "button", type: "button", textContent: "Show curl", "aria-label": `Show the curl command for ${where}`, "aria-expanded": "false" });
  show.addEventListener("click", () => {
    curl.hidden = !curl.hidden;
    show.textContent = curl.hidden ? "Show curl" : "Hide curl";
    show.setAttribute("aria-expanded", String(!curl.hidden));
  });
  card.querySelector(".actions").append(sendIt, copyIt, show);
}

function updateRoute(card, route) {
  card.route = route;
  setText(card.querySelector(".function"), route.function);
  if (route.example) setText(card.querySelector(".curl"), route.example.curl);
}

async function send(card, button) {
  const { method, example } = card.route;
  const answer = card.querySelector(".answer");
  button.disabled = true;
  const start = performance.now();
  try {
    const response = await fetch(example.path, { method, headers: example.headers, body: example.body || undefined, cache: "no-store" });
    const body = await response.text();
    const took = (performance.now() - start).toFixed(0);
    const status = element("strong", { textContent: `${response.status} ${response.statusText}`.trim() });
    const line = element("p", {}, status, element("span", { className: "quiet", textContent: ` in ${took} ms, at ${time(Date.now())}` }));
    answer.className = `answer ${response.ok ? "good" : "bad"}`;
    answer.replaceChildren(line, element("pre", { textContent: prettyJson(body) }));
  } catch {
    answer.className = "answer bad";
    answer.replaceChildren(element("p", { textContent: "No answer: the system is not running, or it stopped meanwhile." }));
  }
  answer.hidden = false;
  button.disabled = false;
  poll();
}

// ---- Queues ----

const isDeadLetter = (name) => /dead-letter$|dlq$/i.test(name);

function showQueues(queues) {
  const list = byId("queues");
  const all = Object.entries(queues);
  showOrEmpty(list, all.length === 0);
  list.closest("table").hidden = all.length === 0;
  follow(list, all, ([name]) => name, createQueue, updateQueue);
}

function createQueue([name]) {
  const cell = element("td", {}, element("span", { textContent: name }));
  if (isDeadLetter(name)) cell.append(" ", element("span", { className: "mark", textContent: "dead letters" }));
  const numbers = [1, 2, 3].map(() => element("td", { className: "number" }));
  return element("tr", {}, cell, ...numbers);
}

function updateQueue(row, [name, counts]) {
  const numbers = [counts.visible, counts.in_flight, counts.delayed];
  numbers.forEach((number, index) => {
    const cell = row.children[index + 1];
    setText(cell, String(number));
    cell.classList.toggle("zero", number === 0);
  });
  const alarm = isDeadLetter(name) && numbers.some((number) => number > 0);
  row.classList.toggle("alarm", alarm);
  row.querySelector(".mark")?.classList.toggle("bad", alarm);
}

// ---- Invocations ----

function showInvocations(invocations) {
  const list = byId("invocations");
  showOrEmpty(list, invocations.length === 0);
  setText(byId("invocations-title").querySelector(".count"), String(invocations.length));
  const newest = newestFirst(invocations, "started_at").slice(0, SHOWN_INVOCATIONS);
  const key = (invocation) => `${invocation.request_id} ${invocation.started_at}`;
  follow(list, newest, key, createInvocation, updateInvocation);
}

function createInvocation(invocation) {
  const at = element("time", { dateTime: invocation.started_at, title: invocation.started_at, textContent: time(invocation.started_at) });
  const name = element("span", { className: "function", textContent: invocation.function, title: `Request ${invocation.request_id}` });
  const trigger = element("span", { className: "trigger", textContent: invocation.trigger ?? "" });
  const result = element("span", { className: "result" });
  for (const part of ["cold mark", "duration", "status mark"]) result.append(element("span", { className: part }));
  return element("li", {}, at, name, trigger, result, element("p", { className: "error" }));
}

function updateInvocation(row, invocation) {
  const cold = row.querySelector(".cold");
  const coldMs = invocation.init_duration_ms;
  cold.hidden = coldMs === null || coldMs === undefined;
  cold.title = cold.hidden ? "" : `Cold start: ${Math.round(coldMs)} ms before this invocation`;
  setText(cold, "cold");
  const took = invocation.duration_ms;
  setText(row.querySelector(".duration"), typeof took === "number" ? `${took < 10 ? took.toFixed(1) : Math.round(took)} ms` : "");
  const status = row.querySelector(".status");
  setText(status, invocation.status);
  status.classList.toggle("good", invocation.status === "success");
  status.classList.toggle("bad", !["success", "running"].includes(invocation.status));
  const error = row.querySelector(".error");
  setText(error, invocation.error ?? "");
  error.hidden = !invocation.error;
}

// ---- Tables ----

function showTables(tables) {
  const list = byId("tables");
  showOrEmpty(list, tables.length === 0);
  follow(list, tables, (table) => table.name, createTable, updateTable);
}

function createTable(table) {
  const count = element("span", { className: "count" });
  const button = element("button", { type: "button", "aria-expanded": "false" }, element("span", { textContent: table.name }), count);
  const items = element("div", { className: "items", hidden: true, tabIndex: 0, role: "region", "aria-label": `Items of ${table.name}` });
  button.addEventListener("click", () => {
    items.hidden = !items.hidden;
    button.setAttribute("aria-expanded", String(!items.hidden));
    loadItems(table.name, items);
  });
  return element("div", { className: "table" }, button, items);
}

function updateTable(card, table) {
  setText(card.querySelector(".count"), table.items === 1 ? "1 item" : `${table.items} items`);
  loadItems(table.name, card.querySelector(".items"));
}

/** Called after every change, because items can change while their number stays the same. */
async function loadItems(name, target) {
  if (target.hidden || target.loading) return;
  target.loading = true;
  try {
    const response = await fetch(`/_local/tables/${encodeURIComponent(name)}`, { cache: "no-store" });
    if (!response.ok) throw new Error(`the system answered ${response.status}`);
    showItems(target, await response.json());
  } catch (error) {
    if (!target.firstChild) target.append(element("p", { className: "note", textContent: `Cannot read the items: ${error.message}.` }));
  } finally {
    target.loading = false;
  }
}

function showItems(target, items) {
  const shown = items.slice(0, SHOWN_ITEMS);
  const columns = columnsOf(shown);
  const layout = columns.join("\n");
  if (target.layout !== layout || !target.querySelector("tbody")) {
    target.layout = layout;
    const heads = ["JSON", ...columns].map((name) => element("th", { scope: "col", textContent: name }));
    const head = element("thead", {}, element("tr", {}, ...heads));
    target.replaceChildren(element("table", { className: "grid" }, head, element("tbody")), element("p", { className: "note" }));
  }
  const rows = shown.flatMap((item) => [{ item, json: false }, { item, json: true }]);
  const key = ({ item, json }) => JSON.stringify([...KEYS.map((name) => item[name]), json]);
  follow(target.querySelector("tbody"), rows, key, ({ json }) => (json ? createJsonRow(columns) : createItemRow(columns)), updateItemRow(columns));
  const note = target.querySelector(".note");
  const more = items.length - shown.length;
  setText(note, items.length === 0 ? "The table is empty." : `${more} more are not shown.`);
  note.hidden = items.length > 0 && more === 0;
  target.querySelector("table").hidden = items.length === 0;
}

/** Keys first, then the other fields in their order. The item's JSON has the fields without a column. */
function columnsOf(items) {
  const names = new Set(KEYS.filter((name) => items.some((item) => name in item)));
  for (const item of items) for (const name of Object.keys(item)) names.add(name);
  return [...names].slice(0, SHOWN_COLUMNS);
}

function createItemRow(columns) {
  const row = element("tr");
  const button = element("button", { className: "button", type: "button", textContent: "{ }", "aria-expanded": "false", "aria-label": "The whole item as JSON" });
  button.addEventListener("click", () => {
    const json = row.nextElementSibling;
    json.hidden = !json.hidden;
    button.setAttribute("aria-expanded", String(!json.hidden));
  });
  const cells = columns.map((name) => element("td", { className: KEYS.includes(name) ? "value key" : "value" }));
  row.append(element("td", {}, button), ...cells);
  return row;
}

function createJsonRow(columns) {
  const cell = element("td", { colSpan: columns.length + 1 }, element("pre"));
  return element("tr", { className: "json", hidden: true }, cell);
}

function updateItemRow(columns) {
  return (row, { item, json }) => {
    if (json) {
      setText(row.querySelector("pre"), JSON.stringify(item, null, 2));
      return;
    }
    columns.forEach((name, index) => {
      const value = item[name];
      const text = value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
      const cell = row.children[index + 1];
      setText(cell, text);
      cell.title = text.slice(0, 500);
    });
  };
}

// ---- The loop ----

let timer = 0;
let polling = false;
let pollAgain = false;
let shownState = "";

async function poll() {
  clearTimeout(timer);
  if (polling) {
    pollAgain = true;
    return;
  }
  polling = true;
  let isLive = true;
  try {
    const response = await fetch("/_local/state", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!response.ok) throw new Error(`the system answered ${response.status}`);
    const text = await response.text();
    if (text !== shownState || isBehind) {
      isBehind = false;
      show(JSON.parse(text));
      shownState = text;
    }
  } catch (error) {
    isLive = false;
    console.warn("No state:", error);
  }
  showConnection(isLive);
  polling = false;
  // A hidden page requests the state again when it becomes visible.
  if (document.hidden) return;
  timer = setTimeout(poll, pollAgain ? 0 : isLive ? POLL_MS : POLL_WHEN_LOST_MS);
  pollAgain = false;
}

function show(state) {
  setText(byId("gateway"), state.gateway ?? "–");
  setText(byId("aws"), state.aws ?? "–");
  setText(byId("game-server"), state.game_server ?? "–");
  showRoutes(state.routes ?? []);
  showQueues(state.queues ?? {});
  showMessages(state.messages ?? [], state.message_count ?? 0);
  showInvocations(state.invocations ?? []);
  showTables(state.tables ?? []);
  showFaults((state.faults ?? []).filter((fault) => fault.active));
  showTime(state.clock?.ahead_s ?? 0, state.schedules ?? {});
}

// ---- Time ----

/** A clock that was moved ahead, and the schedules that wait for their time. */
function showTime(aheadS, schedules) {
  const parts = [];
  if (aheadS > 0) parts.push(`The clock is ${span(aheadS)} ahead: it is ${new Date(Date.now() + aheadS * 1000).toLocaleString()}.`);
  if (schedules.count > 0) {
    const next = schedules.next_at ? `, the next one due ${new Date(schedules.next_at).toLocaleString()}` : "";
    parts.push(`Schedules: ${schedules.count}${next}.`);
  }
  const line = byId("time");
  line.hidden = parts.length === 0;
  setText(line, parts.join(" "));
}

function span(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const parts = [];
  for (const [name, size] of units) {
    const count = Math.floor(seconds / size);
    if (count > 0) parts.push(`${count} ${name}`);
    seconds -= count * size;
  }
  return parts.join(" ") || "less than 1 s";
}

// ---- Faults ----

function showFaults(faults) {
  const line = byId("faults");
  line.hidden = faults.length === 0;
  setText(line, `Faults: ${faults.map(faultText).join("; ")}`);
}

function faultText(fault) {
  const where = [fault.service, fault.operation, fault.function, fault.queue].filter(Boolean).join(" ");
  const how = [fault.mode, fault.at && `at ${fault.at}`, fault.rate < 1 && `${Math.round(fault.rate * 100)} %`].filter(Boolean).join(" ");
  return `${where} ${how} (${fault.count ? `${fault.applied} of ${fault.count}` : fault.applied})`;
}

function showConnection(isLive) {
  const connection = byId("connection");
  connection.className = isLive ? "live" : "lost";
  setText(connection, isLive ? "Running" : "Connection lost");
  byId("main").classList.toggle("lost-data", !isLive);
  document.title = isLive ? "Coupon webhooks" : "Connection lost – Coupon webhooks";
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) poll();
});
poll();
