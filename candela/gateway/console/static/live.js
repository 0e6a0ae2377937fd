// Exchange what is marked data-live for its newest version while something moves.
const BUSY_MS = 2000;
const IDLE_MS = 15000;

function sayRelative(time) {
  const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
  const steps = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [Infinity, 86400, "d"]];
  const [, unit, name] = steps.find(([limit]) => seconds < limit);
  time.title ||= time.textContent;
  time.textContent = seconds < 5 ? "just now" : `${Math.floor(seconds / unit)} ${name} ago`;
}

function dress(root) {
  root.querySelectorAll("time").forEach(sayRelative);
  root.querySelectorAll("[data-tail]").forEach((log) => { log.scrollTop = log.scrollHeight; });
}

function isMoving() {
  return document.querySelector('[data-live][data-moving="True"]') !== null;
}

async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.ok) exchange(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // The gateway is away for a moment; the next turn will tell.
    }
  }
  plan();
}

function exchange(page) {
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = page.querySelector(`[data-live="${old.dataset.live}"]`);
    if (!fresh || fresh.innerHTML === old.dataset.seen) continue;
    fresh.dataset.seen = fresh.innerHTML;
    dress(fresh);
    old.replaceWith(fresh);
  }
}

function plan() {
  const only = document.querySelector('[data-live="job"]');
  if (only && !isMoving()) return; // a job's page is final when the job is
  setTimeout(refresh, isMoving() ? BUSY_MS : IDLE_MS);
}

for (const part of document.querySelectorAll("[data-live]")) part.dataset.seen = part.innerHTML;
dress(document);
plan();
