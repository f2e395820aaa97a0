// Arrow keys walk the rows of the step list; the links stay ordinary tab stops.
document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.altKey || event.ctrlKey || event.metaKey || !target.matches?.(".step-row__main")) return;
  if (key !== "ArrowDown" && key !== "ArrowUp") return;
  const rows = [...document.querySelectorAll(".step-row__main")];
  rows[rows.indexOf(target) + (key === "ArrowDown" ? 1 : -1)]?.focus();
  event.preventDefault();
});
