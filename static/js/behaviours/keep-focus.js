// When a swap moves the focused element, it keeps its focus. When a swap takes it away, focus goes
// to what the answer names with data-next-focus, else to the first heading of the part or of the
// page, never to its top.
let before = null;

document.addEventListener("htmx:beforeSwap", () => {
  before = document.activeElement;
});

document.addEventListener("htmx:afterSettle", (event) => {
  const was = before;
  before = null;
  if (!was || was === document.body || document.activeElement !== document.body) return;
  if (was.isConnected && was.checkVisibility()) return void was.focus();
  const part = document.getElementById(event.detail.target?.id) ?? event.detail.elt;
  const next =
    document.querySelector("[data-next-focus]") ??
    part?.querySelector?.("h1, h2, h3, legend") ??
    document.querySelector("#main h1");
  if (!next) return;
  if (next.tabIndex < 0) next.tabIndex = -1;
  next.focus();
});
