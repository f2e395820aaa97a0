// data-behaviour="copy" data-copy="text"  or  data-copy-from="id of an element"
import { say } from "../say.js";

const SHOWN_MS = 2000;

function wanted(button) {
  const { copy, copyFrom } = button.dataset;
  if (copy !== undefined) return copy;
  const source = document.getElementById(copyFrom);
  return source?.value ?? source?.textContent ?? "";
}

// The clipboard is closed on plain http, so select the text for the person instead.
function select(button) {
  const source = document.getElementById(button.dataset.copyFrom);
  if (source) getSelection().selectAllChildren(source);
  say("Press Ctrl C to copy");
}

async function copy(button) {
  try {
    await navigator.clipboard.writeText(wanted(button).trim());
  } catch {
    return select(button);
  }
  const label = button.querySelector("[data-label]") ?? button;
  const before = label.textContent;
  label.textContent = "Copied";
  say("Copied");
  setTimeout(() => { label.textContent = before; }, SHOWN_MS);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest('[data-behaviour~="copy"]');
  if (button) copy(button);
});
