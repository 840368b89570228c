// One photo to the service and its answer back. Problems are thrown as {kind, detail, status, key}.

import { shrink } from "./shrink.js";

const STORED = "car-damage-key"; // where the tab keeps the access key
const FORM = 1000; // bytes: more than the form around a photo takes
const LIMIT = document.body.dataset.maxUploadMb * 2 ** 20 - FORM; // bytes of a photo
// What a photo over a limit is shrunk to, first the one, then the other: a proxy may allow less than
// the service. Even the second is more than the model sees.
const SMALLER = [4_000_000, 1_000_000]; // pixels

export const accessKey = () => sessionStorage.getItem(STORED);
export const setAccessKey = (key) => sessionStorage.setItem(STORED, key);
export const forgetAccessKey = () => sessionStorage.removeItem(STORED);

// Send `photo.file`; where that is over a limit, a smaller one takes its place.
export async function ask(photo, options = "") {
  const original = photo.file;
  for (const pixels of SMALLER) {
    try {
      if (photo.file.size > LIMIT) throw { kind: "upload_too_large", status: 413 };
      return await post(photo.file, options);
    } catch (problem) {
      if (problem.status !== 413 && problem.kind !== "too_large") throw problem;
      const smaller = await shrink(original, pixels);
      if (!smaller) throw problem;
      photo.file = smaller;
      photo.shrunk = true;
    }
  }
  return post(photo.file, options);
}

async function post(file, options) {
  const body = new FormData();
  body.append("image", file, "photo"); // its name is nobody's business
  const key = accessKey();
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  let response;
  try {
    response = await fetch(`predict${options}`, { method: "POST", body, headers });
  } catch {
    throw { kind: await isReadable(file) ? "unreachable" : "unreadable" };
  }
  const { status } = response;
  const said = await response.json().catch(() => null); // null: of something in between, such as a proxy
  if (!said) throw { kind: status === 413 ? "upload_too_large" : "unreachable", status };
  if (!response.ok) throw { kind: said.type?.replace("/problems/", ""), detail: said.detail, status, key };
  return said;
}

// Not if it is a folder that was dropped, or a file that was moved since it was chosen.
async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
