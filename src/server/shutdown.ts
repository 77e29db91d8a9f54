/** Closes what an instance has opened, in the reverse of the order in which it was opened. */
export interface Shutdown {
  /** Registers the close of what was just opened. The name stands in log lines, such as "the HTTP listener". */
  defer(name: string, close: () => void | Promise<void>): void;
  /** Closes of the group run at this place in the order, no matter when they are registered. */
  group(): Shutdown;
  /** Runs all closes, one after the other. A failed close does not stop the others. Returns the failures. */
  run(): Promise<readonly FailedClose[]>;
}

export interface FailedClose {
  readonly name: string;
  readonly error: unknown;
}

export function createShutdown(): Shutdown {
  const entries: ({ readonly name: string; readonly close: () => void | Promise<void> } | Shutdown)[] = [];
  return {
    defer: (name, close) => void entries.push({ name, close }),
    group() {
      const group = createShutdown();
      entries.push(group);
      return group;
    },
    async run() {
      const failed: FailedClose[] = [];
      for (const entry of entries.splice(0).reverse()) {
        if ("run" in entry) {
          failed.push(...(await entry.run()));
          continue;
        }
        try {
          await entry.close();
        } catch (error) {
          failed.push({ name: entry.name, error });
        }
      }
      return failed;
    },
  };
}
