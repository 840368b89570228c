// Send one photo to the service and return its answer. Throws {kind, detail, status, key} for a problem.

import { accessKey } from "./key.js";
import { shrink } from "./shrink.js";

const FORM = 1000; // bytes: an upper bound for the form around a photo
const LIMIT = document.body.dataset.maxUploadMb * 2 ** 20 - FORM; // bytes of a photo
// The sizes to which a photo over a limit is shrunk. The second one is tried after the first, because
// a proxy may allow less than the service. Even the second is more than the model sees.
const SMALLER = [4_000_000, 1_000_000]; // pixels

// Send `photo.file`. If it is over a limit, replace it with a smaller copy.
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
  body.append("image", file, "photo"); // not the file's own name, which may be private
  const key = accessKey();
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  let response;
  try {
    response = await fetch(`predict${options}`, { method: "POST", body, headers });
  } catch {
    throw { kind: await isReadable(file) ? "unreachable" : "unreadable" };
  }
  const { status } = response;
  const said = await response.json().catch(() => null); // null: not from the service, but from a proxy
  if (!said) throw { kind: status === 413 ? "upload_too_large" : "unreachable", status };
  if (!response.ok) throw { kind: said.type?.replace("/problems/", ""), detail: said.detail, status, key };
  return said;
}

// False for a folder that was dropped, and for a file that was moved after it was chosen.
async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
