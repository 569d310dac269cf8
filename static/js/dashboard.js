// A dashboard that stays open follows the figures: every few seconds the same page is asked for, and the parts marked
// with data-live that have changed are exchanged. Nothing is asked while the tab is hidden, and no longer once nobody
// has touched the page for a while, so that a forgotten tab lets its session end.

const INTERVAL = 10000;
const ATTENDED = 10 * 60 * 1000;

let touched = Date.now();
let asking = false;
for (const event of ["pointermove", "pointerdown", "keydown", "scroll", "focus"]) {
  addEventListener(event, () => { touched = Date.now(); }, { passive: true, capture: true });
}

// What the server sent, not what scripts made of it since.
const sent = new WeakMap();
const regions = (root) => Array.from(root.querySelectorAll("[data-live][id]"));
const remember = () => { for (const region of regions(document)) if (!sent.has(region)) sent.set(region, region.innerHTML); };

function exchange(region, fresh) {
  const focused = region.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const open = Array.from(region.querySelectorAll("details")).map((details) => details.open);
  region.innerHTML = fresh.innerHTML;
  sent.set(region, fresh.innerHTML);
  Array.from(region.querySelectorAll("details")).forEach((details, index) => { details.open = Boolean(open[index]); });
  if (focused) {
    const link = Array.from(region.querySelectorAll("a[href]")).find((a) => a.getAttribute("href") === focused);
    if (link) link.focus({ preventScroll: true });
  }
  // Charts are drawn when something is loaded.
  document.dispatchEvent(new CustomEvent("htmx:load", { detail: { elt: region } }));
}

async function follow() {
  if (asking || document.hidden || Date.now() - touched > ATTENDED) return;
  asking = true;
  const address = location.href;
  try {
    const response = await fetch(address, { headers: { "X-Requested-With": "dashboard" }, credentials: "same-origin" });
    // Signed out meanwhile, or the server is away: what stands here stays, with its time.
    if (!response.ok || response.redirected || location.href !== address) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const region of regions(document)) {
      const fresh = page.getElementById(region.id);
      if (fresh && fresh.innerHTML !== sent.get(region)) exchange(region, fresh);
    }
  } catch {
    // Offline: the next round may find the server again.
  } finally {
    asking = false;
  }
}

// This module comes before the one that draws charts, so that both times the charts are not drawn yet.
remember();
document.addEventListener("htmx:load", remember);
document.addEventListener("visibilitychange", () => { if (!document.hidden) follow(); });
setInterval(follow, INTERVAL);
