// A background refresh never takes away what somebody is typing: a part that holds a focused
// or changed [data-editing] field, or any such field of a [data-editing-all], is left as it is.
import { unsaved } from "./autosave.js";

const EDITED = "[data-editing], [data-editing-all] :is(input, select, textarea)";

function changed(field) {
  if (field.matches("select")) return [...field.options].some((o) => o.selected !== o.defaultSelected);
  if (field.matches("[type=checkbox], [type=radio]")) return field.checked !== field.defaultChecked;
  return field.value !== field.defaultValue;
}

function beingEdited(part) {
  const fields = part.matches?.("[data-editing]") ? [part] : part.querySelectorAll?.(EDITED);
  return [...(fields ?? [])].some((field) => field === document.activeElement || changed(field));
}

document.addEventListener("htmx:oobBeforeSwap", (event) => {
  if (beingEdited(event.detail.target)) event.detail.shouldSwap = false;
});

document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, requestConfig } = event.detail;
  if (requestConfig?.elt.matches("[data-quiet]") && beingEdited(target)) event.detail.shouldSwap = false;
});

// The browser may ask "leave page?" only while something is truly not saved.
addEventListener("beforeunload", (event) => {
  if (unsaved()) event.preventDefault();
});
