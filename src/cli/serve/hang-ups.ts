/** SIGHUP asks to reload what stands in files. */
export interface HangUps {
  /** Calls the listener at each SIGHUP; at once if one came before, since what was read until then may be old. */
  onHangUp(listener: () => void): void;
  /** As if a SIGHUP had come. */
  ask(): void;
  release(): void;
}

/**
 * Catches SIGHUP from now on: without a listener it would end the process. `bin/latchkey.js` does so before the first
 * line of this code runs.
 */
export function catchHangUps(): HangUps {
  const listeners: (() => void)[] = [];
  let hasCome = false;
  const onSignal = () => {
    hasCome = true;
    for (const listener of listeners) listener();
  };
  process.on("SIGHUP", onSignal);
  return {
    onHangUp(listener) {
      listeners.push(listener);
      if (hasCome) listener();
    },
    ask: onSignal,
    release: () => void process.off("SIGHUP", onSignal),
  };
}
