// After a form came back with errors: focus the summary and begin the title with "Error:".
const PREFIX = "Error: ";

function show() {
  const summary = document.querySelector("[data-error-summary]");
  const plain = document.title.replace(PREFIX, "");
  document.title = summary ? PREFIX + plain : plain;
  return summary;
}

document.addEventListener("htmx:afterSwap", (event) => {
  const summary = show();
  if (event.detail.xhr?.status === 422) summary?.focus();
});

show()?.focus();
