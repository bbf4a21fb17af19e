// The switches that break the stack, and what is broken now.

import * as api from "./api.js";
import { byId, drawing, h, keyed, prose, set, text } from "./dom.js";

export class FaultSwitches {
  #faults = new Map();
  #say;
  #device;
  #healed;
  #draw = drawing(() => this.#show());

  /**
   * `device` gives the token of the device that those befall which befall one; `healed` is called
   * with the tokens of those that one does not befall any more, wherever it was switched off.
   */
  constructor(faults, { device, healed, say }) {
    this.#device = device;
    this.#healed = healed;
    this.#say = say;
    for (const each of faults) this.fault(each);
    byId("sweep").addEventListener("click", () => this.#sweep());
  }

  fault(fault) {
    const before = this.#faults.get(fault.name)?.devices ?? [];
    const healed = before.filter((device) => !fault.devices.includes(device));
    this.#faults.set(fault.name, fault);
    if (healed.length > 0) this.#healed(healed);
    this.#draw();
  }

  async #turn(name) {
    const { on, devices } = this.#faults.get(name);
    try {
      // One that befalls devices is switched on for one of them, and off for all.
      this.fault(await api.setFault(name, !on, devices && !on ? this.#device() : null));
    } catch (error) {
      this.#say(`It could not be switched: ${error.message}`);
    }
  }

  async #sweep() {
    try {
      await api.sweep();
      this.#say("Sweep looks for what a crash has left.");
    } catch (error) {
      this.#say(`Sweep could not be asked: ${error.message}`);
    }
  }

  #show() {
    const faults = [...this.#faults.values()];
    keyed(byId("fault-list"), faults, {
      key: ({ name }) => name,
      make: ({ name }) => makeFault(name, () => this.#turn(name)),
      update: updateFault,
    });
    const broken = faults.filter(({ on }) => on).map(({ label }) => label);
    const words = broken.length ? `Broken now: ${broken.join(", ")}` : "Nothing is broken";
    text(byId("fault-status"), `${words}.`);
    byId("fault-help").hidden = broken.length > 0;
    text(byId("broken"), words);
    set(byId("broken"), "data-broken", broken.length > 0);
    set(byId("fault-summary"), "data-broken", broken.length > 0);
  }
}

function makeFault(name, turn) {
  const id = `fault-${name}`;
  return h(
    "li",
    {},
    h("button", { type: "button", role: "switch", class: "switch", id, "aria-describedby": `${id}-says`, onclick: turn },
      h("span", { class: "knob", "aria-hidden": "true" }), h("span", { class: "label" })),
    h("span", { class: "met" }),
    h("p", { id: `${id}-says` }),
  );
}

function updateFault(item, { label, says, on, available, met }) {
  const [button, count, words] = item.children;
  set(button, "aria-checked", String(on));
  set(button, "disabled", !available);
  text(button.lastElementChild, label);
  text(count, met ? `met ${met} times`.replace("1 times", "once") : "");
  if (words.textContent !== says.replaceAll("`", "")) words.replaceChildren(...prose(says));
}
