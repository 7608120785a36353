"use strict";

// What was sent outside, as who got it sees it.

let selected = null; // The button of the message that is shown.
let preferredTab = "html";

function showMessages(messages) {
  const list = byId("messages");
  showOrEmpty(list.parentElement, messages.length === 0);
  setText(byId("messages-title").querySelector(".count"), String(messages.length));
  const key = (message) => [message.at, message.channel, message.to, message.event].join("\n");
  follow(list, newestFirst(messages, "at"), key, createMessage, () => {});
  if (selected && !selected.isConnected) selected = null;
  if (!selected && list.firstElementChild) select(list.firstElementChild.firstElementChild);
}

function createMessage(message) {
  const subject = element("span", { className: "subject", textContent: message.subject || message.text || "(no text)" });
  const channel = element("span", { className: "mark", textContent: message.channel });
  const to = element("span", { className: "to", textContent: message.to ?? "" });
  const at = element("time", { dateTime: message.at, title: message.at, textContent: time(message.at) });
  const button = element("button", { type: "button", "aria-current": "false" }, channel, at, subject, to);
  button.message = message;
  button.addEventListener("click", () => select(button));
  return element("li", {}, button);
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

function messageHead(message) {
  const facts = element("dl");
  for (const [name, value] of [["From", message.from], ["To", message.to], ["Event", message.event], ["Sent", message.at]]) {
    if (value) facts.append(element("dt", { textContent: name }), element("dd", { textContent: value }));
  }
  const head = element("div", { className: "head" });
  if (message.subject) head.append(element("p", { className: "subject", textContent: message.subject }));
  head.append(facts);
  return head;
}

/** A message with markup gets two tabs, another one is text alone. */
function messageBody(message) {
  const text = element("pre", { tabIndex: 0, textContent: message.text ?? "(no plain text)" });
  if (!message.html) {
    return [element("div", { role: "tabpanel", "aria-label": "Text" }, text)];
  }
  // No permission at all: no script runs in there, no form is sent, and a link, which would open a window, does nothing.
  const frame = element("iframe", { sandbox: "", srcdoc: `<base target="_blank">${message.html}`, title: "The e-mail as its customer sees it" });
  const tabs = [
    { name: "html", label: "As the customer sees it", content: frame },
    { name: "text", label: "Plain text", content: text },
  ];
  const bar = element("div", { role: "tablist", "aria-label": "Form of the message" });
  for (const tab of tabs) {
    tab.panel = element("div", { role: "tabpanel", id: `panel-${tab.name}`, "aria-labelledby": `tab-${tab.name}` }, tab.content);
    tab.button = element("button", { type: "button", role: "tab", id: `tab-${tab.name}`, textContent: tab.label, "aria-controls": tab.panel.id });
    tab.button.addEventListener("click", () => choose(tab));
    bar.append(tab.button);
  }
  const choose = (chosen) => {
    preferredTab = chosen.name;
    for (const tab of tabs) {
      tab.button.setAttribute("aria-selected", String(tab === chosen));
      tab.button.tabIndex = tab === chosen ? 0 : -1;
      tab.panel.hidden = tab !== chosen;
    }
  };
  bar.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const other = tabs.find((tab) => tab.name !== preferredTab);
    choose(other);
    other.button.focus();
    event.preventDefault();
  });
  choose(tabs.find((tab) => tab.name === preferredTab));
  return [bar, ...tabs.map((tab) => tab.panel)];
}
