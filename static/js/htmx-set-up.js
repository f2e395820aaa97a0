// htmx with morph swaps. The extension that comes with idiomorph builds a Function for
// "morph:{...}", which our Content-Security-Policy forbids, so these two forms are our own.
import htmx from "htmx.org";
import { Idiomorph } from "idiomorph";

const STYLES = { morph: "outerHTML", "morph:outerHTML": "outerHTML", "morph:innerHTML": "innerHTML" };

htmx.defineExtension("morph", {
  isInlineSwap: (style) => STYLES[style] === "outerHTML",
  handleSwap(style, target, fragment) {
    if (!STYLES[style]) return false;
    return Idiomorph.morph(target, fragment.children, {
      morphStyle: STYLES[style],
      callbacks: { beforeAttributeUpdated: keepOpen },
    });
  },
});

// A <details> that the reader opened stays open when the server sends it closed.
function keepOpen(attribute, element) {
  if (attribute === "open" && element instanceof HTMLDetailsElement) return false;
}
