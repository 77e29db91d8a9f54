import { decodeUtf8 } from "../core/utf8-text.ts";

const TIMEOUT_MS = 5000;
const MAX_BYTES = 256 * 1024;
const MAX_REDIRECTS = 3;

/** Why a JWK Set could not be fetched. The message never quotes the response. */
export class FetchFault extends Error {
  override readonly name = "FetchFault";
}

/** Fetches the text of a URL. Rejects if the response is incomplete, late, too large or a redirect. */
export async function fetchSet(uri: string): Promise<string> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const first = new URL(uri);
  let at = first;
  try {
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const response = await fetch(at, {
        redirect: "manual",
        signal,
        headers: { accept: "application/jwk-set+json, application/json" },
      });
      const location = response.headers.get("location");
      if (response.status === 200) return await readText(response);
      await response.body?.cancel();
      if (response.status < 300 || response.status > 399 || location === null)
        throw new FetchFault(`it answers ${response.status}`);
      at = new URL(location, at);
      if (at.origin !== first.origin) throw new FetchFault(`it redirects to another place (${at.origin})`);
    }
    throw new FetchFault("it redirects without end");
  } catch (error) {
    if (error instanceof FetchFault) throw error;
    throw new FetchFault(signal.aborted ? `no answer within ${TIMEOUT_MS} ms` : "it does not answer", {
      cause: error,
    });
  }
}

async function readText({ body }: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of body ?? []) {
    bytes += part.length;
    // Throwing inside the loop cancels the response body.
    if (bytes > MAX_BYTES) throw new FetchFault(`it has more than ${MAX_BYTES} bytes`);
    parts.push(part);
  }
  const text = decodeUtf8(Buffer.concat(parts));
  if (text === undefined) throw new FetchFault("it is no UTF-8 text");
  return text;
}
