// Tells screen readers, once, by the page's one polite line.
export function say(text) {
  const line = document.getElementById("say");
  if (line) line.textContent = text;
}
