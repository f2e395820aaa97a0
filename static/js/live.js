// Pages that change by themselves. An element says what it watches:
//
//   <div id="live" data-watch="run:run_…" data-seq="57" data-every="2" data-quiet
//        hx-get="…?part=live&after=57" hx-trigger="poll-now" hx-swap="outerHTML">
//
// A socket event and a timer both end in one thing: asking for that part again. The answer
// is this element with a new seq, and the changed rows out of band. One way for the truth,
// so that it can't differ from a reload. data-every="0" says that nothing more will come.
import "./live/watch.js";
