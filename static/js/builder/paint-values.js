// Paints chips behind the tokens of a value field. The field itself stays a plain textarea.
import { replaceRange, TOKEN } from "./tokens.js";

const FIELD = ".values__text";

function paint(field) {
  const layer = field.parentElement.querySelector(".values__paint");
  if (!layer) return;
  const pieces = [];
  let end = 0;
  for (const { 0: token, index } of field.value.matchAll(TOKEN)) {
    const mark = document.createElement("mark");
    mark.textContent = token;
    pieces.push(field.value.slice(end, index), mark);
    end = index + token.length;
  }
  layer.replaceChildren(...pieces, `${field.value.slice(end)}\n`);
  layer.scrollTop = field.scrollTop;
}

const paintAll = () => document.querySelectorAll(FIELD).forEach(paint);

document.addEventListener("input", ({ target }) => {
  if (target.matches?.(FIELD)) paint(target);
});

// Backspace behind a token and Delete before one take the whole token.
document.addEventListener("keydown", (event) => {
  const field = event.target;
  if (!field.matches?.(FIELD) || !["Backspace", "Delete"].includes(event.key)) return;
  const at = field.selectionStart;
  if (at !== field.selectionEnd) return;
  for (const { 0: token, index } of field.value.matchAll(TOKEN)) {
    const touched = event.key === "Backspace" ? index + token.length === at : index === at;
    if (!touched) continue;
    event.preventDefault();
    replaceRange(field, index, index + token.length, "");
    return;
  }
});

paintAll();
document.addEventListener("htmx:afterSettle", paintAll);
