/** SIGHUP requests a reload of the files. */
export interface HangUps {
  /** Calls the listener at each SIGHUP. Calls it at once if one came before, because what was read until then may be old. */
  onHangUp(listener: () => void): void;
  /** Does the same as a SIGHUP. */
  reloadNow(): void;
  release(): void;
}

/**
 * Catches SIGHUP from now on. Without a listener the signal would end the process. Until this code runs, `bin/latchkey.js`
 * catches it.
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
    reloadNow: onSignal,
    release: () => void process.off("SIGHUP", onSignal),
  };
}
