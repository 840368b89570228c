// The page: every added photo gets a card, which shows its result.

import { ask } from "./ask.js";
import { csvOf } from "./csv.js";
import { showFeedback } from "./feedback.js";
import { askForKey, asksForKey, onKey } from "./key.js";
import { ADVICE, COUNTED, VERDICTS, WARNINGS, percent, seenBefore, sentenceOf } from "./words.js";

const AT_ONCE = 2; // photos sent at a time; the others wait here, not in the service's queue
const WORTH_ANOTHER_TRY = [408, 429, 500, 503];

const find = (selector, within = document) => within.querySelector(selector);
const width = (share) => `${100 * share}%`;

let model = {}; // the card of the model in use
let busy = 0;
let waiting = [];
// Each photo, in the order shown, as {name, file, element, kind, said, problem, alone}. `kind` is a key
// of COUNTED.
let cards = [];
let jumpedTo = null;

function tell(sentence) {
  find("#told").textContent = sentence;
}

function add(files) {
  const photos = [...files];
  if (!photos.length) return;
  const added = photos.map(newCard);
  cards = [...added, ...cards];
  find("#cards").prepend(...added.map((card) => card.element));
  added.forEach((card) => { card.alone = added.length === 1; });
  tell(added.length === 1 ? `Uploading ${photos[0].name} …` : `Uploading ${photos.length} photos …`);
  added.forEach(send);
}

function newCard(file) {
  const element = find("#card").content.cloneNode(true).firstElementChild;
  const card = { name: file.name, file, element };
  const photo = find(".photo", element);
  photo.alt = `Photo ${file.name}`;
  card.shown = new Promise((resolve) => { // false: this browser cannot show the format
    const settle = (shown) => { element.classList.toggle("no-picture", !shown); resolve(shown); };
    photo.addEventListener("load", () => settle(true));
    photo.addEventListener("error", () => settle(false));
  });
  photo.src = URL.createObjectURL(file);
  find("figcaption", element).textContent = file.name;
  find(".remove", element).setAttribute("aria-label", `Remove ${file.name}`);
  find(".remove", element).addEventListener("click", () => remove(card));
  find(".again", element).addEventListener("click", () => { card.alone = true; send(card); });
  find(".switch", element).addEventListener("click", () => switchHeatmap(card));
  return card;
}

function send(card) {
  reset(card, "Waiting …");
  waiting.push(card);
  work();
}

// Send waiting photos, but not while the key is missing: the service would refuse them.
function work() {
  while (busy < AT_ONCE && waiting.length && !asksForKey()) {
    busy += 1;
    answer(waiting.shift()).finally(() => { busy -= 1; work(); });
  }
}

async function answer(card) {
  reset(card, "Checking the photo …");
  try {
    const said = await ask(card, await card.shown ? "" : "?picture=true");
    if (!cards.includes(card)) return; // removed meanwhile
    if (said.picture) {
      forget(card.element);
      find(".photo", card.element).src = said.picture;
    }
    if (said.model_version !== model.version) await showModel(); // the service has loaded another model
    show(card, said);
  } catch (problem) {
    if (!cards.includes(card)) return;
    if (problem.status === 401) waitForKey(card, problem.key);
    else refuse(card, problem);
  }
}

function reset(card, verdict) {
  const { element } = card;
  find(".verdict", element).textContent = verdict;
  for (const part of [".advice", ".measure", ".warnings", ".why", ".seen", ".feedback"]) {
    find(part, element).hidden = true;
  }
  find(".again", element).disabled = true; // if hidden, a second press would hit the next button
  turn(card, "waiting");
}

// Set a card's kind. Every change goes through here, so that the summary is always correct.
function turn(card, kind) {
  card.kind = kind;
  card.element.classList.remove(...Object.keys(COUNTED));
  card.element.classList.add(kind);
  showSummary();
}

function show(card, said) {
  const { element } = card;
  const kind = said.review ? "review" : said.prediction;
  card.said = said;
  turn(card, kind);
  find(".verdict", element).textContent = VERDICTS[kind];
  find(".advice", element).textContent = ADVICE[kind];
  find(".advice", element).hidden = false;
  if (card.shrunk) find("figcaption", element).textContent = `${card.name} (made smaller before sending)`;
  showMeasure(element, said);
  const warnings = said.warnings.map((warning) => WARNINGS[warning] ?? warning);
  showWarnings(element, warnings);
  find(".again", element).hidden = true;
  find(".switch", element).hidden = false;
  const seen = said.seen_before ? [seenBefore(said.seen_before)] : [];
  find(".seen", element).textContent = seen.join("");
  find(".seen", element).hidden = !seen.length;
  showFeedback(element, said, tell);
  const share = `Probability of damage ${percent(said.probability)}.`;
  tellOutcome(card, [`${VERDICTS[kind]}.`, ADVICE[kind], ...seen, ...warnings, share].join(" "));
}

function showWarnings(element, warnings) {
  const list = find(".warnings", element);
  list.replaceChildren(...warnings.map((warning) => {
    const item = document.createElement("li");
    item.textContent = warning;
    return item;
  }));
  list.hidden = !warnings.length;
}

function showMeasure(element, said) {
  find(".share", element).textContent = `Probability of damage: ${percent(said.probability)}`;
  find(".bar", element).style.width = width(said.probability);
  find(".threshold", element).style.left = width(said.threshold);
  let legend = `Photos at or above the line (${percent(said.threshold)}) are classified as damaged.`;
  const hatched = find(".band", element);
  const [low, high] = model.review_band ?? [0, 0];
  hatched.hidden = low === high;
  if (!hatched.hidden) {
    hatched.style.left = width(low);
    hatched.style.width = width(high - low);
    legend += ` Between ${percent(low)} and ${percent(high)} (hatched), a person should check the photo.`;
  }
  find(".legend", element).textContent = legend;
  find(".measure", element).hidden = false;
}

