/** A value that is usually available at once, so that the warm path of a Check creates no promise. */
export type MaybePromise<T> = T | Promise<T>;

/** Like `then`, but calls `next` at once if the value is not a promise. */
export function chain<T, U>(value: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}
