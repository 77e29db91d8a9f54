/** What must be closed, in the reverse of the order in which it was opened. */
export interface Shutdown {
  /** Registers the close of what has just been opened. */
  defer(name: string, close: () => void | Promise<void>): void;
  /** What is registered at the group is closed in this place, whenever it was opened. */
  group(): Shutdown;
  /** Closes all, each though another one failed; says what failed. */
  run(): Promise<readonly { readonly name: string; readonly error: unknown }[]>;
}

export function createClosing(): Shutdown {
  const closes: ({ readonly name: string; readonly close: () => void | Promise<void> } | Shutdown)[] = [];
  return {
    defer: (name, close) => void closes.push({ name, close }),
    group() {
      const group = createClosing();
      closes.push(group);
      return group;
    },
    async run() {
      const failed = [];
      for (const one of closes.splice(0).reverse()) {
        if ("run" in one) {
          failed.push(...(await one.run()));
          continue;
        }
        try {
          await one.close();
        } catch (error) {
          failed.push({ name: one.name, error });
        }
      }
      return failed;
    },
  };
}
