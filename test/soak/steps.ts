import type { SoakKeys } from "./keys.ts";
import type { Soaked } from "./soaked.ts";

/** What happens during a step of a soak. It resolves once its cause is over. `draw` is a random number from 0. */
export type Step = (soaked: Soaked, draw: number, keys: SoakKeys) => Promise<void>;

export type Steps = Readonly<Record<string, Step>>;
