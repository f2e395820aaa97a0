// A link that is followed right after typing waits for the save, or the next page would show the
// step as it was before.
const FORM = '[data-behaviour~="autosave"]';
let underWay = 0;
let next = "";

document.addEventListener("htmx:beforeRequest", ({ detail }) => {
  if (detail.elt.matches(FORM)) underWay += 1;
});

document.addEventListener("htmx:afterRequest", ({ detail }) => {
  if (!detail.elt.matches(FORM)) return;
  underWay -= 1;
  if (!detail.successful) next = ""; // stay: what was typed is only on this page
  setTimeout(() => { // a save that waited in line starts first
    if (next && !underWay) location.assign(next);
  });
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || !underWay || event.defaultPrevented) return;
  if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || link.target) return;
  event.preventDefault();
  next = link.href;
});
