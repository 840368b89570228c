// The review page: one photo at a time, which a person calls damaged or not.

import { askForKey, asksForKey, onKey } from "./key.js";
import { send } from "./records.js";
import { WARNINGS, percent, sentenceOf } from "./words.js";

const REVIEWER = "car-damage-reviewer"; // where the tab keeps its name, so that a reload gets the same photo
const WITHOUT_KEYS = "car-damage-no-keys"; // where the browser keeps that the keys are off
const LABELS = { damaged: "damaged", not_damaged: "not damaged", cannot_tell: "cannot tell" };
// After these, the photo is not this person's any more.
const LOST = ["taken", "forgotten", "unknown_prediction"];

const find = (selector) => document.querySelector(selector);

const reviewer = sessionStorage.getItem(REVIEWER) ?? crypto.getRandomValues(new Uint32Array(4)).join("-");
sessionStorage.setItem(REVIEWER, reviewer);

let photo = null; // the one shown
let left = 0; // photos that wait, with this one
let last = null; // the last answer that can be undone, as {photo, label}
let busy = false;
let retry = load; // what the user's next try does

function tell(sentence) {
  find("#told").textContent = sentence;
}

// Do one thing at a time. Show a problem with a button that does it again.
async function attempt(work) {
  if (busy) return;
  busy = true;
  find("#photo").setAttribute("aria-busy", "true");
  find("#trouble").hidden = true;
  try {
    await work();
    retry = load;
  } catch (problem) {
    if (!problem.kind && !problem.status) throw problem; // a mistake of this page
    retry = () => attempt(work);
    if (problem.status === 401) askForKey(problem.key);
    else trouble(sentenceOf(problem));
  } finally {
    busy = false;
    find("#photo").setAttribute("aria-busy", "false");
  }
}

function trouble(sentence) {
  find("#trouble p").textContent = sentence;
  find("#trouble").hidden = false;
  tell(sentence);
}

function load() {
  return attempt(next);
}

async function next(before = "") {
  const said = await send("review/next", { reviewer });
  left = said.waiting;
  if (said.photo) show(said.photo, before);
  else showDone(before);
}

function show(shown, before = "") {
  photo = shown;
  find("#done").hidden = true;
  find("#photo").hidden = false;
  find(".photo").src = photo.picture;
  const day = new Date(photo.time).toLocaleDateString("en-GB", { dateStyle: "long" });
  find("figcaption").textContent = `Classified on ${day}`;
  find("#left").textContent = `${left} left`;
  find("#choices").hidden = false;
  find("#outcome").hidden = true;
  press(null);
  switchHeatmap(false);
  showAnswer(photo.answer);
  find("#about").textContent = photo.audit
    ? "Random check: you see the model's answer after yours. Your first answer counts."
    : `The model is not sure. Probability of damage: ${percent(photo.answer.probability)}.`;
  showLast();
  if (find("#photo").getBoundingClientRect().top < 0) find("#photo").scrollIntoView();
  tell([before, find("#about").textContent, `${left} left.`].filter(Boolean).join(" "));
}

// Show the heatmap's switch and the warnings of the model's answer, or nothing if there is none yet.
function showAnswer(answer) {
  const warnings = (answer?.warnings ?? []).map((word) => WARNINGS[word] ?? word);
  find(".warnings").replaceChildren(...warnings.map((sentence) => {
    const item = document.createElement("li");
    item.textContent = sentence.split(". ")[0].replace(/\.?$/, "."); // not how to take it again
    return item;
  }));
  find(".warnings").hidden = !warnings.length;
  find(".switch").hidden = !answer?.heatmap;
  if (answer?.heatmap) find(".overlay").src = answer.heatmap;
  else find(".overlay").removeAttribute("src");
  find(".why").textContent = "The coloured areas may show damage.";
  if (answer?.heatmap && answer.heatmap_version !== answer.model_version) {
    find(".why").textContent += ` The heatmap comes from a newer model, ${answer.heatmap_version}.`;
  }
}

function showDone(before) {
  photo = null;
  find("#photo").hidden = true;
  find("#done").hidden = false;
  showLast();
  find("#done-title").focus();
  tell([before, "Nothing is left to review."].filter(Boolean).join(" "));
}

