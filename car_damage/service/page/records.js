// Send JSON to a route for records and return its answer. Throws {kind, detail, status, key} for a problem.

import { accessKey } from "./key.js";

export async function send(path, content, keepalive = false) {
  const key = accessKey();
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, { method: "POST", body: JSON.stringify(content), headers, keepalive });
  } catch {
    throw { kind: "unreachable" };
  }
  const { status } = response;
  if (status === 204) return null;
  const said = await response.json().catch(() => null); // null: not from the service, but from a proxy
  if (!said) throw { kind: "unreachable", status };
  if (!response.ok) throw { kind: said.type?.replace("/problems/", ""), detail: said.detail, status, key };
  return said;
}
