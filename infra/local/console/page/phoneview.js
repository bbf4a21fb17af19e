// How a phone looks: its face, its buttons, and what it has heard.

import { drawing, h, keyed, set, text } from "./dom.js";
import { json } from "./jsonwire.js";
import { socketio } from "./socketiowire.js";
import { clock, duration } from "./times.js";

const WIRES = [json, socketio];
const CHANNELS = { sent: "Sent", socket: "Socket", fcm: "FCM", app: "App" };
const MOST_CHARACTERS = 128; // of a user's id, as the console's server takes it
const BUTTONS = [
  ["call", "Call", "go"],
  ["accept", "Accept", "go"],
  ["decline", "Decline", "stop"],
  ["cancel", "Cancel", "stop"],
  ["end", "End", "stop"],
];

/**
 * The element of a phone. `press` is called with the name of a button that is pressed, `renamed`, if
 * there is one, with the user that the phone is to be, and `remove`, if there is one, when it is removed.
 */
export function phoneView(phone, id, { press, renamed, remove }) {
  const parts = {
    link: h("span", { class: "link" }),
    face: h("div", { class: "face" }),
    buttons: BUTTONS.map(([action, label, kind]) => button(label, kind, () => phone.actions[action] && press(action))),
    network: button("", "quiet", () => turn(phone, "offline")),
    life: button("", "quiet", () => turn(phone, "killed")),
    log: h("ol", { class: "heard", tabindex: "0", "aria-label": `What ${phone.title} heard, newest first` }),
    ...faceParts(),
  };
  parts.face.append(parts.avatar, h("p", { role: "status" }, parts.peer, parts.says), parts.callId);
  const element = h(
    "article",
    { class: "phone card", "aria-labelledby": `${id}-title` },
    h("div", { class: "phone-head" }, h("h3", { id: `${id}-title` }, phone.title), parts.link),
    h("div", { class: "who" }, userField(phone, id, renamed), wireField(phone, id)),
    parts.face,
    h("div", { class: "buttons", role: "group", "aria-label": "The call" }, parts.buttons),
    h("div", { class: "buttons life", role: "group", "aria-label": "The phone" }, parts.network, parts.life,
      remove && button("Remove", "quiet", remove)),
    parts.log,
  );
  const draw = drawing(() => show(phone, element, parts));
  phone.addEventListener("change", draw);
  draw();
  return element;
}

const button = (label, kind, onclick) => h("button", { type: "button", class: kind, onclick }, label);

const faceParts = () => ({
  avatar: h("span", { class: "avatar", "aria-hidden": "true" }),
  peer: h("span", { class: "peer" }),
  says: h("span", { class: "says" }),
  callId: h("span", { class: "call-id" }),
});

/** Whether it can be taken offline, or be killed: one of the two at a time. */
const canTurn = (phone, app) => phone.app === "open" || phone.app === app;

function turn(phone, app) {
  if (!canTurn(phone, app)) return;
  if (phone.app === app) phone.open();
  else if (app === "offline") phone.offline();
  else phone.kill();
}

function show(phone, element, { link, avatar, peer, says, callId, buttons, network, life, log }) {
  element.dataset.app = phone.app;
  element.dataset.phase = phone.call?.phase ?? "none";
  element.dataset.link = phone.link;
  text(link, linkWords(phone));
  const looks = faceOf(phone);
  text(avatar, looks.peer.slice(0, 1).toUpperCase());
  text(peer, looks.peer);
  text(says, looks.says);
  text(callId, phone.call?.id ?? "");
  const can = phone.actions;
  BUTTONS.forEach(([action], index) => enable(buttons[index], can[action]));
  text(network, phone.app === "offline" ? "Come back" : "Go offline");
  text(life, phone.app === "killed" ? "Open the app" : "Kill the app");
  enable(network, canTurn(phone, "offline"));
  enable(life, canTurn(phone, "killed"));
  keyed(log, phone.log, { key: (entry) => entry.key, make: makeEntry, update: updateEntry });
}

/** Not by `disabled`, which would take the focus from a button that is pressed; Tab passes it over as well. */
function enable(element, can) {
  set(element, "aria-disabled", can ? null : "true");
  set(element, "tabindex", can ? null : "-1");
}

function userField(phone, id, renamed) {
  const input = h("input", {
    id: `${id}-user`,
    value: phone.user,
    autocomplete: "off",
    spellcheck: "false",
    maxlength: MOST_CHARACTERS,
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
