/** The exports of `latchkey/client`. */
export type { ClientOptions, LatchkeyClient, Repeatable } from "./client.ts";
export { createClient } from "./client.ts";
export type * from "./explain-types.ts";
export type { KeyTotals } from "./key-totals.ts";
export type { KeptKey, LiveKeyOptions } from "./live-key.ts";
export { createLiveKey } from "./live-key.ts";
export { LatchkeyProblem, LatchkeyUnreachable } from "./problem.ts";
export type * from "./types.ts";
