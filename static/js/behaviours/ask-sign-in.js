// 401: place the sign-in form over the page, keep what was asked, ask again afterwards.
// Nothing on the page is lost, since the page itself stays.
import htmx from "htmx.org";

const kept = [];

document.addEventListener("htmx:beforeSwap", (event) => {
  const dialog = document.getElementById("dialog");
  if (event.detail.xhr.status !== 401 || !dialog) return;
  const { verb, path, parameters, elt } = event.detail.requestConfig;
  if (!dialog.contains(elt)) kept.push({ verb, path, parameters, elt });
  event.detail.target = dialog;
  event.detail.swapOverride = "innerHTML";
  event.detail.shouldSwap = !dialog.open || dialog.contains(elt);
});

document.addEventListener("htmx:afterSwap", (event) => {
  const dialog = event.detail.target;
  if (dialog?.id === "dialog" && !dialog.open) dialog.showModal();
});

// The server says this after a good sign-in, with the form token of the new session.
document.addEventListener("signed-in", (event) => {
  const token = event.detail.csrf;
  for (const field of document.querySelectorAll('input[name="csrf_token"]')) field.value = token;
  document.getElementById("dialog").close();
  for (const { verb, path, parameters, elt } of kept.splice(0)) {
    const values = { ...parameters };
    if ("csrf_token" in values) values.csrf_token = token;
    if (elt.isConnected) htmx.ajax(verb, path, { source: elt, values });
  }
});
