// What a page does better with a script; without it, every page works.

const EVERY = 2000, LONGEST = 15 * 60 * 1000;

// A run that is under way: its state is read again until it ends, and then what it changed.
const follow = async (state, until) => {
  const page = await fetch(location.href).then((answer) => (answer.ok ? answer.text() : ""));
  const read = new DOMParser().parseFromString(page, "text/html");
  const newer = read.querySelector("[data-state]");
  if (newer && newer.innerHTML !== state.innerHTML) state.innerHTML = newer.innerHTML;
  if (newer && !newer.hasAttribute("data-follow")) {
    for (const part of document.querySelectorAll("[data-followed]")) {
      const ended = read.querySelector(`[data-followed="${part.dataset.followed}"]`);
      if (ended) part.replaceWith(ended);
    }
  } else if (Date.now() < until) {
    setTimeout(() => follow(state, until).catch(() => {}), EVERY);
  }
};
const state = document.querySelector("[data-follow]");
if (state) setTimeout(() => follow(state, Date.now() + LONGEST).catch(() => {}), EVERY);

// A link to a page that takes long says so.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-busy]");
  if (link) link.textContent = link.dataset.busy;
});

// A form is sent once.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});
addEventListener("pageshow", () => document.querySelectorAll("[data-sent]").forEach((form) => delete form.dataset.sent));
// A part of another page that takes a while is loaded into this one.
async function load(place) {
  const before = [...place.childNodes];
  const waiting = document.createElement("p");
  waiting.className = "govuk-body";
  waiting.role = "status";
  waiting.textContent = place.dataset.waiting;
  place.replaceChildren(waiting);
  try {
    const answer = await fetch(place.dataset.load, { redirect: "error" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const part = answer.ok && page.querySelector(`[data-part="${place.dataset.part}"]`);
    place.replaceChildren(...(part ? part.childNodes : before));
  } catch {
    place.replaceChildren(...before);
  }
}
document.querySelectorAll("[data-load]").forEach(load);
