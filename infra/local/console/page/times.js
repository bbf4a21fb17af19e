// Moments and durations, in milliseconds, and how they are written.

/** Now, in Unix milliseconds, by the clock that the stack has too: they run on one machine. */
export const now = () => Date.now();

/** A duration: "0.84 ms", "8.4 ms", "83 ms", "1.25 s". */
export function duration(ms) {
  if (ms === 0) return "0 ms";
  if (ms === null || ms === undefined) return "…";
  const size = Math.abs(ms);
  if (size < 0.995) return `${ms.toFixed(2)} ms`;
  if (size < 9.95) return `${ms.toFixed(1)} ms`;
  if (size < 999.5) return `${Math.round(ms)} ms`;
  return size < 9_995 ? `${(ms / 1000).toFixed(2)} s` : `${(ms / 1000).toFixed(1)} s`;
}

/** A moment of the day: "17:30:02". */
export const clock = (at) => new Date(at).toLocaleTimeString([], { hour12: false });

/** When which signal of a call was last sent from this page, so that what comes can say how long it took. */
export class Signals {
  #sent = new Map();

  sent(callId, event, at = now()) {
    this.#sent.set(callId, { event, at });
  }

  /** "+83 ms after call:cancel", in parts; null of a call that nobody here has sent a signal of. */
  since(callId, at) {
    const signal = this.#sent.get(callId);
    return signal ? { ms: Math.max(at - signal.at, 0), event: signal.event } : null;
  }
}
