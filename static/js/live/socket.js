// The doorbell. It carries no truth but streamed text; whoever hears it asks over HTTP.
import { io } from "socket.io-client";

const socket = io("/live", {
  transports: ["websocket"], // long polling would need sticky sessions; our own polling doesn't
  reconnectionDelay: 1000,
  reconnectionDelayMax: 30_000,
  randomizationFactor: 0.5,
  autoConnect: false,
});

const rooms = new Map(); // room -> function that gives the last seq it knows

/**
 * Join now and after each reconnect. `behind` hears when something was missed; a room that
 * doesn't number its events (`lastSeq` gives null) may always have missed something.
 */
export function join(room, lastSeq, behind) {
  rooms.set(room, { lastSeq, behind });
  if (socket.connected) ask(room);
}

export function leave(room) {
  if (rooms.delete(room) && socket.connected) socket.emit("leave", { room });
}

export const isOpen = () => socket.connected;
export const open = () => socket.connect();
export const close = () => socket.disconnect();

export function listen({ changed, event }) {
  const askAll = () => rooms.forEach((_, room) => ask(room));
  socket.on("connect", () => {
    askAll();
    changed();
  });
  socket.on("live.missed", askAll);
  socket.on("disconnect", changed);
  socket.onAny((name, message) => event({ type: name, ...message }));
}

function ask(room) {
  const { lastSeq, behind } = rooms.get(room);
  socket.emit("join", { room, after: lastSeq() ?? 0 }, (answer) => {
    const last = lastSeq();
    if (answer?.ok && (last === null || answer.seq > last)) behind();
  });
}
