"use strict";

const WARNINGS = {
  blurred: "The photo is blurred. Hold the camera still, wait until it is sharp, and take it again.",
  dark: "The photo is very dark. Take it again in daylight or with more light.",
  overexposed: "The photo is too bright. Take it again with the light behind you.",
  low_resolution: "The photo has few pixels. Send the original and not a preview or a thumbnail.",
  unfamiliar: "The photo is unlike those that the model learnt from. Make sure that it shows a car, " +
    "from outside and not too close.",
};
const ADVICE = {
  damaged: "The photo looks like those of damaged cars.",
  not_damaged: "Nothing in the photo looks like damage. What it does not show, it does not tell.",
  review: "The model cannot tell for sure. Have a person look at this photo.",
};
const UNREACHABLE = "The service cannot be reached. Check the connection, then try again.";
const KEY = "car-damage-key"; // where the tab keeps the access key
const AT_ONCE = 2; // photos sent at a time: the others wait here instead of in the service's queue

const find = (selector, within = document) => within.querySelector(selector);
const width = (share) => `${100 * share}%`;

// In words, so that nothing is called certain.
function percent(share) {
  if (share > 0.99) return "over 99 %";
  if (share < 0.01) return "under 1 %";
  return `${Math.round(share * 100)} %`;
}

let model = {}; // the card of the one in use
let busy = 0;
const waiting = [];

function tell(sentence) {
  find("#told").textContent = sentence;
}

function add(files) {
  const photos = [...files];
  if (!photos.length) return;
  const cards = photos.map(newCard);
  find("#answers").hidden = false;
  find("#cards").prepend(...cards.map((card) => card.element));
  tell(photos.length === 1 ? `${photos[0].name} is being sent.` : `${photos.length} photos are being sent.`);
  cards.forEach(send);
}

function newCard(file) {
  const element = find("#card").content.cloneNode(true).firstElementChild;
  const card = { file, element };
  const photo = find(".photo", element);
  photo.alt = `Photo ${file.name}`;
  photo.addEventListener("error", () => element.classList.add("no-picture"));
  photo.src = URL.createObjectURL(file);
  find("figcaption", element).textContent = file.name;
  find(".remove", element).setAttribute("aria-label", `Remove ${file.name}`);
  find(".remove", element).addEventListener("click", () => remove(card));
  find(".again", element).addEventListener("click", () => send(card));
  find(".switch", element).addEventListener("click", () => switchHeatmap(card));
  return card;
}

function send(card) {
  reset(card, "Waiting …");
  waiting.push(card);
  work();
}

function work() {
  while (busy < AT_ONCE && waiting.length) {
    busy += 1;
    answer(waiting.shift()).finally(() => { busy -= 1; work(); });
  }
}

async function answer(card) {
  reset(card, "Looking at the photo …");
  try {
    const said = await ask(card.file);
    if (said.model_version !== model.version) await showModel(); // it was loaded only now, or anew
    show(card, said);
  } catch (problem) {
    refuse(card, problem);
  }
}

// Send one photo. Throws an object with the sentence to show as `detail`.
async function ask(file, options = "") {
  const body = new FormData();
  body.append("image", file, "photo"); // its name is nobody's business
  const key = sessionStorage.getItem(KEY);
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  let response;
  try {
    response = await fetch(`predict${options}`, { method: "POST", body, headers });
  } catch {
    throw { detail: UNREACHABLE, again: true };
  }
  let said;
  try {
    said = await response.json();
  } catch { // an answer of something in between, such as a proxy
    throw { detail: UNREACHABLE, again: true };
  }
  if (!response.ok) throw { ...said, again: [401, 408, 429, 500, 503].includes(response.status) };
  return said;
}

function reset(card, verdict) {
  const { element } = card;
  element.classList.remove("refused");
  find(".verdict", element).textContent = verdict;
  for (const part of [".advice", ".measure", ".warnings", ".why"]) find(part, element).hidden = true;
  find(".again", element).disabled = true; // not hidden: a second press would hit the next button
}

function show(card, said) {
  const { element } = card;
  const kind = said.review ? "review" : said.prediction;
  element.classList.add(said.prediction, kind);
  const verdict = { damaged: "Damaged", not_damaged: "Not damaged", review: "Not sure: please check" }[kind];
  find(".verdict", element).textContent = verdict;
  find(".advice", element).textContent = ADVICE[kind];
  find(".advice", element).hidden = false;
  showMeasure(element, said);
  const list = find(".warnings", element);
  const warnings = said.warnings.map((warning) => WARNINGS[warning] ?? warning);
  list.replaceChildren(...warnings.map((warning) => {
    const item = document.createElement("li");
    item.textContent = warning;
    return item;
  }));
  list.hidden = !said.warnings.length;
  find(".again", element).hidden = true;
  find(".switch", element).hidden = false;
  const all = [`${verdict}.`, ...warnings, `Probability of damage ${percent(said.probability)}.`];
  tell(`${card.file.name}: ${all.join(" ")}`);
}

