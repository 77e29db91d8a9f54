/** An `Idempotency-Key`: 32 unguessable characters. A browser has `crypto.randomUUID` in secure contexts only. */
export function newIdempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
