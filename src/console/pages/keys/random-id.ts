/** An unguessable `Idempotency-Key`. `crypto.randomUUID` exists only where the origin is secure. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(18));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_");
}
