// The picker of values: puts a token where the caret is; "/" opens it; typing narrows it.
import { replaceRange } from "./tokens.js";

const PICKER = "[data-value-picker]";
const fieldOf = (element) =>
  document.getElementById(element.closest(PICKER).dataset.valuePicker);

document.addEventListener("click", (event) => {
  const option = event.target.closest(`${PICKER} [data-token]`);
  if (!option) return;
  event.preventDefault(); // without script the same button sends the form, and the server inserts
  const field = fieldOf(option);
  const slash = field.value[field.selectionStart - 1] === "/" ? 1 : 0;
  option.closest("details").open = false;
  replaceRange(field, field.selectionStart - slash, field.selectionEnd, option.dataset.token);
});

function openPicker(field) {
  const picker = document.querySelector(`[data-value-picker="${CSS.escape(field.id)}"]`);
  if (!picker) return;
  picker.closest("details").open = true;
  picker.querySelector("input[type=search]")?.focus();
}

// On input, not on the key: the "/" is in its field before focus moves to the search.
document.addEventListener("input", ({ target, data }) => {
  if (data !== "/" || !target.matches?.(".values__text")) return;
  const before = target.value[target.selectionStart - 2];
  if (before === undefined || /\s/.test(before)) openPicker(target);
});

document.addEventListener("keydown", (event) => {
  if (!event.ctrlKey || event.key !== " " || !event.target.matches?.(".values__text")) return;
  event.preventDefault();
  openPicker(event.target);
});

document.addEventListener("input", ({ target }) => {
  const picker = target.matches?.(`${PICKER} input[type=search], [data-picker] input[type=search]`)
    && target.closest(`${PICKER}, [data-picker]`);
  if (!picker) return;
  const wanted = target.value.trim().toLowerCase();
  for (const group of picker.querySelectorAll("[data-group]")) {
    const options = [...group.querySelectorAll(".picker__opt")];
    const title = group.querySelector("h3, h4")?.textContent ?? "";
    for (const option of options) {
      option.hidden = !`${title} ${option.textContent}`.toLowerCase().includes(wanted);
    }
    group.hidden = options.every((option) => option.hidden);
  }
});

// Of what is left, the first whose name begins with the text; words about it count less.
function best(picker, wanted) {
  const left = [...picker.querySelectorAll("[data-group]:not([hidden]) .picker__opt:not([hidden])")];
  const named = (option) => option.querySelector("b")?.textContent.toLowerCase() ?? "";
  return left.find((option) => named(option).startsWith(wanted)) ?? left[0];
}

// Enter in the search takes the best that is left, and never sends the step's form.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.matches?.(`${PICKER} input, [data-picker] input`)) return;
  event.preventDefault();
  const picker = event.target.closest(`${PICKER}, [data-picker]`);
  best(picker, event.target.value.trim().toLowerCase())?.click();
});
