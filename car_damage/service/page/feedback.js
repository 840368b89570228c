// A person's word on an answer: two buttons on its card.

import { accessKey, askForKey } from "./key.js";
import { send } from "./records.js";
import { sentenceOf } from "./words.js";

const { records } = document.body.dataset; // "key" or "open", "" if this client cannot send feedback

// Show the buttons for an answer. `tell` reads a sentence out.
export function showFeedback(element, said, tell) {
  const part = element.querySelector(".feedback");
  const mayJudge = records === "open" || (records === "key" && accessKey() !== null);
  part.hidden = !mayJudge || !said.prediction_id;
  const state = part.querySelector(".state");
  state.textContent = "";
  let chosen = null;
  let busy = false;

  function press(label) {
    for (const button of part.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.label === label));
    }
  }

  async function choose(label) {
    if (busy) return;
    busy = true;
    press(label);
    state.textContent = "Saving …";
    try {
      await send("feedback", { prediction_id: said.prediction_id, label });
      chosen = label;
      state.textContent = "Saved, thank you. You can still change it.";
    } catch (problem) {
      state.textContent = `Not saved. ${sentenceOf(problem)}`;
      if (problem.status === 401) askForKey(problem.key);
    }
    press(chosen);
    tell(state.textContent);
    busy = false;
  }

  press(null);
  for (const button of part.querySelectorAll("button")) button.onclick = () => choose(button.dataset.label);
}
