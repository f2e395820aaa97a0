// An answer of 4xx or 5xx is a small notice. Show it in the nearest [data-notice] region;
// 409 and 422 are forms and stay where they are. No answer at all has a text in the page.
function region(element) {
  for (let at = element; at; at = at.parentElement) {
    const found = at.querySelector?.("[data-notice]");
    if (found) return found;
  }
  return null;
}

document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, requestConfig } = event.detail;
  const routed = xhr.status >= 400 && ![401, 409, 422].includes(xhr.status);
  const place = routed && region(requestConfig?.elt ?? event.target);
  if (!place || !xhr.getResponseHeader("Content-Type")?.startsWith("text/html")) return;
  event.detail.target = place;
  event.detail.swapOverride = "innerHTML";
  event.detail.shouldSwap = true;
});

function unreachable(event) {
  const element = event.detail.elt;
  if (element.matches("[data-quiet]")) return; // polling has its own words for this
  const text = document.getElementById("unreachable");
  const place = region(element);
  if (text && place) place.replaceChildren(text.content.cloneNode(true));
}
document.addEventListener("htmx:sendError", unreachable);
document.addEventListener("htmx:timeout", unreachable);

// The next good answer to a person's own action takes the old notice away.
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful && event.detail.requestConfig?.verb !== "get") {
    region(event.detail.elt)?.replaceChildren();
  }
});