function showLast() {
  find("#last").hidden = last === null;
  if (last) find("#last span").textContent = `You said: ${LABELS[last.label]}.`;
}

function press(label) {
  for (const button of find("#choices").children) {
    button.setAttribute("aria-pressed", String(button.dataset.label === label));
  }
}

function choose(label) {
  if (photo === null || find("#choices").hidden) return;
  attempt(async () => {
    press(label);
    const of = photo;
    let said;
    try {
      said = await send(`review/${of.prediction_id}`, { reviewer, label });
    } catch (problem) {
      press(null);
      if (!LOST.includes(problem.kind)) throw problem;
      last = null;
      await next(sentenceOf(problem));
      return;
    }
    if (of.audit) showOutcome(said);
    else {
      last = { photo: of, label };
      await next(`You said: ${LABELS[label]}.`);
    }
  });
}

// After an audit, show what the model had said, and wait until the person has seen it.
function showOutcome({ label, answer }) {
  last = null; // the first answer of an audit counts
  photo = { ...photo, answer };
  const same = label === answer.prediction ? "The model agrees" : "The model said";
  const share = `probability of damage ${percent(answer.probability)}`;
  find("#outcome p").textContent =
    `You said: ${LABELS[label]}. ${same}: ${LABELS[answer.prediction]}, ${share}.`;
  find("#choices").hidden = true;
  find("#outcome").hidden = false;
  find("#about").textContent = "This was a random check.";
  find("#left").textContent = `${left - 1} left`;
  showAnswer(answer);
  showLast();
  find("#next").focus();
  tell(find("#outcome p").textContent);
}

function undo() {
  if (last === null) return;
  attempt(async () => {
    const { photo: earlier } = last;
    last = null;
    try {
      await send(`review/${earlier.prediction_id}/undo`, { reviewer });
    } catch (problem) {
      if (!LOST.includes(problem.kind)) throw problem;
      showLast();
      trouble(problem.detail);
      return;
    }
    left += 1;
    show(earlier, "The answer was taken back.");
  });
}

function switchHeatmap(on) {
  find(".switch").setAttribute("aria-checked", String(on));
  find(".overlay").hidden = !on;
  find(".why").hidden = !on;
}

function toggleHeatmap() {
  if (find(".switch").hidden) return;
  switchHeatmap(find(".switch").getAttribute("aria-checked") !== "true");
  tell(find(".why").hidden ? "The heatmap is off." : find(".why").textContent);
}

const KEYS = {
  d: () => choose("damaged"),
  n: () => choose("not_damaged"),
  c: () => choose("cannot_tell"),
  h: toggleHeatmap,
  u: undo,
};

function pressKey(event) {
  const modified = event.ctrlKey || event.altKey || event.metaKey || event.repeat;
  if (modified || asksForKey() || !find("#use-keys").checked) return;
  const { key, target } = event;
  if (key === "Enter" && !find("#outcome").hidden && target === document.body) load();
  KEYS[key.toLowerCase()]?.();
}

function useKeys(on) {
  find("#use-keys").checked = on;
  document.body.classList.toggle("no-keys", !on);
  if (on) localStorage.removeItem(WITHOUT_KEYS);
  else localStorage.setItem(WITHOUT_KEYS, "yes");
}

for (const button of find("#choices").children) {
  button.addEventListener("click", () => choose(button.dataset.label));
}
find(".switch").addEventListener("click", toggleHeatmap);
find("#next").addEventListener("click", load);
find("#look").addEventListener("click", load);
find("#undo").addEventListener("click", undo);
find("#again").addEventListener("click", () => retry());
find("#use-keys").addEventListener("change", (event) => useKeys(event.target.checked));
useKeys(localStorage.getItem(WITHOUT_KEYS) === null);
onKey(() => { tell("Trying the access key …"); retry(); });
addEventListener("keydown", pressKey);
// Give the photo back, so that others need not wait. A page that comes back from the browser's memory
// asks again.
addEventListener("pagehide", () => { send("review/release", { reviewer }, true).catch(() => {}); });
addEventListener("pageshow", (event) => { if (event.persisted) load(); });
load();
