"use strict";

// Shows sent messages as their recipients see them.

const CHANNELS = {
  "email": { label: "E-mail", one: "e-mail" },
  "whatsapp": { label: "WhatsApp", one: "WhatsApp message" },
  "sms": { label: "SMS", one: "text message" },
  "topic": { label: "Alert", one: "alert" },
  "game-server": { label: "Game server", one: "request" },
};

let selected = null; // The button of the shown message.
let onlyChannel = null; // The only channel in the list; null lists all channels.
let preferredTab = "seen";

function showMessages(messages, count) {
  const list = byId("messages");
  showOrEmpty(list.parentElement, messages.length === 0);
  const all = count > messages.length ? `the newest ${messages.length} of ${count}` : String(count);
  setText(byId("messages-title").querySelector(".count"), all);
  showChannels(messages, count);
  const listed = messages.filter((message) => !onlyChannel || message.channel === onlyChannel);
  const key = (message) => [message.at, message.channel, message.to, message.event, message.message_id].join("\n");
  follow(list, newestFirst(listed, "at"), key, createMessage, () => {});
  if (selected && !selected.isConnected) selected = null;
  if (!selected && list.firstElementChild) select(list.firstElementChild.firstElementChild);
}

/** A button for each channel, if there are several. */
function showChannels(messages, count) {
  const bar = byId("channels");
  const counts = new Map();
  for (const { channel } of messages) counts.set(channel, (counts.get(channel) ?? 0) + 1);
  if (onlyChannel && !counts.has(onlyChannel)) onlyChannel = null;
  bar.hidden = counts.size < 2;
  const known = Object.keys(CHANNELS);
  const sorted = [...counts].sort(([a], [b]) => known.indexOf(a) - known.indexOf(b));
  const choices = [[null, messages.length], ...sorted];
  const create = ([channel]) => {
    const button = element("button", { className: "button", type: "button" });
    button.addEventListener("click", () => {
      onlyChannel = channel;
      // The list starts empty, so that no message looks new.
      byId("messages").replaceChildren();
      delete byId("messages").childrenByKey;
      showMessages(bar.messages, bar.count);
    });
    return button;
  };
  bar.messages = messages;
  bar.count = count;
  follow(bar, choices, ([channel]) => String(channel), create, (button, [channel, count]) => {
    setText(button, `${channel ? channelLabel(channel) : "All"} ${count}`);
    button.setAttribute("aria-pressed", String(channel === onlyChannel));
  });
}

const channelLabel = (channel) => CHANNELS[channel]?.label ?? channel;

function createMessage(message) {
  const subject = element("span", { className: "subject", textContent: titleOf(message) });
  const channel = element("span", { className: `mark ${message.channel}`, textContent: channelLabel(message.channel) });
  const marks = element("span", { className: "marks" }, channel, ...notSent(message));
  const to = element("span", { className: "to", textContent: recipientOf(message) });
  const at = element("time", { dateTime: message.at, title: message.at, textContent: time(message.at) });
  const button = element("button", { type: "button", "aria-current": "false" }, marks, at, subject, to);
  button.message = message;
  button.addEventListener("click", () => select(button));
  return element("li", {}, button);
}

/** Marks a draft of a test event, which was not sent. */
function notSent(message) {
  return message.would_be ? [element("span", { className: "mark cold", textContent: "not sent" })] : [];
}

function titleOf(message) {
  const { whatsapp } = message;
  if (whatsapp?.template) return whatsapp.template;
  if (message.channel === "game-server") return typeOf(message.text) ?? "POST";
  return message.subject || message.text || "(no text)";
}

/** The type in a webhook's body. */
function typeOf(body) {
  try {
    const { type } = JSON.parse(body);
    return typeof type === "string" ? type : null;
  } catch {
    return null;
  }
}

function recipientOf(message) {
  if (message.topic) return message.topic.topic;
  if (message.channel === "game-server") return pathOf(message.to);
  return message.to ?? "";
}

function pathOf(url) {
  try {
    const { pathname, search } = new URL(url);
    return pathname + search;
  } catch {
    return url;
  }
}

function select(button) {
  selected?.setAttribute("aria-current", "false");
  selected = button;
  button.setAttribute("aria-current", "true");
  const message = button.message;
  const view = byId("message");
  view.classList.remove("none");
  view.replaceChildren(messageHead(message), ...messageBody(message));
}

