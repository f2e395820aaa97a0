// A form that saves itself must not repeat the button that was pressed last: htmx remembers it
// as long as it has focus, and "Add a row" would add one with every key.
const BUTTONS = ["add", "adjust", "insert", "keep", "leave", "remove", "save", "shift"];

document.addEventListener("htmx:configRequest", ({ detail }) => {
  const pressed = detail.triggeringEvent?.type === "submit";
  if (pressed || !detail.elt.matches('[data-behaviour~="autosave"]')) return;
  for (const name of BUTTONS) detail.formData.delete(name);
});
