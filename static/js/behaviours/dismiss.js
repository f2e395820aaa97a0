// data-behaviour="dismiss" on a message: its [data-dismiss] button takes it away.
// A message without an action goes by itself; one with an action never does.
import { say, unsay } from "../say.js";

const SAID_AFTER_MS = 300; // readers tell of what changes in a page, not of what it begins with
const STAYS_MS = 6000;

document.addEventListener("click", (event) => {
  const message = event.target.closest("[data-dismiss]")?.closest('[data-behaviour~="dismiss"]');
  if (message) takeAway(message);
});

function watch(root) {
  for (const message of root.querySelectorAll('[data-behaviour~="dismiss"][data-vanish]')) {
    delete message.dataset.vanish;
    setTimeout(() => vanish(message), STAYS_MS);
  }
}

function vanish(message) {
  if (message.matches(":hover, :focus-within")) setTimeout(() => vanish(message), STAYS_MS);
  else takeAway(message);
}

// What readers were told goes, too, or they find it on a page that shows it no more.
function takeAway(message) {
  message.remove();
  unsay(words(message));
}

function words(message) {
  return message?.querySelector(":scope > span")?.textContent;
}

watch(document);
const first = document.querySelector("#flash .toast");
if (first) setTimeout(() => first.isConnected && say(words(first)), SAID_AFTER_MS);
document.addEventListener("htmx:afterSettle", () => watch(document));
