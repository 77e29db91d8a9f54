/** A value that is usually here already: the warm path of a Check makes no promise. */
export type MaybePromise<T> = T | Promise<T>;

/** Goes on with a value at once when it is here, and when it settles otherwise. */
export function chain<T, U>(value: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}
