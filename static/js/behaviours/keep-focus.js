// When a swap takes the focused element away, focus goes to what the answer names with
// data-next-focus, else to the first heading of the part, never to the top of the page.
let before = null;

document.addEventListener("htmx:beforeSwap", () => {
  before = document.activeElement;
});

document.addEventListener("htmx:afterSettle", (event) => {
  if (!before || before === document.body || before.isConnected) return;
  before = null;
  if (document.activeElement !== document.body) return;
  const part = document.getElementById(event.detail.target?.id) ?? event.detail.elt;
  const next =
    document.querySelector("[data-next-focus]") ?? part?.querySelector?.("h1, h2, h3, legend");
  if (!next) return;
  if (next.tabIndex < 0) next.tabIndex = -1;
  next.focus();
});
