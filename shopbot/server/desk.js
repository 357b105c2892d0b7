// Keeps a page fresh without touching what is being typed: every few seconds the same page is fetched, and in each
// region marked data-live the children that differ are exchanged. A text box that is still the same node keeps its text.
"use strict";

const SECONDS = 3;

function refresh(region, fresh) {
  const old = [...region.children], now = [...fresh.children];
  let same = 0;
  while (same < old.length && same < now.length && old[same].isEqualNode(now[same])) same += 1;
  if (same === old.length && same === now.length) return;
  const focused = region.contains(document.activeElement) ? document.activeElement.id : "";
  const typed = [...region.querySelectorAll("textarea, input:not([type=hidden])")].map((field) => [field.id, field.value]);
  const atEnd = region.scrollHeight - region.scrollTop - region.clientHeight < 40;
  old.slice(same).forEach((node) => node.remove());
  region.append(...now.slice(same));
  typed.forEach(([id, value]) => { const field = document.getElementById(id); if (field && value) field.value = value; });
  if (focused) document.getElementById(focused)?.focus();
  if (region.getAttribute("role") === "log" && atEnd) region.scrollTop = region.scrollHeight;
}

function tell(text) {
  const lost = document.getElementById("lost");
  if (lost.textContent !== text) lost.textContent = text;
  lost.hidden = !text;
}

async function look() {
  if (document.hidden || document.body.dataset.sending) return;
  try {
    const page = location.pathname.replace(/\/(take|say|give-back)$/, "");
    const answer = await fetch(page, { headers: { Accept: "text/html" } });
    if (answer.status === 401) return tell("The desk was started anew: open the new link from its terminal.");
    if (!answer.ok) return tell("The desk has trouble; what you see may be old. It is tried again.");
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const region of document.querySelectorAll("[data-live]")) {
      const other = fresh.getElementById(region.id);
      if (other) refresh(region, other);
    }
    document.title = fresh.title;
    tell("");
  } catch {
    tell("The desk cannot be reached; what you see may be old. It is tried again.");
  }
}

// Sent once, however often it is clicked.
document.addEventListener("submit", (event) => {
  if (document.body.dataset.sending) return event.preventDefault();
  document.body.dataset.sending = "yes";
});
window.addEventListener("pageshow", () => delete document.body.dataset.sending);
document.addEventListener("keydown", (event) => {
  if (event.target.id === "text" && event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.target.form.requestSubmit();
});
for (const log of document.querySelectorAll("[role=log]")) log.scrollTop = log.scrollHeight;
setInterval(look, SECONDS * 1000);
document.addEventListener("visibilitychange", look);
