/** Hears of each call's end, and whether it failed. */
export type CallObserver = (call: string, elapsedMs: number, failed: boolean) => void;

/** The same store, whose calls (those that give a promise) are timed. */
export function observed<Store extends object>(store: Store, observe: CallObserver): Store {
  return new Proxy(store, {
    get(target, name): unknown {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => {
        const beganMs = performance.now();
        const end = (failed: boolean) => observe(String(name), performance.now() - beganMs, failed);
        const result: unknown = Reflect.apply(member, target, args);
        if (result instanceof Promise)
          result.then(
            () => end(false),
            () => end(true),
          );
        return result;
      };
    },
  });
}
