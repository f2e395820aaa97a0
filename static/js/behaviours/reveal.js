// data-behaviour="reveal" aria-controls="id of a password field"
document.addEventListener("click", (event) => {
  const button = event.target.closest('[data-behaviour~="reveal"]');
  const field = button && document.getElementById(button.getAttribute("aria-controls"));
  if (!field) return;
  const shown = field.type === "password";
  field.type = shown ? "text" : "password";
  button.setAttribute("aria-pressed", String(shown));
});

// Or the browser would offer to keep the field's text among ordinary form values.
document.addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll('[data-behaviour~="reveal"]')) {
    document.getElementById(button.getAttribute("aria-controls")).type = "password";
  }
});
