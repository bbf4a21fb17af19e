// How a phone looks: its face, its buttons, and what it has heard.

import { drawing, h, keyed, set, text } from "./dom.js";
import { json } from "./jsonwire.js";
import { socketio } from "./socketiowire.js";
import { clock, duration } from "./times.js";

const WIRES = [json, socketio];
const CHANNELS = { sent: "Sent", socket: "Socket", fcm: "FCM", app: "App" };
const BUTTONS = [
  ["call", "Call", "go"],
  ["accept", "Accept", "go"],
  ["decline", "Decline", "stop"],
  ["cancel", "Cancel", "stop"],
  ["end", "End", "stop"],
];

/**
 * The element of a phone. `press` is called with the name of a button that is pressed, and
 * `renamed`, if there is one, with the user that the phone is to be.
 */
export function phoneView(phone, id, { press, renamed, remove }) {
  const name = h("h3", { id: `${id}-title` }, phone.title);
  const link = h("span", { class: "link" });
  const avatar = h("span", { class: "avatar", "aria-hidden": "true" });
  const peer = h("span", { class: "peer" });
  const says = h("span", { class: "says" });
  const callId = h("span", { class: "call-id" });
  const face = h("div", { class: "face" }, avatar, h("p", { role: "status" }, peer, says), callId);
  const buttons = BUTTONS.map(([action, label, kind]) =>
    h("button", { type: "button", class: kind, onclick: () => press(action) }, label),
  );
  const network = h("button", { type: "button", class: "quiet", onclick: () => (phone.app === "offline" ? phone.open() : phone.offline()) });
  const life = h("button", { type: "button", class: "quiet", onclick: () => (phone.app === "killed" ? phone.open() : phone.kill()) });
  const log = h("ol", { class: "heard", tabindex: "0", "aria-label": `What ${phone.title} heard, newest first` });
  const nothing = h("p", { class: "empty" }, "Nothing yet.");
  const element = h(
    "article",
    { class: "phone card", "aria-labelledby": `${id}-title` },
    h("div", { class: "phone-head" }, name, link),
    h("div", { class: "who" }, userField(phone, id, renamed), wireField(phone, id)),
    face,
    h("div", { class: "buttons", role: "group", "aria-label": "The call" }, buttons),
    h("div", { class: "buttons life", role: "group", "aria-label": "The phone" }, network, life,
      remove && h("button", { type: "button", class: "quiet", onclick: remove }, "Remove")),
    log,
    nothing,
  );

  const draw = drawing(() => {
    element.dataset.app = phone.app;
    element.dataset.phase = phone.call?.phase ?? "none";
    element.dataset.link = phone.link;
    text(link, linkWords(phone));
    const looks = faceOf(phone);
    text(avatar, looks.peer.slice(0, 1).toUpperCase());
    text(peer, looks.peer);
    text(says, looks.says);
    text(callId, phone.call?.id ?? "");
    BUTTONS.forEach(([action], index) => set(buttons[index], "disabled", !phone.actions[action]));
    text(network, phone.app === "offline" ? "Come back" : "Go offline");
    text(life, phone.app === "killed" ? "Open the app" : "Kill the app");
    set(network, "disabled", phone.app === "killed");
    set(life, "disabled", phone.app === "offline");
    keyed(log, phone.log, { key: (entry) => entry.key, make: makeEntry, update: updateEntry });
    nothing.hidden = phone.log.length > 0;
  });
  phone.addEventListener("change", draw);
  draw();
  return element;
}

function userField(phone, id, renamed) {
  const input = h("input", {
    id: `${id}-user`,
    value: phone.user,
    autocomplete: "off",
    spellcheck: "false",
    maxlength: "256",
    readonly: !renamed,
  });
  input.addEventListener("change", () => {
    input.value = input.value.trim() || phone.user;
    renamed(input.value);
  });
  phone.addEventListener("change", () => document.activeElement !== input && (input.value = phone.user));
  return h("label", { for: `${id}-user` }, "User ", input);
}

function wireField(phone, id) {
  const options = WIRES.map((wire) => {
    const radio = h("input", { type: "radio", name: `${id}-wire`, checked: wire === phone.wire });
    radio.addEventListener("change", () => phone.become({ wire }));
    return h("label", {}, radio, h("span", {}, wire.name));
  });
  return h("fieldset", { class: "segments" }, h("legend", { class: "hidden" }, "Wire"), options);
}

function linkWords(phone) {
  if (phone.app === "killed") return "app killed";
  if (phone.app === "offline") return phone.held ? `offline, FCM keeps ${phone.held}` : "offline";
  if (phone.refusal) return `refused: ${phone.refusal}`;
  return phone.link === "open" ? "connected" : "connecting …";
}

function faceOf({ call, app, user, link }) {
  if (call) return { peer: call.peer, says: call.asks === "call:cancel" ? "Giving up …" : call.says };
  if (app === "killed") return { peer: user, says: "Locked. Pushes still reach it" };
  if (app === "offline") return { peer: user, says: "No network" };
  return { peer: user, says: link === "open" ? "Ready" : "Connecting …" };
}

function makeEntry({ channel, title, at }) {
  return h(
    "li",
    { "data-channel": channel },
    h("span", { class: "channel" }, CHANNELS[channel]),
    h("span", { class: "title", title: clock(at) }, title),
    h("span", { class: "since" }),
    h("span", { class: "effect" }),
  );
}

function updateEntry(element, { channel, effect, since }) {
  const [, , time, what] = element.children;
  text(time, since ? `${channel === "sent" ? "" : "+"}${duration(since.ms)}` : "");
  set(time, "title", since ? (channel === "sent" ? "until its verdict" : `after ${since.event}`) : null);
  text(what, effect);
}
