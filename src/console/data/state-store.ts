/** A value that components follow. */
export interface StateStore<State> {
  state(): State;
  become(next: State): void;
  /** Returns the function that ends the subscription. */
  subscribe(onChange: () => void): () => void;
}

export function createStateStore<State>(initial: State): StateStore<State> {
  const listeners = new Set<() => void>();
  let state = initial;
  return {
    state: () => state,
    become(next) {
      state = next;
      for (const listener of listeners) listener();
    },
    subscribe(onChange) {
      listeners.add(onChange);
      return () => void listeners.delete(onChange);
    },
  };
}
