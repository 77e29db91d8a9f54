import type { CustomFetch } from "openid-client";

/** More than any metadata document, key set, ID token or UserInfo response. */
const MAX_BYTES = 1024 * 1024;

/** Fetches a response with its whole body. Rejects if the body is too large. It follows no redirect. */
export const boundedFetch: CustomFetch = async (url, { body, signal, headers, method }) => {
  const response = await fetch(url, {
    ...{ headers, method, redirect: "manual" },
    ...(body && { body }),
    ...(signal && { signal }),
  });
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    // Throwing inside the loop cancels the response body.
    if (bytes > MAX_BYTES) throw new Error(`the response has more than ${MAX_BYTES} bytes`);
    parts.push(part);
  }
  const { status, statusText } = response;
  return new Response(bytes === 0 ? null : new Blob(parts), {
    status,
    statusText,
    headers: response.headers,
  });
};