// ---- About the message ----

function messageHead(message) {
  const facts = element("dl");
  for (const [name, value] of [...factsOf(message), ["Event", message.event], ["Sent", message.at]]) {
    if (value) facts.append(element("dt", { textContent: name }), element("dd", { textContent: value }));
  }
  const head = element("div", { className: "head" });
  if (message.would_be) {
    const what = CHANNELS[message.channel]?.one ?? "message";
    head.append(element("p", { className: "not-sent", textContent: `Not sent: this ${what} is the draft of a test event.` }));
  }
  // An alert's event is in the alert's text.
  if (message.subject && message.channel !== "topic") head.append(element("p", { className: "subject", textContent: message.subject }));
  head.append(facts);
  return head;
}

function factsOf(message) {
  const { email, sms, whatsapp, topic } = message;
  const facts = [["From", message.from], ["To", message.to]];
  if (email) {
    const tags = Object.entries(email.tags ?? {}).map(([name, value]) => `${name}=${value}`);
    facts.push(["Reply to", (email.reply_to ?? []).join(", ")]);
    facts.push(["Configuration set", email.configuration_set]);
    facts.push(["Tags", tags.join(", ")]);
  }
  if (sms) facts.push(["Type", sms.type]);
  if (whatsapp?.template) facts.push(["Template", `${whatsapp.template}, ${whatsapp.language}`]);
  if (topic) {
    const others = Object.entries(topic.attributes ?? {}).filter(([name]) => name !== "event");
    facts.push(["Subscribers", (topic.subscribers ?? []).map((who) => who.replace(":", ": ")).join(", ") || "nobody: the topic has no subscription"]);
    facts.push(["Attributes", others.map(([name, value]) => `${name}=${value}`).join(", ")]);
  }
  return facts;
}

function lengthOf({ characters, encoding, parts }) {
  const messages = parts === 1 ? "one message" : `${parts} messages`;
  return `${characters} ${characters === 1 ? "character" : "characters"}, ${encoding}, ${messages}`;
}

// ---- The message itself ----

function messageBody(message) {
  if (message.html) return tabbed(mailTabs(message));
  switch (message.channel) {
    case "whatsapp": return tabbed(whatsappTabs(message));
    case "sms": return [panel("Text message", phone("sms", message, smsBubble(message)))];
    case "topic": return [panel("Alert", alertCard(message))];
    case "game-server": return [panel("Request", request(message))];
    default: return [panel("Text", element("pre", { tabIndex: 0, textContent: message.text ?? "(no plain text)" }))];
  }
}

function mailTabs(message) {
  // The frame has no permission: no script runs, no form is sent, and a link opens no window.
  const frame = element("iframe", { sandbox: "", srcdoc: `<base target="_blank">${message.html}`, title: "The e-mail as its customer sees it" });
  const text = element("pre", { tabIndex: 0, textContent: message.text ?? "(no plain text)" });
  return [
    { name: "seen", label: "As the customer sees it", content: frame },
    { name: "text", label: "Plain text", content: text },
  ];
}

function whatsappTabs(message) {
  const json = JSON.stringify(message.whatsapp?.message ?? {}, null, 2);
  return [
    { name: "seen", label: "As the customer sees it", content: phone("whatsapp", message, ...whatsappBubble(message)) },
    { name: "json", label: "As sent to Meta", content: element("pre", { tabIndex: 0, textContent: json }) },
  ];
}

/** A phone's screen: the sender, and the bubbles. */
function phone(kind, message, ...bubbles) {
  const sender = kind === "sms" ? message.from : "Your business on WhatsApp";
  const initial = [...sender.replace(/[^\p{L}\p{N}]/gu, "")][0] ?? "#";
  const avatar = element("span", { className: "avatar", textContent: initial.toUpperCase(), "aria-hidden": "true" });
  const bar = element("p", { className: "bar" }, avatar, element("strong", { textContent: sender }));
  const chat = element("div", { className: "chat", tabIndex: 0 }, ...bubbles);
  return element("div", { className: `phone ${kind}` }, bar, chat);
}

function smsBubble(message) {
  const text = element("p", { className: "words", textContent: message.text ?? "" });
  const bubble = element("div", { className: "bubble" }, text, bubbleTime(message));
  const length = message.sms ? lengthOf(message.sms) : "";
  return element("div", { className: "received" }, bubble, element("p", { className: "length", textContent: length }));
}

