// data-behaviour="autosave" on a form whose fields save by htmx: says how saving stands in
// #save-state and tries again by itself. The server's own "Saved 14:02" comes out of band.
const SLOW_MS = 400;
const AGAIN_S = [1, 2, 5, 10, 30];
const tries = new Map(); // field -> how often saving it has failed
let slow;

const within = (event) => event.detail.elt.closest?.('[data-behaviour~="autosave"]');

function state(kind, text) {
  const line = document.getElementById("save-state");
  if (!line) return;
  line.classList.toggle("save-state--wait", kind === "wait");
  line.textContent = text;
}

export const unsaved = () => tries.size;

document.addEventListener("htmx:beforeRequest", (event) => {
  if (!within(event) || event.detail.requestConfig.verb === "get") return;
  clearTimeout(slow);
  slow = setTimeout(() => state("busy", "Saving…"), SLOW_MS);
});

document.addEventListener("htmx:afterRequest", (event) => {
  if (!within(event) || event.detail.requestConfig.verb === "get") return;
  clearTimeout(slow);
  const field = event.detail.elt;
  const status = event.detail.xhr.status;
  if (event.detail.successful) field.defaultValue = event.detail.requestConfig.parameters[field.name] ?? field.value;
  if (event.detail.successful || [401, 409, 422].includes(status)) return void tries.delete(field);
  const failed = tries.get(field) ?? 0;
  tries.set(field, failed + 1);
  const kept = tries.size === 1 ? "1 change" : `${tries.size} changes`;
  if (!navigator.onLine || failed >= 2) state("wait", `Offline. ${kept} kept on this page`);
  else state("wait", "Not saved yet, trying again");
  setTimeout(() => retry(field), AGAIN_S[Math.min(failed, AGAIN_S.length - 1)] * 1000);
});

function retry(field) {
  if (field.isConnected) field.dispatchEvent(new Event("save-now"));
  else tries.delete(field);
}

addEventListener("online", () => [...tries.keys()].forEach(retry));
document.addEventListener("visibilitychange", () => {
  const field = document.activeElement;
  if (document.hidden && field?.matches('[data-behaviour~="autosave"] [data-editing]')) {
    field.dispatchEvent(new Event("save-now"));
  }
});
