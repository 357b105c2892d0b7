// Runs once when the chat appears. The page only reports what was clicked; everything shown is rendered by demo.py.
const talk = () => element.querySelector(".talk");
const down = () => talk() && talk().scrollTo({ top: talk().scrollHeight });

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const data = button.dataset;
  if (data.ask) trigger("submit", { ask: data.ask, key: data.key ?? "", yes: data.yes === "1" });
  if (data.thumb) trigger("like", { turn: data.turn, thumb: Number(data.thumb) });
  if (data.show) {
    trigger("select", { show: Number(data.show) });
    const panel = document.querySelector("#panel");
    if (panel.getBoundingClientRect().top > window.innerHeight * 0.8) panel.scrollIntoView({ behavior: "smooth" });
  }
});

// Follow the answer while it grows, but leave a reader who has scrolled up where they are.
let count = 0;
watch("value", () => {
  const place = talk();
  if (!place) return;
  const turns = place.querySelectorAll(".asked").length;
  if (turns && (turns !== count || place.scrollHeight - place.scrollTop - place.clientHeight < 160)) down();
  count = turns;
});

// While a person has the conversation, look for what they have written.
setInterval(() => {
  const waiting = [...element.querySelectorAll(".person")].pop();
  if (waiting) trigger("select", { show: Number(waiting.dataset.turn) });
}, 4000);
