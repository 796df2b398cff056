/**
 * `Promise.race` that leaves nothing behind.
 *
 * The built-in one adds a reaction to each of its promises, which stays there until that promise settles. So
 * whoever waits again and again "for this, or for the end of it all" makes the end grow as long as it does not
 * come: without bound in a process that runs for months. Here a promise gets one reaction in its life, and a
 * race that is over is taken off all that took part. Derive no promise anew for each race, by `then` or by an
 * `async` function: that would be the same leak again.
 */

/** Somebody who waits for the first of several promises. Whatever a promise gives, its own races take. */
interface Race {
  resolve(value: unknown): void;
  reject(reason: unknown): void;
}

/** What is known of a promise that took part in a race. */
interface Racer {
  isSettled: boolean;
  /** The races that it takes part in, as long as it is not settled. */
  readonly races: Set<Race>;
}

const racers = new WeakMap<Promise<unknown>, Racer>();

/** Settles as the first of `promises` that does. The others go on. */
export function race<T>(...promises: readonly Promise<T>[]): Promise<T> {
  const { promise: first, resolve, reject } = Promise.withResolvers<T>();
  const entered: Set<Race>[] = [];
  const leave = () => {
    for (const races of entered) races.delete(own);
  };
  const own: Race = {
    resolve(value: T) {
      leave();
      resolve(value);
    },
    reject(reason) {
      leave();
      reject(reason);
    },
  };
  for (const promise of promises) {
    const { isSettled, races } = racerOf(promise);
    if (isSettled) {
      promise.then(resolve, reject);
    } else {
      races.add(own);
      entered.push(races);
    }
  }
  return first;
}

function racerOf(promise: Promise<unknown>): Racer {
  const known = racers.get(promise);
  if (known !== undefined) return known;
  const racer: Racer = { isSettled: false, races: new Set() };
  racers.set(promise, racer);
  promise.then(
    (value) => {
      racer.isSettled = true;
      for (const race of racer.races) race.resolve(value);
    },
    (reason: unknown) => {
      racer.isSettled = true;
      for (const race of racer.races) race.reject(reason);
    },
  );
  return racer;
}