function refuse(card, problem) {
  const { element } = card;
  const sentence = sentenceOf(problem);
  card.problem = problem;
  turn(card, "refused");
  find(".verdict", element).textContent = VERDICTS.refused;
  find(".advice", element).textContent = sentence;
  find(".advice", element).hidden = false;
  find(".again", element).hidden = !["unreachable", "truncated"].includes(problem.kind) &&
    !WORTH_ANOTHER_TRY.includes(problem.status);
  find(".again", element).disabled = false;
  tellOutcome(card, `${VERDICTS.refused}. ${sentence}`);
}

// Read out the result of a single photo. For several photos, read out only the summary at the end.
function tellOutcome(card, sentence) {
  if (card.alone) tell(`${card.name}: ${sentence}`);
  else if (!cards.some((other) => other.kind === "waiting")) tell(`Done. ${find("#counts").textContent}.`);
}

function newCount(kind) {
  const part = find("#count").content.cloneNode(true).firstElementChild;
  part.dataset.kind = kind;
  find(".count", part).addEventListener("click", () => jump(kind));
  return part;
}

// "45 photos: 16 damaged, 20 not damaged, 9 to check". Each count is a button that jumps to its photos.
function showSummary() {
  find("#answers").hidden = !cards.length;
  find("#summary").hidden = find("#save").hidden = cards.length < 2;
  let before = cards.length === 1 ? "1 photo: " : `${cards.length} photos: `;
  for (const part of find("#counts").children) {
    const { kind } = part.dataset;
    const count = cards.filter((card) => card.kind === kind).length;
    part.hidden = !count;
    find(".before", part).textContent = count ? before : "";
    find(".count", part).textContent = count ? `${count} ${COUNTED[kind]}` : "";
    if (count) before = ", ";
  }
  // The summary sticks to the top, so scrolling must leave room for it.
  const height = find("#summary").offsetHeight;
  document.documentElement.style.scrollPaddingTop = `calc(${height}px + .5rem)`;
}

// Jump to the first photo of a kind, and to the next one with each further press.
function jump(kind) {
  const those = cards.filter((card) => card.kind === kind);
  jumpedTo = those[(those.indexOf(jumpedTo) + 1) % those.length];
  jumpedTo.element.focus({ preventScroll: true });
  jumpedTo.element.scrollIntoView({ block: "start" });
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csvOf(cards)], { type: "text/csv" }));
  link.download = "car photos.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // some browsers read it later
}

async function switchHeatmap(card) {
  const { element } = card;
  const control = find(".switch", element);
  const overlay = find(".overlay", element);
  const why = find(".why", element);
  const on = control.getAttribute("aria-checked") !== "true";
  control.setAttribute("aria-checked", String(on));
  if (on && !overlay.src) {
    why.textContent = "Looking for signs of damage …";
    why.hidden = false;
    try {
      const said = await ask(card, "?heatmap=true&repeat=true");
      overlay.src = said.heatmap;
      overlay.alt = `Heatmap over ${card.name}`;
      why.textContent = said.box
        ? "The coloured areas may show damage. The brighter the colour, the stronger the sign."
        : "The model sees no sign of damage in this photo.";
    } catch (problem) {
      control.setAttribute("aria-checked", "false");
      why.textContent = sentenceOf(problem);
      tell(why.textContent);
      if (problem.status === 401) askForKey(problem.key);
      return;
    }
  }
  const shown = control.getAttribute("aria-checked") === "true"; // the user may have switched it back
  overlay.hidden = !shown;
  why.hidden = !shown;
  tell(shown ? why.textContent : "The heatmap is off.");
}

function remove(card) {
  const next = card.element.nextElementSibling ?? card.element.previousElementSibling;
  waiting = waiting.filter((other) => other !== card);
  cards = cards.filter((other) => other !== card);
  forget(card.element);
  card.element.remove();
  showSummary();
  (next ?? find("#choose")).focus();
  tell(`${card.name} was removed.`);
}

function removeAll() {
  waiting = [];
  cards = [];
  forget(find("#cards"));
  find("#cards").replaceChildren();
  showSummary();
  find("#choose").focus();
  tell("All photos were removed.");
}

// Free the memory of the photos shown in an element.
function forget(element) {
  element.querySelectorAll(".photo").forEach((photo) => URL.revokeObjectURL(photo.src));
}

// Put the photo at the front of the queue, which continues once there is a key.
function waitForKey(card, refusedKey) {
  reset(card, "Waiting for the access key");
  waiting.unshift(card);
  askForKey(refusedKey);
}

function useKey() {
  tell("Trying the access key …");
  find("#choose").focus();
  work();
}

async function showModel() {
  const down = find("#down");
  try {
    const response = await fetch("model");
    const said = await response.json();
    if (!response.ok) throw { kind: said.type?.replace("/problems/", ""), detail: said.detail };
    model = said;
    find("#model").textContent = `Model ${model.version}`;
    find("#sample").hidden = !model.sample;
    down.hidden = true;
  } catch (problem) {
    down.textContent = sentenceOf(problem instanceof Error ? {} : problem);
    down.hidden = false;
  }
}

for (const input of [find("#choose"), find("#take")]) {
  input.addEventListener("change", () => { add(input.files); input.value = ""; });
}
find("#counts").append(...Object.keys(COUNTED).map(newCount));
find("#take-label").hidden = !matchMedia("(pointer: coarse)").matches;
onKey(useKey);
find("#clear").addEventListener("click", removeAll);
find("#save").addEventListener("click", save);

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
