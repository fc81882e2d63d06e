// Questions to the API. A problem becomes an Error with its sentence.

export async function ask(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const query = given.length ? `?${new URLSearchParams(given)}` : "";
  const answer = await fetch(path + query, { headers: { Accept: "application/json" } });
  const body = await answer.json();
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(body.detail ?? answer.statusText);
  return body;
}

export const at = (symbol) => encodeURIComponent(symbol);
