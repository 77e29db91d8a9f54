/** What must be closed, in the reverse of the order in which it was opened. */
export interface Closing {
  /** Registers the close of what has just been opened. */
  later(name: string, close: () => void | Promise<void>): void;
  /** Closes all, each though another one failed; says what failed. */
  closeAll(): Promise<readonly { readonly name: string; readonly error: unknown }[]>;
}

export function createClosing(): Closing {
  const closes: { readonly name: string; readonly close: () => void | Promise<void> }[] = [];
  return {
    later: (name, close) => void closes.push({ name, close }),
    async closeAll() {
      const failed = [];
      for (const { name, close } of closes.splice(0).reverse()) {
        try {
          await close();
        } catch (error) {
          failed.push({ name, error });
        }
      }
      return failed;
    },
  };
}
