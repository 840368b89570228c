// The page's sentences for each result, warning and error. Each says what to do next.

// Each warning starts on its own line, because tests/test_recipes.py looks for it there.
export const WARNINGS = {
  blurred: "The photo is blurred. Hold the camera still, wait for it to focus, and take it again.",
  dark: "The photo is very dark. Take it again in daylight or with more light.",
  overexposed: "The photo is too bright. Take it again with the light behind you.",
  low_resolution: "The photo has a low resolution. Send the original, not a preview or a thumbnail.",
  unfamiliar: "The model has seen few photos like this one. Make sure it shows a car from the " +
    "outside and not too close.",
};

export const VERDICTS = {
  damaged: "Damaged",
  not_damaged: "Not damaged",
  review: "Not sure: please check",
  refused: "No result",
};

export const ADVICE = {
  damaged: "The photo shows signs of damage. Have the car assessed.",
  not_damaged: "No damage visible in this photo. Other sides of the car need photos of their own.",
  review: "Check the photo yourself, or take another one closer up.",
};

// The words after each number in the line above several photos.
export const COUNTED = {
  damaged: "damaged",
  not_damaged: "not damaged",
  review: "to check",
  refused: "without a result",
  waiting: "waiting",
};

const TOO_LARGE = "The photo is too large, and this browser cannot make it smaller. Save it as a " +
  "smaller JPEG and send that.";
const BUSY = "Many photos are being checked right now. Wait a moment, then try again.";

// The keys are the error's type without `/problems/`. No sentence calls a file damaged: on this page
// the word is only for cars.
const PROBLEMS = {
  empty: "The file is empty. Choose the photo again, or take it again.",
  not_a_photo: "The service cannot read this file as a photo. Choose another file, or save this one " +
    "as a JPEG and send that. On an iPhone, choose Settings, Camera, Formats, Most Compatible.",
  truncated: "The file is incomplete, probably because an upload broke off. Send it again. If that " +
    "does not help, copy the photo from the phone or camera again.",
  too_small: "The photo is too small. Send the original, not a preview or a thumbnail.",
  too_large: TOO_LARGE,
  too_complex: "The service takes too long to read this file. Save the photo as a JPEG, or take a " +
    "screenshot of it, and send that.",
  upload_too_large: TOO_LARGE,
  upload_stopped: "The upload stopped. Check the connection, then try again.",
  unauthorized: "The access key no longer works. Enter a valid key, then try again.",
  rate_limited: "Too many photos were sent in a short time. Wait a minute, then try again.",
  busy: BUSY,
  timed_out: BUSY,
  no_model: "The service is not ready yet. Wait a minute, then try again. If that does not help, tell " +
    "the person in charge of this service.",
  internal_error: "Something went wrong in the service. Try again. If that does not help, tell the " +
    "person in charge of this service.",
  records_unavailable: "The service cannot reach its records. Wait a minute, then try again.",
  unknown_prediction: "The service has no record of this photo. Send the photo again.",
  forgotten: "The record of this photo was deleted.",
  taken: "Somebody else has reviewed this photo. Here is the next one.",
  // These two come from the page itself.
  unreachable: "The service cannot be reached. Check the connection, then try again.",
  unreadable: "This file cannot be read. If it is a folder, open it and choose the photos in it. " +
    "Otherwise, choose the photo again.",
};

// The page's sentence for a problem, or the service's own sentence if the page has none.
export function sentenceOf({ kind, detail }) {
  return PROBLEMS[kind] ?? detail ?? PROBLEMS.unreachable;
}

// How often and when the photo came before.
export function seenBefore({ match, times, last }) {
  const what = match === "exact" ? "This photo" : "A similar photo";
  const day = new Date(last).toLocaleDateString("en-GB", { dateStyle: "long" });
  return times === 1 ? `${what} came before, on ${day}.` : `${what} came before: ${times} times, last on ${day}.`;
}

// A probability as text. It never says 0 % or 100 %, because no result is certain.
export function percent(share) {
  if (share > 0.99) return "over 99 %";
  if (share < 0.01) return "under 1 %";
  return `${Math.round(share * 100)} %`;
}
