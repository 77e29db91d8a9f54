/** Called at the end of each call. */
export type CallObserver = (call: string, elapsedMs: number, failed: boolean) => void;

/** Wraps a store and times its calls that return a promise. */
export function observed<Store extends object>(store: Store, observe: CallObserver): Store {
  return new Proxy(store, {
    get(target, name): unknown {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => {
        const startedMs = performance.now();
        const end = (failed: boolean) => observe(String(name), performance.now() - startedMs, failed);
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
