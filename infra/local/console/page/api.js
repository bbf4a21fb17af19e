// What the console's server is asked, and what it tells by itself.

export const NOT_FOUND = 404;
const PAUSE_MS = 3_000; // before a stream that was refused is asked for again

/** Throws an error with the answer's status if it is none of success. */
async function asked(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) throw Object.assign(new Error(await said(answer)), { status: answer.status });
  return answer;
}

async function said(answer) {
  const body = await answer.json().catch(() => ({}));
  return body.error ?? `${answer.status} ${answer.statusText}`;
}

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  return asked(path, { method: "POST", headers, body: JSON.stringify(body) });
}

const get = async (path) => (await asked(path)).json();
const part = encodeURIComponent;

export const stack = () => get("/api/stack");
export const trace = (id) => get(`/api/traces/${part(id)}`);
export const traceText = async (id) => (await asked(`/api/traces/${part(id)}/text`)).text();
export const span = (id) => get(`/api/spans/${part(id)}`);
export const token = async (user) => (await (await post("/api/tokens", { user })).json()).token;
export const setFault = async (name, on, device) =>
  (await post(`/api/faults/${part(name)}`, { on, ...(device ? { device } : {}) })).json();
export const sweep = () => post("/api/sweep", {});

const EVENTS = ["trace", "span", "push", "document", "fault"];

/**
 * Listens to all that happens in the stack. `begin` comes before each snapshot, of which there is one
 * for each connection; `connected` is called with whether there is one.
 */
export function live(heard, begin, connected) {
  const source = new EventSource("/api/live");
  source.addEventListener("begin", () => {
    begin();
    connected(true);
  });
  source.addEventListener("error", () => {
    connected(false);
    // It connects again by itself, but not once the server has answered with an error.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => live(heard, begin, connected), PAUSE_MS);
  });
  for (const name of EVENTS) {
    source.addEventListener(name, (event) => heard[name]?.(JSON.parse(event.data)));
  }
}