function showMeasure(element, said) {
  find(".share", element).textContent = `Probability of damage: ${percent(said.probability)}`;
  find(".bar", element).style.width = width(said.probability);
  find(".threshold", element).style.left = width(said.threshold);
  let legend = `The line at ${percent(said.threshold)} parts not damaged from damaged.`;
  const hatched = find(".band", element);
  const [low, high] = model.review_band ?? [0, 0];
  hatched.hidden = low === high;
  if (!hatched.hidden) {
    hatched.style.left = width(low);
    hatched.style.width = width(high - low);
    legend += ` Within the hatched part, ${percent(low)} to ${percent(high)}, a person should look.`;
  }
  find(".legend", element).textContent = legend;
  find(".measure", element).hidden = false;
}

function refuse(card, problem) {
  const { element } = card;
  element.classList.add("refused");
  find(".verdict", element).textContent = "No answer";
  find(".advice", element).textContent = problem.detail;
  find(".advice", element).hidden = false;
  find(".again", element).hidden = !problem.again;
  find(".again", element).disabled = false;
  tell(`${card.file.name}: no answer. ${problem.detail}`);
  if (problem.status === 401) askForKey();
}

async function switchHeatmap(card) {
  const { element } = card;
  const control = find(".switch", element);
  const overlay = find(".overlay", element);
  const why = find(".why", element);
  const on = control.getAttribute("aria-checked") !== "true";
  control.setAttribute("aria-checked", String(on));
  if (on && !overlay.src) {
    why.textContent = "Looking for what speaks for damage …";
    why.hidden = false;
    try {
      const said = await ask(card.file, "?heatmap=true&repeat=true");
      overlay.src = said.heatmap;
      overlay.alt = `Heatmap over ${card.file.name}`;
      why.textContent = said.box
        ? "Coloured is what speaks for damage; the brighter, the more."
        : "Nothing in this photo speaks for damage.";
    } catch (problem) {
      control.setAttribute("aria-checked", "false");
      why.textContent = problem.detail;
      tell(problem.detail);
      return;
    }
  }
  const shown = control.getAttribute("aria-checked") === "true"; // it may have been switched back
  element.classList.remove("no-picture"); // a TIFF, which browsers do not show, has one now
  overlay.hidden = !shown;
  why.hidden = !shown;
  tell(shown ? why.textContent : "The heatmap is off.");
}

function remove(card) {
  const next = card.element.nextElementSibling ?? card.element.previousElementSibling;
  const place = waiting.indexOf(card);
  if (place >= 0) waiting.splice(place, 1);
  forget(card.element);
  card.element.remove();
  find("#answers").hidden = !find("#cards").childElementCount;
  (next ?? find("#choose")).focus();
  tell(`${card.file.name} was removed.`);
}

// Give back the memory of the photos shown in an element.
function forget(element) {
  element.querySelectorAll(".photo").forEach((photo) => URL.revokeObjectURL(photo.src));
}

function askForKey() {
  sessionStorage.removeItem(KEY);
  find("#key-form").hidden = false;
  find("#key").focus();
}

function useKey(event) {
  event.preventDefault();
  sessionStorage.setItem(KEY, find("#key").value.trim());
  find("#key").value = "";
  find("#key-form").hidden = true;
  tell("The key is used from now on.");
  document.querySelectorAll(".refused .again:not([hidden])").forEach((button) => button.click());
  find("#choose").focus();
}

async function showModel() {
  const down = find("#down");
  try {
    const response = await fetch("model");
    const said = await response.json();
    if (!response.ok) throw said;
    model = said;
    find("#model").textContent = `Model ${model.version}`;
    find("#sample").hidden = !model.sample;
    down.hidden = true;
  } catch (problem) {
    down.textContent = problem.detail ?? UNREACHABLE;
    down.hidden = false;
  }
}

for (const input of [find("#choose"), find("#take")]) {
  input.addEventListener("change", () => { add(input.files); input.value = ""; });
}
find("#take-label").hidden = !matchMedia("(pointer: coarse)").matches;
find("#key-form").addEventListener("submit", useKey);
find("#clear").addEventListener("click", () => {
  waiting.length = 0;
  forget(find("#cards"));
  find("#cards").replaceChildren();
  find("#answers").hidden = true;
  find("#choose").focus();
  tell("All photos were removed.");
});

addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dragging"); });
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  add(event.dataTransfer.files);
});
addEventListener("paste", (event) => { if (event.clipboardData.files.length) add(event.clipboardData.files); });

showModel();