function bubbleTime(message) {
  return element("time", { dateTime: message.at, textContent: time(message.at).replace(/:\d\d$/, "") });
}

/** Meta keeps a template's text, so the bubble shows the parameters alone. Buttons are below it, as in WhatsApp. */
function whatsappBubble(message) {
  const whatsapp = message.whatsapp ?? {};
  const bubble = element("div", { className: "bubble" });
  if (!whatsapp.template) {
    bubble.append(element("p", { className: "words", textContent: message.text ?? "" }), bubbleTime(message));
    return [element("div", { className: "received" }, bubble)];
  }
  const title = element("p", { className: "template" }, element("code", { textContent: whatsapp.template }), " ", element("span", { className: "mark", textContent: whatsapp.language }));
  bubble.append(title);
  const buttons = [];
  for (const part of grouped(whatsapp.parameters ?? [])) {
    if (part.component.startsWith("button")) {
      buttons.push(...part.parameters.map(({ text }) => element("p", { className: "reply", textContent: text })));
      continue;
    }
    const list = element("dl", { className: `blanks ${part.component}`, "aria-label": `Placeholders of the ${part.component}` });
    for (const { name, text } of part.parameters) {
      list.append(element("dt", { textContent: `{{${name}}}` }), element("dd", { textContent: text }));
    }
    bubble.append(list);
  }
  if ((whatsapp.parameters ?? []).length === 0) bubble.append(element("p", { className: "quiet", textContent: "The message fills no placeholders of the template." }));
  bubble.append(bubbleTime(message));
  const note = element("p", { className: "hint", textContent: "Meta keeps the template’s text. These values fill its placeholders." });
  return [note, element("div", { className: "received" }, bubble, ...buttons)];
}

/** Groups parameters by component, in their order. */
function grouped(parameters) {
  const groups = [];
  for (const parameter of parameters) {
    const last = groups.at(-1);
    if (last?.component === parameter.component) last.parameters.push(parameter);
    else groups.push({ component: parameter.component, parameters: [parameter] });
  }
  return groups;
}

function alertCard(message) {
  const title = element("p", { className: "title", textContent: message.subject || "AWS Notification Message" });
  const text = element("pre", { tabIndex: 0, textContent: prettyJson(message.text ?? "") });
  return element("div", { className: "alert" }, title, text);
}

function request(message) {
  const { method, url, headers, body } = message["game-server"] ?? { method: "POST", url: message.to, headers: {}, body: message.text };
  const line = element("p", { className: "line" }, element("span", { className: "mark", textContent: method }), " ", element("code", { textContent: pathOf(url) }));
  const list = element("dl", { className: "headers", "aria-label": "Headers" });
  for (const [name, value] of Object.entries(headers)) {
    const kind = name.startsWith("webhook-") ? "signed" : "";
    list.append(element("dt", { className: kind, textContent: name }), element("dd", { className: kind, textContent: value }));
  }
  return element("div", { className: "request", tabIndex: 0 }, line, list, element("pre", { textContent: prettyJson(body ?? "") }));
}

// ---- Panels ----

function panel(label, content) {
  return element("div", { role: "tabpanel", "aria-label": label }, content);
}

function tabbed(tabs) {
  const bar = element("div", { role: "tablist", "aria-label": "Form of the message" });
  for (const tab of tabs) {
    tab.panel = element("div", { role: "tabpanel", id: `panel-${tab.name}`, "aria-labelledby": `tab-${tab.name}` }, tab.content);
    tab.button = element("button", { type: "button", role: "tab", id: `tab-${tab.name}`, textContent: tab.label, "aria-controls": tab.panel.id });
    tab.button.addEventListener("click", () => {
      preferredTab = tab.name;
      choose(tab);
    });
    bar.append(tab.button);
  }
  let chosen = null;
  const choose = (now) => {
    chosen = now;
    for (const tab of tabs) {
      tab.button.setAttribute("aria-selected", String(tab === now));
      tab.button.tabIndex = tab === now ? 0 : -1;
      tab.panel.hidden = tab !== now;
    }
  };
  bar.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = tabs.find((tab) => tab !== chosen);
    other.button.click();
    other.button.focus();
    event.preventDefault();
  });
  choose(tabs.find((tab) => tab.name === preferredTab) ?? tabs[0]);
  return [bar, ...tabs.map((tab) => tab.panel)];
}
