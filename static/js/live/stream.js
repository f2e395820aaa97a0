// Text as a model writes it. Shown with textContent only, so that nothing in it can act as
// HTML. The finished, cleaned text comes from the server and takes its place.
//
//   <p class="stream" aria-hidden="true" data-stream="text:run_…:s_3" data-attempt="1" data-length="120">…
import { say } from "../say.js";
import { join, leave } from "./socket.js";

let joined = null;

/** Follow the text that is open; `ask` fetches what was written before its room was joined. */
export function followStream(ask) {
  const element = document.querySelector("[data-stream]");
  const room = element?.dataset.stream ?? null;
  if (room === joined) return;
  if (joined) {
    leave(joined);
    if (!room) say("Answer ready");
  }
  joined = room;
  if (!room) return;
  join(room, () => null, ask);
  say("Writing…");
}

/** Append; return false when the part must be fetched: text is missing, or began anew. */
export function appendText({ room, data }) {
  const element = document.querySelector(`[data-stream="${CSS.escape(room)}"]`);
  if (!element) return true;
  if (data.attempt !== undefined && String(data.attempt) !== element.dataset.attempt) return false;
  const shown = Number(element.dataset.length);
  if (data.off > shown) return false;
  // Offsets count characters as Python does, not the halves of JavaScript's strings.
  const fresh = [...data.text].slice(shown - data.off);
  element.append(fresh.join(""));
  element.dataset.length = shown + fresh.length;
  return true;
}
