// Tells screen readers, once, by the page's one polite line.
export function say(text) {
  const line = document.getElementById("say");
  if (line) line.textContent = text;
}

// Forgets it, unless something else was told since.
export function unsay(text) {
  const line = document.getElementById("say");
  if (line?.textContent === text) line.textContent = "";
}
