// The readers are others' work and leave some parts without a name or a rank. This adds what
// is missing, and again after each change they make: [selector, attributes or a function of
// the element that gives them].
export function mend(place, rules) {
  const mendAll = () => {
    for (const [selector, given] of rules) {
      for (const one of place.querySelectorAll(selector)) {
        const attributes = typeof given === "function" ? given(one) : given;
        for (const [name, value] of Object.entries(attributes)) {
          if (one.getAttribute(name) !== value) one.setAttribute(name, value);
        }
      }
    }
  };
  new MutationObserver(mendAll).observe(place, { childList: true, subtree: true });
}
