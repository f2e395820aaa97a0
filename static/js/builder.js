// Comfort for the builder. What it does, the page can do without it: each key presses a
// button that is there, and a value can be put in by the button "Insert".
import "./builder/focus-added.js";
import "./builder/insert-value.js";
import "./builder/paint-values.js";
import "./builder/press-once.js";
import "./builder/start-typing.js";
import "./builder/wait-for-saving.js";
import "./builder/walk-steps.js";
