// After "Add a question" or "Add a row" typing goes on in what was added: left on the button, a
// space would press it again.
const answered = new WeakSet(); // a request settles once for each element that it brought

document.addEventListener("htmx:afterSettle", ({ detail }) => {
  const request = detail.requestConfig;
  const button = request?.triggeringEvent?.submitter;
  if (button?.name !== "add" || answered.has(request)) return;
  answered.add(request);
  const names = new RegExp(`^${button.value.split(":")[0]}-(\\d+)-`);
  const fields = [...document.querySelectorAll("input, select, textarea")].filter(
    (field) => names.test(field.name) && field.checkVisibility(),
  );
  const place = (field) => Number(names.exec(field.name)[1]);
  const newest = Math.max(...fields.map(place));
  fields.find((field) => place(field) === newest)?.focus();
});
