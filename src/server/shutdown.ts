/** What must be closed, in the reverse of the order in which it was opened. */
export interface Closing {
  /** Registers the close of what has just been opened. */
  later(name: string, close: () => void | Promise<void>): void;
  /** What is registered at the group is closed in this place, whenever it was opened. */
  group(): Closing;
  /** Closes all, each though another one failed; says what failed. */
  closeAll(): Promise<readonly { readonly name: string; readonly error: unknown }[]>;
}

export function createClosing(): Closing {
  const closes: ({ readonly name: string; readonly close: () => void | Promise<void> } | Closing)[] = [];
  return {
    later: (name, close) => void closes.push({ name, close }),
    group() {
      const group = createClosing();
      closes.push(group);
      return group;
    },
    async closeAll() {
      const failed = [];
      for (const one of closes.splice(0).reverse()) {
        if ("closeAll" in one) {
          failed.push(...(await one.closeAll()));
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
