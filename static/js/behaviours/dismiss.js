// data-behaviour="dismiss" on a message: its [data-dismiss] button takes it away.
// A message without an action goes by itself; one with an action never does.
import { say } from "../say.js";

const SAID_AFTER_MS = 300; // readers tell of what changes in a page, not of what it begins with
const STAYS_MS = 6000;

document.addEventListener("click", (event) => {
  event.target.closest("[data-dismiss]")?.closest('[data-behaviour~="dismiss"]')?.remove();
});

function watch(root) {
  for (const message of root.querySelectorAll('[data-behaviour~="dismiss"][data-vanish]')) {
    delete message.dataset.vanish;
    setTimeout(() => vanish(message), STAYS_MS);
  }
}

function vanish(message) {
  if (message.matches(":hover, :focus-within")) setTimeout(() => vanish(message), STAYS_MS);
  else message.remove();
}

watch(document);
const first = document.querySelector("#flash .toast > span")?.textContent;
if (first) setTimeout(() => say(first), SAID_AFTER_MS);
document.addEventListener("htmx:afterSettle", () => watch(document));
