/** The lifetime of a key that is refreshed, and so of the role `brief`. */
export const BRIEF_SECONDS = 16;

/** @param isOpen whether keys with the scope `a` may use `/b/**` too */
export function policyText(isOpen = false): string {
  return `
roles:
  basic: { scopes: [a], ttl: 90d, refresh_window: 1h }
  narrow: { scopes: [b], ttl: 90d, refresh_window: 1h }
  limited: { scopes: [a], ttl: 90d, refresh_window: 1h, rate_limits: [{ name: few, per: key, capacity: 20, refill: 2/s }] }
  brief: { scopes: [a], ttl: ${BRIEF_SECONDS}s, refresh_window: ${BRIEF_SECONDS / 2}s, refresh_overlap: 2s }
routes: [{ path: /a/**, scopes: [a] }, { path: /b/**, scopes: [${isOpen ? "a" : "b"}] }]
migration: { phase: gradual, overlap: 30d }
guards: { open_calls: 100000/s, failures: 100000/s }
`;
}

/**
 * Texts of a policy that no instance may load: each has crashed the process once, or is similar to one that
 * has.
 */
export const UNLOADABLE: readonly string[] = [
  "routes: [{ path: /a/**, hosts: [*.example.com], public: true }]",
  "<<: *defaults\nroutes: [{ path: /a/**, public: true }]",
  "<<: 3\nroutes: [{ path: /a/**, public: true }]",
  "a: &a [x]\nb: &b [*a, *a]\nroutes: [*b",
  "routes: [{ path: /a/**, public: true",
  "",
  "\u0000\ufffd",
];
