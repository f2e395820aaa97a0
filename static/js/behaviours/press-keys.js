// Keys for those who know them. Never while typing, and off with <html data-shortcuts="off">.
//   data-key="Ctrl+z"   on a link or button: the key presses it, anywhere on the page
//   data-row-key="…"    the same, but only while focus is inside the nearest [data-row]
const TYPING = "input, textarea, select, [contenteditable]";
let leader = false;

export function combination(event) {
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey && event.key.length > 1) parts.push("Shift");
  return [...parts, event.key].join("+");
}

function find(keys, target) {
  const quoted = CSS.escape(keys);
  const row = target.closest?.("[data-row]");
  return row?.querySelector(`[data-row-key="${quoted}"]`) ?? document.querySelector(`[data-key="${quoted}"]`);
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || document.documentElement.dataset.shortcuts === "off") return;
  if (combination(event) === "Ctrl+Enter") {
    const form = event.target.closest?.("form");
    return form?.requestSubmit(form.querySelector(".btn--main, button[type=submit]"));
  }
  if (event.target.matches?.(TYPING) && !["Ctrl+k", "Ctrl+s"].includes(combination(event))) return;
  const keys = leader ? `g ${event.key}` : combination(event);
  leader = combination(event) === "g" && !leader;
  const element = find(keys, event.target);
  if (!element) return;
  event.preventDefault();
  if (element.matches("input, summary")) element.focus();
  else element.click();
});
