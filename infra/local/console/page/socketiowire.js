// Socket.IO over a WebSocket (EIO4), as docs/socketio.md has it. It reads and writes packets and does no I/O.

export const socketio = {
  name: "Socket.IO",
  isReadyOnceOpen: false, // the server opens, and lets the client in by its CONNECT

  url({ socketio }) {
    const url = new URL("/socket.io/?EIO=4&transport=websocket", socketio);
    url.protocol = url.protocol.replace("http", "ws");
    return url.href;
  },

  subprotocols: () => [],

  connect: ({ token, ring, deviceId }) => `40${JSON.stringify({ ...(ring ? { ring } : { token }), deviceId })}`,

  write: (id, event, data) => `42${id}${JSON.stringify([event, data])}`,

  read(packet) {
    const [, type, id, body] = /^(0|1|2|40|41|42|43|44|6)(\d*)(.*)$/s.exec(packet) ?? [];
    switch (type) {
      case "0":
        return { what: "opened" };
      case "40":
        return { what: "ready" };
      case "44":
        return { what: "refused", message: JSON.parse(body).message };
      case "42": {
        const [event, data] = JSON.parse(body);
        return { what: "event", event, data };
      }
      case "43":
        return { what: "verdict", id: Number(id), verdict: JSON.parse(body)[0] };
      case "2":
        return { what: "ping", pong: "3" };
      case "6":
        return { what: "nothing" };
      default:
        return { what: "ended" }; // a goodbye, or API Gateway's own words: the client connects anew
    }
  },
};
