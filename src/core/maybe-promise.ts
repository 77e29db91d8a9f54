/** A value that is usually available at once, so that the warm path of a Check creates no promise. */
export type MaybePromise<T> = T | Promise<T>;

/** Like `then`, but calls `next` at once if the value is not a promise. */
export function chain<T, U>(value: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** Like {@link chain}, but without a closure for the common case: `context` is passed to `next`. */
export function chainWith<T, Context, U>(
  value: MaybePromise<T>,
  context: Context,
  next: (value: T, context: Context) => MaybePromise<U>,
): MaybePromise<U> {
  return value instanceof Promise ? chainLater(value, context, next) : next(value, context);
}

/** A function of its own, because a closure in {@link chainWith} would allocate in the common case too. */
function chainLater<T, Context, U>(
  value: Promise<T>,
  context: Context,
  next: (value: T, context: Context) => MaybePromise<U>,
): Promise<U> {
  return value.then((settled) => next(settled, context));
}
