// <span data-behaviour="count-down" data-seconds="30">in 30 s</span>: counts, and says when it is time.
const DONE = "now";

function tick() {
  for (const place of document.querySelectorAll('[data-behaviour~="count-down"]')) {
    const left = Number(place.dataset.seconds) - 1;
    place.dataset.seconds = left;
    if (left > 0) place.textContent = `in ${left < 60 ? `${left} s` : `${Math.ceil(left / 60)} min`}`;
    else {
      place.textContent = DONE;
      delete place.dataset.behaviour;
    }
  }
}

setInterval(tick, 1000);
