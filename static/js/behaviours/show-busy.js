// A pressed button says that it works, and a second press does nothing. With htmx too.
const PATIENCE_MS = 100; // a quicker answer needs no sign

const idle = new WeakMap(); // button -> what stood in it

function mark(button) {
  button.setAttribute("aria-busy", "true");
  if (!button.dataset.busy || idle.has(button)) return;
  idle.set(button, [...button.childNodes]);
  button.textContent = button.dataset.busy;
}

function unmark(button) {
  button.removeAttribute("aria-busy");
  if (!idle.has(button)) return;
  button.replaceChildren(...idle.get(button));
  idle.delete(button);
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (form.dataset.sent) return event.preventDefault();
  form.dataset.sent = "yes";
  if (event.submitter) setTimeout(() => mark(event.submitter), PATIENCE_MS);
});

// Back from the cache of the browser: the form may be sent again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-sent]")) delete form.dataset.sent;
  document.querySelectorAll("button[aria-busy]").forEach(unmark);
});

const waiting = new WeakMap();

document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt, requestConfig } = event.detail;
  if (elt.matches("[data-quiet]")) return;
  const button = requestConfig.triggeringEvent?.submitter ?? (elt.matches("button") ? elt : null);
  const timer = setTimeout(() => (button ? mark(button) : elt.setAttribute("aria-busy", "true")), PATIENCE_MS);
  waiting.set(requestConfig, { timer, button });
});

document.addEventListener("htmx:afterRequest", (event) => {
  const { timer, button } = waiting.get(event.detail.requestConfig) ?? {};
  clearTimeout(timer);
  if (button) unmark(button);
  else event.detail.elt.removeAttribute("aria-busy");
});
