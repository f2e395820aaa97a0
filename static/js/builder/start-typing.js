// The panel for a new step opens with its search ready. Not under a finger, where a keyboard on
// the screen would cover the list.
const isWanted = () => location.hash === "#add" && !matchMedia("(pointer: coarse)").matches;

// On load: going to the fragment takes the focus away from what had it before.
addEventListener("load", () => {
  if (isWanted()) document.getElementById("add-find")?.focus({ preventScroll: true });
});
