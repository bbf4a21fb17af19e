// The JSON wire, as docs/protocol.md has it. It reads and writes frames and does no I/O.

export const json = {
  name: "JSON",
  isReadyOnceOpen: true, // whoever's handshake was taken has been let in

  url({ websocket }, { ring, deviceId }) {
    const url = new URL(websocket);
    if (ring) url.searchParams.set("ring", ring);
    url.searchParams.set("deviceId", deviceId);
    return url.href;
  },

  /** A browser can set no header, and an address may be logged: a user's token is among these. */
  subprotocols: ({ token, ring }) => (ring ? [] : ["unring", `bearer.${token}`]),

  write: (id, event, data) => JSON.stringify({ event, data, id }),

  read(frame) {
    const { event, data, id } = JSON.parse(frame);
    if (event === "ack") return { what: "verdict", id, verdict: data };
    if (event === undefined) return { what: "failed" }; // API Gateway's own words: the backend failed
    if (event === "pong") return { what: "nothing" };
    return { what: "event", event, data };
  },
};
