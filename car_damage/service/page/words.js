// What the page says to people: of each answer, warning and error, with what to do next.

// Each begins on a line of its own: tests/test_recipes.py looks for them.
export const WARNINGS = {
  blurred: "The photo is blurred. Hold the camera still, wait until it is sharp, and take it again.",
  dark: "The photo is very dark. Take it again in daylight or with more light.",
  overexposed: "The photo is too bright. Take it again with the light behind you.",
  low_resolution: "The photo has few pixels. Send the original and not a preview or a thumbnail.",
  unfamiliar: "The photo is unlike those that the model learnt from. Make sure that it shows a car, " +
    "from outside and not too close.",
};

export const VERDICTS = {
  damaged: "Damaged",
  not_damaged: "Not damaged",
  review: "Not sure: please check",
  refused: "No answer",
};

export const ADVICE = {
  damaged: "Signs of damage: have it assessed.",
  not_damaged: "No damage visible in this photo: photograph the other sides too.",
  review: "Look yourself, or take another photo from nearer.",
};

// After a number, in the line above several photos.
export const COUNTED = {
  damaged: "damaged",
  not_damaged: "not",
  review: "to check",
  refused: "without an answer",
  waiting: "waiting",
};

const TOO_LARGE = "The photo is too large, and this browser cannot make it smaller. Save it as a " +
  "smaller JPEG, then send that.";
const BUSY = "Many photos are being checked right now. Wait a moment, then try again.";

// By the error's type, without `/problems/`. They never call a file damaged: here, only cars are.
const PROBLEMS = {
  empty: "The file is empty. Choose the photo again, or take it again.",
  not_a_photo: "This file is not a photo that can be read here. Choose a photo, or save this one as " +
    "JPEG and send that. On an iPhone: Settings, Camera, Formats, Most Compatible.",
  truncated: "The file is incomplete, probably a broken upload: send it again. If that does not help, " +
    "copy the photo from the phone or camera again.",
  too_small: "The photo has too few pixels. Send the original and not a preview or a thumbnail.",
  too_large: TOO_LARGE,
  too_complex: "This file takes too long to read. Save the photo as JPEG, or take a screenshot of it, " +
    "then send that.",
  upload_too_large: TOO_LARGE,
  upload_stopped: "The upload stopped. Check the connection, then try again.",
  unauthorized: "The access key does not work any more. Enter it again, then try again.",
  rate_limited: "Too many photos were sent in a short time. Wait a minute, then try again.",
  busy: BUSY,
  timed_out: BUSY,
  no_model: "The service is not ready yet. Wait a minute, then try again. If that does not help, tell " +
    "the person in charge of this service.",
  internal_error: "Something went wrong in the service. Try again. If that does not help, tell the " +
    "person in charge of this service.",
  // The page's own
  unreachable: "The service cannot be reached. Check the connection, then try again.",
  unreadable: "This file cannot be read. If it is a folder, open it and choose the photos in it. " +
    "Otherwise choose the photo again.",
};

// What to say of a problem; of one that is not listed, what the service says.
export function sentenceOf({ kind, detail }) {
  return PROBLEMS[kind] ?? detail ?? PROBLEMS.unreachable;
}

// A probability in words, so that nothing is called certain.
export function percent(share) {
  if (share > 0.99) return "over 99 %";
  if (share < 0.01) return "under 1 %";
  return `${Math.round(share * 100)} %`;
}
