// <time data-relative datetime="…">absolute</time>: says "3 min ago" and keeps saying it
// right. The absolute text stays for pages without script and in the tooltip.
const AGAIN_MS = 30_000;
const DAY_S = 86_400;
const timeZone = document.documentElement.dataset.zone || undefined;
const weekday = new Intl.DateTimeFormat("en-US", {
  weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone,
});

function words(at) {
  const past_s = Math.round((Date.now() - at) / 1000);
  const away_s = Math.abs(past_s);
  const said = (text) => (past_s >= 0 ? `${text} ago` : `in ${text}`);
  if (away_s < 60) return past_s >= 0 ? "just now" : "in under a minute";
  if (away_s < 3600) return said(`${Math.floor(away_s / 60)} min`);
  if (away_s < DAY_S) return said(`${Math.floor(away_s / 3600)} h`);
  if (away_s < 7 * DAY_S) return weekday.format(at).replace(",", "");
  return null; // the date itself says more
}

function tell() {
  for (const time of document.querySelectorAll("time[data-relative]")) {
    time.dataset.absolute ??= time.textContent;
    const text = words(new Date(time.dateTime)) ?? time.dataset.absolute;
    if (time.textContent !== text) time.textContent = text;
  }
}

tell();
setInterval(tell, AGAIN_MS);
document.addEventListener("htmx:afterSettle", tell);
