// A phone's line to the stack: one WebSocket on either wire, which comes back by itself.

const ANSWER_MS = 10_000; // that a verdict may take
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;

/** What an emit comes to whose answer nobody will hear: to repeat it is safe. */
export const LOST = { ok: false, outcome: "unavailable", message: "no answer came" };

export class Line {
  state = "closed"; // closed, connecting, open
  refusal = null; // why the server does not let the client in
  #wire;
  #stack;
  #credentials;
  #changed;
  #heard;
  #socket = null;
  #isWanted = false;
  #pause = FIRST_PAUSE_MS;
  #timer;
  #ids = 0;
  #waiting = new Map();

  /**
   * `credentials` promises what is shown at each connection; `changed` is called when the state or
   * the refusal has, `heard` with the name and the data of each event.
   */
  constructor({ wire, stack, credentials, changed, heard }) {
    this.#wire = wire;
    this.#stack = stack;
    this.#credentials = credentials;
    this.#changed = changed;
    this.#heard = heard;
  }

  start() {
    this.#isWanted = true;
    this.#connect();
  }

  stop() {
    this.#isWanted = false;
    clearTimeout(this.#timer);
    this.#drop();
    this.#enter("closed");
  }

  /** Promises the verdict. It never fails: `LOST` stands for an answer that does not come. */
  emit(event, data) {
    if (this.state !== "open") return Promise.resolve(LOST);
    const id = ++this.#ids;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#answer(id, LOST), ANSWER_MS);
      this.#waiting.set(id, (verdict) => {
        clearTimeout(timer);
        resolve(verdict);
      });
      this.#socket.send(this.#wire.write(id, event, data));
    });
  }

  async #connect() {
    this.#enter("connecting");
    let credentials;
    try {
      credentials = await this.#credentials();
    } catch (error) {
      return this.#isWanted && !this.#socket ? this.#refused(error.message) : undefined;
    }
    if (!this.#isWanted || this.#socket) return undefined;
    const socket = new WebSocket(this.#wire.url(this.#stack, credentials), this.#wire.subprotocols(credentials));
    this.#socket = socket;
    const isOurs = () => this.#socket === socket;
    socket.onopen = () => isOurs() && this.#wire.isReadyOnceOpen && this.#ready();
    socket.onmessage = ({ data }) => isOurs() && this.#take(this.#wire.read(data), credentials);
    socket.onclose = () => isOurs() && this.#connectLater();
    return undefined;
  }

  #take(read, credentials) {
    switch (read.what) {
      case "opened":
        return this.#socket.send(this.#wire.connect(credentials));
      case "ready":
        return this.#ready();
      case "ping":
        return this.#socket.send(read.pong);
      case "event":
        return this.#heard(read.event, read.data);
      case "verdict":
        return this.#answer(read.id, read.verdict);
      case "failed": // it does not say of which frame
        return this.#loseAll();
      case "refused":
        return this.#refused(read.message, LONGEST_PAUSE_MS);
      case "ended":
        return this.#connectLater();
      default:
        return undefined;
    }
  }

  #ready() {
    this.#pause = FIRST_PAUSE_MS;
    this.refusal = null;
    this.#enter("open");
  }

  #refused(message, pause) {
    this.#connectLater(pause);
    this.refusal = message;
    this.#changed();
  }

  #connectLater(pause = this.#pause) {
    this.#drop();
    if (!this.#isWanted) return;
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
    this.#enter("connecting");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), pause * (0.75 + Math.random() / 2));
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#loseAll();
  }

  #loseAll() {
    for (const id of [...this.#waiting.keys()]) this.#answer(id, LOST);
  }

  #answer(id, verdict) {
    this.#waiting.get(id)?.(verdict);
    this.#waiting.delete(id);
  }

  #enter(state) {
    if (this.state === state) return;
    this.state = state;
    this.#changed();
  }
}
