// The script of every page. Each page works without it; this makes it quicker and calmer.
import "./htmx-set-up.js";
import "./behaviours/ask-sign-in.js";
import "./behaviours/autosave.js";
import "./behaviours/close-menus.js";
import "./behaviours/copy.js";
import "./behaviours/count-down.js";
import "./behaviours/dismiss.js";
import "./behaviours/focus-errors.js";
import "./behaviours/guard-edits.js";
import "./behaviours/keep-focus.js";
import "./behaviours/press-keys.js";
import "./behaviours/reveal.js";
import "./behaviours/route-notices.js";
import "./behaviours/show-busy.js";
import "./behaviours/show-pane.js";
import "./behaviours/tell-time.js";
