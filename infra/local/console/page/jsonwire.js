// The JSON wire, as docs/protocol.md has it. It reads and writes frames and does no I/O.

export const json = {
  name: "JSON",
  isReadyOnceOpen: true, // whoever's handshake was taken has been let in

  url({ websocket }, { token, ring, deviceId }) {
    const url = new URL(websocket);
    if (ring) url.searchParams.set("ring", ring);
    else url.searchParams.set("token", token);
    url.searchParams.set("deviceId", deviceId);
    return url.href;
  },

  write: (id, event, data) => JSON.stringify({ event, data, id }),

  read(frame) {
    const { event, data, id } = JSON.parse(frame);
    if (event === "ack") return { what: "verdict", id, verdict: data };
    if (event === undefined) return { what: "failed" }; // API Gateway's own words: the backend failed
    if (event === "pong") return { what: "nothing" };
    return { what: "event", event, data };
  },
};
