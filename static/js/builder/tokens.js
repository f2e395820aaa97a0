// A value in a text field is written [[Start: Subject]].
export const TOKEN = /\[\[[^[\]\n]+\]\]/g;

/** Change the text as typing would: undo works and listeners hear it. */
export function replaceRange(field, from, to, text) {
  field.focus();
  field.setRangeText(text, from, to, "end");
  field.dispatchEvent(new InputEvent("input", { bubbles: true, inputType: "insertText" }));
}
